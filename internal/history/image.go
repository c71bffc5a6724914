package history

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// imageName is the file with all series as they were when it was written.
const imageName = "rings"

// temporaryPrefix begins the name of an image that is being written.
const temporaryPrefix = ".rings-"

func buffered(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 64<<10) }

// Open returns a store with what an earlier one has left in its folder. What cannot be
// read is told and left out. Errors: none; without files history is in memory.
func Open(o Options) *Store {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.now == nil {
		o.now = systemClock()
	}
	if o.every == 0 {
		o.every = imageEvery
	}
	s := &Store{o: o, now: o.now, byKey: map[Key]*series{}}
	last := 0
	if o.Dir != "" {
		last = s.load()
	}
	s.begin(s.now())
	if o.Dir != "" {
		s.journal = &journal{dir: o.Dir}
		if err := s.journal.open(last + 1); err != nil {
			o.Log("keep history: %v; until it can be written it does not outlive the daemon", err)
		}
	}
	return s
}

// load reads the files, and returns the number of the last journal.
func (s *Store) load() (last int) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		s.o.Log("make history's folder: %v", err)
		return 0
	}
	if left, err := filepath.Glob(filepath.Join(s.o.Dir, temporaryPrefix+"*")); err == nil {
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				s.o.Log("remove what an earlier daemon left: %v", err)
			}
		}
	}
	s.readFile(imageName, s.readImage)
	numbers, err := journals(s.o.Dir)
	if err != nil {
		s.o.Log("read history: %v", err)
	}
	for _, n := range numbers {
		s.readFile(journalPrefix+strconv.Itoa(n), s.replay)
		last = n
	}
	if len(numbers) >= keepJournals {
		s.soon = true
	}
	return last
}

// begin sets the clock going at the time that has passed since the last sample.
func (s *Store) begin(now Instant) {
	c := &s.clock
	second := now.Wall.Unix()
	c.offset = wallOffset(now)
	switch {
	case c.second == 0:
		c.second, c.recorded = second, now
	case c.recorded.Boot != "" && c.recorded.Boot == now.Boot && now.Up >= c.recorded.Up:
		second = c.second + int64((now.Up-c.recorded.Up).Round(time.Second)/time.Second)
		c.offset = wallOffset(c.recorded)
	default:
		second = c.second + max(int64(now.Wall.Sub(c.recorded.Wall)/time.Second), 1)
	}
	c.base, c.at = second, now
	c.shift = now.Wall.Round(time.Second).Unix() - second
}

// rotate begins the next journal, and has an image written that makes the earlier
// ones superfluous.
func (s *Store) rotate() {
	if err := s.journal.close(); err != nil {
		s.o.Log("%v", err)
	}
	next := s.journal.number + 1
	if err := s.journal.open(next); err != nil {
		s.o.Log("keep history: %v; until it can be written it does not outlive the daemon", err)
	}
	s.saving.Wait() // the last one ended long ago
	s.saving.Go(func() {
		below := next
		if err := s.writeImage(); err != nil {
			s.o.Log("keep history: %v", err)
			below = next - keepJournals
		}
		if err := dropJournals(s.o.Dir, below); err != nil {
			s.o.Log("remove old history: %v", err)
		}
	})
}

// write appends a frame.
func (s *Store) write(f frame) {
	if s.journal == nil {
		return
	}
	if err := s.journal.append(f); err != nil {
		s.o.Log("keep history: %v; what follows is lost if the daemon is killed", err)
	}
	if s.soon || f.second-s.journal.began >= s.o.every {
		s.soon = false
		s.rotate()
	}
}

// writeImage replaces the image as a whole.
func (s *Store) writeImage() (err error) {
	f, err := os.CreateTemp(s.o.Dir, temporaryPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := errors.Join(s.encode(w), w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(s.o.Dir, imageName))
}

// encode writes the image. Only one series at a time is kept from changing: each says
// how far it reaches, so that the journal adds what it has not got.
func (s *Store) encode(w io.Writer) error {
	s.mu.Lock()
	b := append([]byte(imageMagic), room[:]...)
	b = appendInt(b, s.clock.second)
	b = appendInstant(b, s.clock.recorded)
	keys := make([]Key, 0, len(s.byKey))
	for k := range s.byKey {
		keys = append(keys, k)
	}
	s.mu.Unlock()
	_, err := w.Write(seal(b, len(imageMagic)))
	for _, k := range keys {
		if err != nil {
			return err
		}
		s.mu.Lock()
		sr := s.byKey[k]
		if sr != nil {
			b = seal(sr.encode(&s.blocks, append(b[:0], room[:]...)), 0)
		}
		s.mu.Unlock()
		if sr != nil {
			_, err = w.Write(b)
		}
	}
	return err
}

func (s *series) encode(b *blocks, to []byte) []byte {
	to = appendInt(appendKey(to, s.key), s.seen)
	to = append(to, s.now[:]...)
	for r := range resolutions {
		to = appendInt(to, s.last[r])
	}
	for _, u := range s.bucket {
		to = appendInt(to, u.step)
		for _, f := range []float64{u.cpu, u.accepted, float64(u.cpus), float64(u.accepts), u.memory, float64(u.queue), float64(u.restart)} {
			to = appendFloat(to, f)
		}
	}
	var there uint64
	for i, number := range s.block {
		if number != 0 {
			there |= 1 << i
		}
	}
	to = appendInt(to, int64(there))
	for _, number := range s.block {
		if number != 0 {
			to = append(to, b.rows(number)...)
		}
	}
	return to
}

// readImage takes in what encode wrote.
func (s *Store) readImage(r io.Reader) error {
	first := true
	return readRecords(r, imageMagic, func(content []byte) error {
		in := reader{b: content}
		if first {
			first = false
			second, at := in.int64(), in.instant()
			if in.err != nil || second <= 0 || second > maxSecond {
				return errDamaged
			}
			s.clock.second, s.clock.recorded = second, at
			return nil
		}
		return s.readSeries(&in)
	})
}

func (s *Store) readSeries(in *reader) error {
	sr := &series{key: in.key(), seen: in.int64(), now: in.cell()}
	valid := sr.seen >= 0 && sr.seen <= s.clock.second+imageEvery // it was written a little later
	for r := range resolutions {
		sr.last[r] = in.int64()
		valid = valid && sr.last[r] >= 0 && sr.last[r] <= sr.seen/rings[r].step
	}
	for r := range sr.bucket {
		u := &sr.bucket[r]
		u.step = in.int64()
		valid = valid && u.step >= 0 && u.step <= sr.seen/rings[r].step
		u.cpu, u.accepted = in.float(), in.float()
		u.cpus, u.accepts = uint32(in.float()), uint32(in.float())
		u.memory, u.queue, u.restart = in.float(), float32(in.float()), float32(in.float())
	}
	there := in.uint64()
	if s.byKey[sr.key] != nil || !valid || in.err != nil {
		return errors.Join(errDamaged, in.err)
	}
	for i := range sr.block {
		if there&(1<<i) == 0 {
			continue
		}
		rows := in.take(blockBytes)
		if in.err != nil {
			break
		}
		if sr.block[i] = s.blocks.take(); sr.block[i] != 0 {
			copy(s.blocks.rows(sr.block[i]), rows)
		}
	}
	if in.err != nil {
		sr.release(&s.blocks)
		return in.err
	}
	s.byKey[sr.key] = sr
	s.clock.second = max(s.clock.second, sr.seen)
	return nil
}
