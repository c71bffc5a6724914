package history

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machine is a machine whose clocks move when told to.
type machine struct {
	t     *testing.T
	dir   string
	at    Instant
	store *Store
	told  []string
	jumps []time.Duration
	every int64
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir(), at: Instant{Wall: time.Unix(1_700_000_000, 0), Up: time.Hour, Boot: "first"}}
	m.open()
	t.Cleanup(func() { m.close() })
	return m
}

func (m *machine) open() {
	m.store = Open(Options{
		Dir: m.dir, now: func() Instant { return m.at }, every: m.every,
		Log:  func(format string, a ...any) { m.told = append(m.told, fmt.Sprintf(format, a...)) },
		Jump: func(by time.Duration) { m.jumps = append(m.jumps, by) },
	})
}

func (m *machine) close() {
	m.t.Helper()
	if m.store == nil {
		return
	}
	if err := m.store.Close(); err != nil {
		m.t.Error(err)
	}
	m.store = nil
}

// again is a restart of the daemon.
func (m *machine) again(after time.Duration) {
	m.t.Helper()
	m.close()
	m.pass(after)
	m.open()
}

func (m *machine) pass(d time.Duration) {
	m.at.Wall, m.at.Up = m.at.Wall.Add(d), m.at.Up+d
}

// record has time pass and records one value for each of the instances.
func (m *machine) record(d time.Duration, v float64, keys ...Key) {
	m.pass(d)
	var list []Sample
	for _, k := range keys {
		list = append(list, Sample{Key: k, CPU: v, Memory: v * 4096, Queue: v, Accepted: v, Restarts: v})
	}
	m.store.Record(list)
}

// values returns those of one series, oldest first, "." for none.
func (m *machine) values(k Key, which Series, step time.Duration, last int) string {
	m.t.Helper()
	a := m.store.Query(Query{Keys: []Key{k}, Series: []Series{which}, Step: step})
	if len(a.Values) != 1 || len(a.Values[0]) != a.Points {
		m.t.Fatalf("got %d lists, %d points", len(a.Values), a.Points)
	}
	var words []string
	for _, v := range a.Values[0][a.Points-last:] {
		if math.IsNaN(v) {
			words = append(words, ".")
		} else {
			words = append(words, fmt.Sprintf("%.4g", v))
		}
	}
	return strings.Join(words, " ")
}

func (m *machine) want(k Key, which Series, step time.Duration, want string) {
	m.t.Helper()
	if got := m.values(k, which, step, len(strings.Fields(want))); got != want {
		m.t.Errorf("%s each %s: got %q, want %q", which, step, got, want)
	}
}

var api = Key{ID: 0, Created: 17}

func TestEachResolution(t *testing.T) {
	m := newMachine(t)
	// 1,700,000,000 is 20 s after a minute's beginning and 13 min 20 s after an hour's.
	for i := range 39 + 4*60 {
		m.record(time.Second, float64(i%4), api)
	}
	m.want(api, CPU, time.Second, "3 0 1 2")
	m.want(api, Queue, time.Minute, ". 3 3 3 3 3")
	m.want(api, CPU, time.Minute, ". 1.46 1.5 1.5 1.5 1.5")
	m.want(api, Restarts, time.Minute, ". 58 92 92 92 90") // in steps of 2 and of 4; the last is not rounded yet
	m.want(api, Memory, time.Minute, ". 1.229e+04 1.229e+04 1.229e+04 1.229e+04 1.229e+04")
	m.want(api, CPU, time.Hour, ". 1.495")
	m.want(api, Restarts, time.Hour, ". 417")
	a := m.store.Query(Query{Keys: []Key{api}, Series: []Series{CPU}, Step: time.Minute})
	if last := a.Start.Add(time.Duration(a.Points-1) * time.Minute); !last.Equal(m.at.Wall.Truncate(time.Minute)) {
		t.Errorf("the last minute begins at %s, it is %s", last, m.at.Wall)
	}
}

func TestQueryIsBounded(t *testing.T) {
	m := newMachine(t)
	for i := range 30 {
		m.record(time.Second, float64(i), api)
	}
	a := m.store.Query(Query{
		Keys: []Key{api, {ID: 9}}, Series: []Series{Queue, CPU}, Step: time.Second,
		Since: m.at.Wall.Add(-9 * time.Second), Until: m.at.Wall.Add(-5 * time.Second),
	})
	if a.Points != 5 || !a.Start.Equal(m.at.Wall.Add(-9*time.Second)) || len(a.Values) != 4 {
		t.Fatalf("got %d points from %s in %d lists", a.Points, a.Start, len(a.Values))
	}
	if got := fmt.Sprint(a.Values); got != "[[20 21 22 23 24] [20 21.04 22 23.04 24] [NaN NaN NaN NaN NaN] [NaN NaN NaN NaN NaN]]" {
		t.Errorf("got %s", got)
	}
	if a := m.store.Query(Query{Keys: []Key{api}, Series: []Series{CPU}, Step: time.Second, Since: m.at.Wall.Add(time.Hour)}); a.Points != 0 {
		t.Errorf("the future has %d points", a.Points)
	}
}

func TestLateSamples(t *testing.T) {
	m := newMachine(t)
	m.record(time.Second, 1, api)
	m.record(3*time.Second, 2, api)        // stands for the two before as well
	m.record(200*time.Millisecond, 9, api) // too early: nothing is due
	if due := m.store.Due(); due != 0 {
		t.Errorf("%d seconds are due after 0.2", due)
	}
	m.record(9*time.Second, 3, api) // long: nobody knows
	m.want(api, CPU, time.Second, ". 1 2 2 2 . . . . . . . . 3")
	m.want(api, Restarts, time.Second, ". 1 0 0 2 . . . . . . . . 3")
}

func TestClockJumps(t *testing.T) {
	m := newMachine(t)
	for i := range 5 {
		m.record(time.Second, float64(i), api)
	}
	m.at.Wall = m.at.Wall.Add(-2 * time.Hour)
	m.record(time.Second, 5, api)
	m.record(time.Second, 6, api)
	m.at.Wall = m.at.Wall.Add(100 * 24 * time.Hour)
	m.record(time.Second, 7, api)
	m.record(time.Second, 8, api)
	for range 2000 { // slewed by half a second in all
		m.at.Wall = m.at.Wall.Add(time.Second / 4000)
		m.record(time.Second, 9, api)
	}
	m.record(time.Second, 8, api)
	if got := fmt.Sprint(m.jumps); got != "[-2h0m0s 2400h0m0s]" {
		t.Errorf("told of %s", got)
	}
	a := m.store.Query(Query{Keys: []Key{api}, Series: []Series{Queue}, Step: time.Second, Since: m.at.Wall.Add(-2 * time.Second)})
	if got := fmt.Sprint(a.Values); got != "[[9 9 8]]" {
		t.Errorf("got %s", got)
	}
	m.again(time.Second)
	m.want(api, Restarts, time.Hour, ". 1.804e+04")
}

func TestClockJumpKeepsAges(t *testing.T) {
	m := newMachine(t)
	for i := range 9 {
		if i == 4 {
			m.at.Wall = m.at.Wall.Add(-26 * time.Hour)
		}
		if i == 7 {
			m.at.Wall = m.at.Wall.Add(40 * 24 * time.Hour)
		}
		m.record(time.Second, float64(i), api)
	}
	m.want(api, CPU, time.Second, ". 0 1 2 3 4 5 6 7 8")
	m.want(api, Restarts, time.Hour, ". 36")
}

func TestSurvivesRestart(t *testing.T) {
	for _, c := range []struct {
		name  string
		every int64
	}{{"by its journal", 0}, {"by an image and the rest of a journal", 7}} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.every = c.every
			m.again(0)
			other := Key{ID: 1, Created: 18}
			for i := range 20 {
				m.record(time.Second, float64(i), api, other)
				m.store.saving.Wait()
			}
			for i := range 3 {
				m.record(time.Second, float64(i), api)
			}
			m.again(8 * time.Second) // 7 of them nobody looked
			m.record(time.Second, 5, api)
			m.want(api, CPU, time.Second, ". 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 0 1 2 . . . . . . . . 5")
			m.want(other, CPU, time.Second, "18 19 . . . . . . . . . . . .")
			m.want(api, Restarts, time.Hour, ". 198")
			if len(m.told) > 0 || len(m.jumps) > 0 {
				t.Errorf("told %q, jumps %v", m.told, m.jumps)
			}
		})
	}
}

func TestSurvivesReboot(t *testing.T) {
	m := newMachine(t)
	m.record(time.Second, 1, api)
	m.close()
	m.pass(time.Hour)
	m.at.Boot, m.at.Up = "second", time.Minute
	m.open()
	m.record(time.Second, 2, api)
	m.want(api, Restarts, time.Minute, "1 "+strings.Repeat(". ", 59)+"2")
	m.close()
	m.at.Boot, m.at.Up, m.at.Wall = "third", time.Minute, m.at.Wall.Add(-time.Hour) // its battery is flat
	m.open()
	m.record(time.Second, 3, api)
	m.want(api, CPU, time.Second, "2 3 3")
}

func TestClockSetWhileNoDaemonRan(t *testing.T) {
	m := newMachine(t)
	m.record(time.Second, 1, api)
	m.close()
	m.at.Wall = m.at.Wall.Add(time.Hour)
	m.open()
	m.record(time.Second, 2, api)
	m.record(time.Second, 3, api)
	m.want(api, CPU, time.Second, ". 1 2 3")
	if got := fmt.Sprint(m.jumps); got != "[1h0m0s]" {
		t.Errorf("told of %s", got)
	}
}

func TestKilledAtAnyByte(t *testing.T) {
	m := newMachine(t)
	for i := range 5 {
		m.record(time.Second, float64(i), api)
	}
	m.close()
	path := filepath.Join(m.dir, journalPrefix+"1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for n := len(whole); n >= len(journalMagic); n-- {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(m.dir, journalPrefix+"2"))
		m.open()
		got := strings.TrimSpace(strings.ReplaceAll(m.values(api, CPU, time.Second, 6), ".", ""))
		if !strings.HasPrefix("0 1 2 3 4", got) {
			t.Fatalf("cut at %d: %q", n, got)
		}
		seen[got] = true
		m.close()
	}
	if len(seen) != 6 || len(m.told) > 0 {
		t.Errorf("saw %v, told %q", seen, m.told)
	}
}

func TestDamagedFilesAreStartedAnew(t *testing.T) {
	for _, name := range []string{imageName, journalPrefix + "1"} {
		for _, harm := range []func([]byte) []byte{
			func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
			func(b []byte) []byte { b[6]++; return b }, // another version
			func([]byte) []byte { return []byte("not at all\n") },
			func([]byte) []byte { return nil },
		} {
			m := newMachine(t)
			m.every = 1000
			m.record(time.Second, 1, api)
			if err := m.store.writeImage(); err != nil {
				t.Fatal(err)
			}
			m.close()
			path := filepath.Join(m.dir, name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, harm(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			m.open()
			if len(m.told) != 1 || !strings.Contains(m.told[0], path) {
				t.Errorf("%s: told %q", name, m.told)
			}
			m.record(time.Second, 2, api)
			m.want(api, CPU, time.Second, "1 2") // the other file has it
			m.store.rotate()
			m.store.saving.Wait()
			m.told = nil
			m.again(time.Second)
			m.want(api, CPU, time.Second, "1 2")
			if len(m.told) > 0 {
				t.Errorf("%s: told again: %q", name, m.told)
			}
			m.close()
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	m := newMachine(t)
	m.close()
	m.dir = filepath.Join(m.dir, "file")
	if err := os.WriteFile(m.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.open()
	for i := range 3 {
		m.record(time.Second, float64(i), api)
	}
	m.want(api, CPU, time.Second, "0 1 2")
	if len(m.told) == 0 || len(m.told) > 2 {
		t.Errorf("told %q", m.told)
	}
}

func TestJournalsDoNotPileUp(t *testing.T) {
	m := newMachine(t)
	for i := range 12 {
		m.record(time.Second, float64(i), api)
		m.again(0)
	}
	m.record(time.Second, 12, api)
	m.store.saving.Wait()
	if numbers, err := journals(m.dir); err != nil || len(numbers) > keepJournals+1 {
		t.Errorf("journals %v, %v", numbers, err)
	}
	m.again(0)
	m.want(api, CPU, time.Second, "0 1 2 3 4 5 6 7 8 9 10 11 12")
}

func TestInstancesThatGoAreForgotten(t *testing.T) {
	m := newMachine(t)
	next := Key{ID: 0, Created: 99} // the same id
	m.record(time.Second, 1, api)
	for range 35 {
		m.record(time.Second, 2, next)
	}
	m.want(api, CPU, time.Second, ". .")
	m.want(next, CPU, time.Second, "2 2 2")
	if n := len(m.store.byKey); n != 1 {
		t.Errorf("%d series are kept", n)
	}
	before := m.store.blocks.used
	m.record(time.Second, 2, next, Key{ID: 2, Created: 1}) // takes what became free
	if m.store.blocks.used != before {
		t.Error("the forgotten one's memory is not used again")
	}
}

// TestMemory fills a hundred instances' rings with what cannot be left out.
func TestMemory(t *testing.T) {
	s := Open(Options{})
	defer s.Close()
	for id := range 100 {
		sr := s.of(Key{ID: id})
		for r, ring := range rings {
			for step := range ring.rows {
				sr.put(&s.blocks, resolution(r), step+1, cell{1, 2, 3, 4, 5, 6, byte(step)})
			}
		}
	}
	if n := s.Bytes(); n > 2_000_000 {
		t.Errorf("100 instances take %d bytes", n)
	}
	if n := len(s.byKey); s.blocks.used != 100*seriesBlocks || n != 100 {
		t.Errorf("%d blocks and %d series: not all is full", s.blocks.used, n)
	}
	for r, ring := range rings {
		if ring.rows%blockRows != 0 {
			t.Errorf("ring %d: %d rows are no whole blocks", r, ring.rows)
		}
	}
}

func TestRecordAllocatesLittle(t *testing.T) {
	m := newMachine(t)
	list := make([]Sample, 100)
	for i := range list {
		list[i] = Sample{Key: Key{ID: i}, CPU: 1, Memory: 1 << 20, Queue: math.NaN(), Accepted: math.NaN()}
	}
	m.store.Record(list)
	n := testing.AllocsPerRun(100, func() {
		m.pass(time.Second)
		m.store.Record(list)
	})
	if n > 3 {
		t.Errorf("%v allocations each second", n)
	}
}

func TestScales(t *testing.T) {
	for _, s := range []scale{cpuScale, acceptedScale, memoryScale, countScale} {
		if !math.IsNaN(s.decode(s.encode(math.NaN()))) || s.encode(0) != 0 || s.encode(-3) != 0 {
			t.Errorf("%+v: nothing, zero or less", s)
		}
		last := -1.0
		for code := range s.none() {
			v := s.decode(code)
			if v <= last || s.encode(v) != code {
				t.Fatalf("%+v: code %d is %v after %v, and %d again", s, code, v, last, s.encode(v))
			}
			last = v
		}
		if s.encode(last*2) != s.none()-1 || s.encode(math.Inf(1)) != s.none()-1 {
			t.Errorf("%+v: too much becomes %d and %d", s, s.encode(last*2), s.encode(math.Inf(1)))
		}
		rapid.Check(t, func(t *rapid.T) {
			v := rapid.Float64Range(0, last).Draw(t, "value")
			off := math.Abs(s.decode(s.encode(v)) - v)
			if off > s.unit/2*(1+1e-9) && off > v/math.Exp2(float64(s.mantissa)+1) {
				t.Fatalf("%+v: %v becomes %v", s, v, s.decode(s.encode(v)))
			}
		})
	}
}

func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	at := Instant{Wall: time.Unix(1_700_000_000, 0), Up: time.Hour, Boot: "x"}
	s := Open(Options{Dir: dir, now: func() Instant { return at }})
	for range 3 {
		at.Up += time.Second
		s.Record([]Sample{{Key: api, CPU: 2}, {Key: Key{ID: int(at.Up)}, Memory: 1}})
	}
	if err := s.writeImage(); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{imageName, journalPrefix + "1"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, resum := range []bool{false, true} { // with right sums the contents are tried, too
			if resum {
				b = repair(b)
			}
			for _, magic := range []string{imageMagic, journalMagic} {
				if len(b) > len(magic) {
					b = append([]byte(magic), b[len(magic):]...)
				}
				now := at
				s := Open(Options{now: func() Instant { return now }})
				if magic == imageMagic {
					_ = s.readImage(strings.NewReader(string(b)))
				} else {
					_ = s.replay(strings.NewReader(string(b)))
				}
				s.begin(now)
				now.Up += time.Second
				s.Record([]Sample{{Key: api, CPU: 3}})
				s.Query(Query{Keys: []Key{api}, Series: []Series{CPU}, Step: time.Hour})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// repair gives each record the checksum of its content.
func repair(b []byte) []byte {
	b = append([]byte(nil), b...)
	for at := len(imageMagic); at+recordHead <= len(b); {
		end := min(at+recordHead+int(b[at])+int(b[at+1])<<8, len(b))
		sealed := seal(b[:end], at)
		copy(b, sealed)
		at = end
	}
	return b
}

func BenchmarkRecord500(b *testing.B) {
	at := Instant{Wall: time.Unix(1_700_000_000, 0), Up: time.Hour, Boot: "x"}
	s := Open(Options{Dir: b.TempDir(), now: func() Instant { return at }})
	defer s.Close()
	list := make([]Sample, 500)
	for i := range list {
		list[i] = Sample{Key: Key{ID: i}, CPU: 1, Memory: 1 << 20, Queue: math.NaN(), Accepted: math.NaN()}
	}
	for b.Loop() {
		at.Up += time.Second
		for i := range list {
			list[i].Memory = float64(int(at.Up)/1e6%1000+i) * 4096
		}
		s.Record(list)
	}
}
