package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"paceline/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program is how a fake process behaves.
type program struct {
	startErr   error
	startTakes time.Duration
	online     time.Duration // when it reports to be online; negative: never
	says       []saying
	life       time.Duration // until it ends by itself; 0: never
	exit       app.Exit      // how
	left       int           // how many descendants it leaves
	stopTakes  time.Duration // from the stop signal to its end; negative: it ignores the signal
	drainTakes time.Duration // from Drain to Drained; negative: it cannot drain
	drainExits bool          // it ends by itself once drained
	noChannel  bool
	unkillable bool
	echoes     time.Duration // when all that can be told of it is told again, after its end; 0: never
	together   bool          // the app's processes can only be drained together
}

// saying is a fact that a program tells some time after its start.
type saying struct {
	after time.Duration
	fact  Fact
}

// listens is a cluster worker that listens on addr after a while.
func listens(after time.Duration, addr string) program {
	return program{online: after / 2, says: []saying{{after, Listening{Addr: addr}}}}
}

// adopted is a program that listens on addr after a while, on a socket that a
// successor can share.
func adopted(after time.Duration, addr string) program {
	return program{says: []saying{{after, Listening{Addr: addr, Shared: true}}}}
}

// fakeProcess is one process of a fakeHost.
type fakeProcess struct {
	Launch
	program
	pid     int
	started time.Time
	sink    func(Fact)
	exited  bool
	told    app.Exit
	left    int
	gone    bool
}

// fakeHost is a Host whose processes are goroutines' timers. It notes what no
// supervisor may ever do.
type fakeHost struct {
	run func(l Launch) program // what a launch starts

	mu         sync.Mutex // guards all below
	processes  map[Ref]*fakeProcess
	nextPID    int
	starting   int
	mostAtOnce int
	overlap    map[int]int // the most processes an id ever had at a time
	records    map[int][]byte
	specs      map[string][]byte
	calls      []string
	violations []string
}

func newFakeHost(run func(Launch) program) *fakeHost {
	return &fakeHost{
		run: run, processes: map[Ref]*fakeProcess{}, overlap: map[int]int{},
		records: map[int][]byte{}, specs: map[string][]byte{},
	}
}

// runs runs the same program each time.
func runs(p program) func(Launch) program { return func(Launch) program { return p } }

// runsInTurn runs one program after the other, the last one for ever.
func runsInTurn(ps ...program) func(Launch) program {
	var mu sync.Mutex
	return func(Launch) program {
		mu.Lock()
		defer mu.Unlock()
		p := ps[0]
		if len(ps) > 1 {
			ps = ps[1:]
		}
		return p
	}
}

func (h *fakeHost) violate(format string, a ...any) {
	h.violations = append(h.violations, fmt.Sprintf(format, a...))
}

func (h *fakeHost) Start(l Launch, sink func(Fact)) (int, time.Time, error) {
	p := h.run(l)
	h.mu.Lock()
	h.starting++
	h.mostAtOnce = max(h.mostAtOnce, h.starting)
	if _, twice := h.processes[l.Ref]; twice {
		h.violate("%v is started twice", l.Ref)
	}
	h.mu.Unlock()
	if p.startTakes > 0 {
		time.Sleep(p.startTakes)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.starting--
	if p.startErr != nil {
		return 0, time.Time{}, p.startErr
	}
	h.nextPID++
	fp := &fakeProcess{Launch: l, program: p, pid: h.nextPID, started: time.Now(), sink: sink}
	h.processes[l.Ref] = fp
	alive := 0
	for r, o := range h.processes {
		if r.ID == l.ID && !o.gone {
			alive++
		}
	}
	h.overlap[l.ID] = max(h.overlap[l.ID], alive)
	h.calls = append(h.calls, fmt.Sprintf("start %d.%d", l.ID, l.Gen))
	if p.online >= 0 {
		h.later(p.online, fp, func() { fp.sink(Online{}) })
	}
	for _, s := range p.says {
		h.later(s.after, fp, func() { fp.sink(s.fact) })
	}
	if p.life > 0 {
		h.later(p.life, fp, func() { h.end(fp, fp.exit, fp.program.left) })
	}
	return fp.pid, fp.started, nil
}

// later does something with the process, if it is still there then. A delay of 0
// is now: before Start returns.
func (h *fakeHost) later(d time.Duration, p *fakeProcess, f func()) {
	if d == 0 {
		f()
		return
	}
	time.AfterFunc(d, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !p.exited {
			f()
		}
	})
}

// end lets a process end. With h.mu held.
func (h *fakeHost) end(p *fakeProcess, exit app.Exit, left int) {
	if p.exited {
		return
	}
	exit.At = time.Now()
	p.exited, p.told, p.left = true, exit, left
	p.sink(Exited{Exit: exit, Left: left})
	if left == 0 {
		h.vanish(p)
	}
}

// vanish is the end of a process's tree. With h.mu held.
func (h *fakeHost) vanish(p *fakeProcess) {
	p.gone, p.left = true, 0
	sink := p.sink
	sink(Gone{})
	if p.echoes > 0 {
		time.AfterFunc(p.echoes, func() {
			for _, f := range []Fact{
				Online{}, Listening{Addr: "*:9", Shared: true}, Ready{}, Drained{}, Exited{Exit: app.Exit{Code: 99}}, Gone{},
			} {
				sink(f)
			}
		})
	}
}

func (h *fakeHost) Adopt(l Launch, sink func(Fact)) (int, time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.processes[l.Ref]
	if p == nil {
		return 0, time.Time{}, ErrNoProcess
	}
	h.calls = append(h.calls, fmt.Sprintf("adopt %d.%d", l.ID, l.Gen))
	p.sink = sink
	if p.exited {
		sink(Exited{Exit: p.told, Left: p.left})
	}
	if p.gone {
		sink(Gone{})
	}
	return p.pid, p.started, nil
}

func (h *fakeHost) Signal(r Ref, sig syscall.Signal, tree bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := "leader"
	if tree {
		what = "tree"
	}
	h.calls = append(h.calls, fmt.Sprintf("%s %d.%d %s", app.SignalName(sig), r.ID, r.Gen, what))
	p := h.processes[r]
	if p == nil {
		h.violate("%v, which is forgotten, gets %s", r, app.SignalName(sig))
		return ErrNoProcess
	}
	switch {
	case p.gone || p.unkillable:
	case sig == syscall.SIGKILL && p.exited:
		h.vanish(p)
	case sig == syscall.SIGKILL:
		h.end(p, app.Exit{Code: -1, Signal: "SIGKILL"}, 0)
	case p.stopTakes >= 0:
		h.later(p.stopTakes, p, func() { h.end(p, app.Exit{}, p.program.left) })
	}
	return nil
}

func (h *fakeHost) Message(r Ref, message []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.processes[r]
	if p == nil || p.noChannel {
		return errors.New("no channel")
	}
	h.calls = append(h.calls, fmt.Sprintf("message %d.%d %s", r.ID, r.Gen, message))
	if p.stopTakes >= 0 {
		h.later(p.stopTakes, p, func() { h.end(p, app.Exit{}, 0) })
	}
	return nil
}

func (h *fakeHost) Drain(r Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("drain %d.%d", r.ID, r.Gen))
	p := h.processes[r]
	if p == nil {
		h.violate("%v, which is forgotten, is to drain", r)
		return false
	}
	if p.drainTakes < 0 {
		return false
	}
	h.later(p.drainTakes, p, func() {
		p.sink(Drained{})
		if p.drainExits {
			h.end(p, app.Exit{}, 0)
		}
	})
	return true
}

func (h *fakeHost) Promote(r Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("promote %d.%d", r.ID, r.Gen))
	switch p := h.processes[r]; {
	case p == nil:
		h.violate("%v, which is forgotten, is promoted", r)
	case !p.Trial:
		h.violate("%v is promoted and was not on trial", r)
	}
}

func (h *fakeHost) Rotate(r Ref, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("rotate %d.%d %t", r.ID, r.Gen, on))
	if h.processes[r] == nil {
		h.violate("%v, which is forgotten, is put into rotation or out of it", r)
	}
}

func (h *fakeHost) Examine(r Ref, why string, ask bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("examine %d.%d %t", r.ID, r.Gen, ask))
	p := h.processes[r]
	if p == nil {
		h.violate("%v, which is forgotten, is examined", r)
		return
	}
	h.later(50*time.Millisecond, p, func() {
		p.sink(Reported{Text: why})
		if ask {
			p.sink(Examined{})
		}
	})
}

func (h *fakeHost) Together(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		if p.Spec.Name == name && p.together {
			return true
		}
	}
	return false
}

func (h *fakeHost) Forget(r Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.processes[r]
	switch {
	case p == nil:
		h.violate("%v is forgotten twice", r)
	case !p.gone:
		h.violate("%v is forgotten while it runs", r)
	}
	delete(h.processes, r)
}

func (h *fakeHost) Save(id int, record []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if record == nil {
		delete(h.records, id)
		return
	}
	h.records[id] = bytes.Clone(record)
}

func (h *fakeHost) SaveSpec(name string, spec []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if spec == nil {
		delete(h.specs, name)
		return
	}
	h.specs[name] = bytes.Clone(spec)
}

// alive are the processes that are not gone.
func (h *fakeHost) alive() []*fakeProcess {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*fakeProcess
	for _, p := range h.processes {
		if !p.gone {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *fakeProcess) int { return a.pid - b.pid })
	return list
}

// process is the oldest one of an instance.
func (h *fakeHost) process(id int) *fakeProcess {
	list := h.alive()
	return list[slices.IndexFunc(list, func(p *fakeProcess) bool { return p.ID == id })]
}

// die ends a process as if by itself.
func (h *fakeHost) die(p *fakeProcess, exit app.Exit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(p, exit, p.program.left)
}

// said are the calls so far.
func (h *fakeHost) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// world is a supervisor on a fake host, in a bubble of fake time.
type world struct {
	t    testing.TB
	host *fakeHost
	*Supervisor

	mu      sync.Mutex // guards the rest
	events  []app.Event
	saved   Saved
	saves   int
	saveErr error
}

// in runs a test with a world. The host's processes must all be gone in the end.
func in(t *testing.T, run func(Launch) program, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(run))
		defer w.end()
		f(w)
	})
}

func newWorld(t testing.TB, h *fakeHost) *world {
	w := &world{t: t, host: h}
	w.Supervisor = New(Options{Host: h, Event: w.event, Save: w.save})
	return w
}

func (w *world) event(e app.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) save(s Saved) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saveErr != nil {
		return w.saveErr
	}
	w.saved = s
	w.saves++
	return nil
}

// file is what was saved last.
func (w *world) file() Saved {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saved
}

// end closes the world and holds it to what must always be so.
func (w *world) end() {
	w.t.Helper()
	w.Close()
	for _, v := range w.host.violations {
		w.t.Error(v)
	}
}

// restarted is the world with a new supervisor, as after the daemon's death.
func (w *world) restarted(change func(saved *Saved, records map[int][]byte, specs map[string][]byte)) (*world, error) {
	w.Close()
	synctest.Wait()
	w.host.mu.Lock()
	records, specs := maps.Clone(w.host.records), maps.Clone(w.host.specs)
	var running []Ref
	for r := range w.host.processes {
		running = append(running, r)
	}
	w.host.mu.Unlock()
	saved := w.saved
	if change != nil {
		change(&saved, records, specs)
	}
	next := newWorld(w.t, w.host)
	return next, next.Restore(saved, records, specs, running)
}

// spec is a valid app.
func spec(name string, change ...func(*app.Spec)) app.Spec {
	s := app.Defaults()
	s.Name, s.Exec, s.Cwd = name, "/bin/"+name, "/"
	for _, f := range change {
		f(&s)
	}
	return s
}

// cluster makes a spec one of n Node workers.
func cluster(n int) func(*app.Spec) {
	return func(s *app.Spec) { s.Mode, s.Runtime, s.Instances = app.Cluster, app.RuntimeNode, n }
}

func instances(n int) func(*app.Spec) { return func(s *app.Spec) { s.Instances = n } }

// start starts apps that have to start.
func (w *world) start(specs ...app.Spec) []app.Status {
	w.t.Helper()
	list, err := w.Start(context.Background(), specs)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// one is the status of an id.
func (w *world) one(id int) app.Status {
	w.t.Helper()
	for _, st := range w.List() {
		if st.ID == id {
			return st
		}
	}
	w.t.Fatalf("no instance %d in %+v", id, w.List())
	return app.Status{}
}

// is checks an instance's state.
func (w *world) is(id int, want app.State) app.Status {
	w.t.Helper()
	st := w.one(id)
	if st.State != want {
		w.t.Fatalf("instance %d is %s (%s), want %s", id, st.State, st.Reason, want)
	}
	return st
}

// happened counts events of a type.
func (w *world) happened(e app.EventType) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, ev := range w.events {
		if ev.Type == e {
			n++
		}
	}
	return n
}

// pass lets time go by, and everything happen that does so until then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
