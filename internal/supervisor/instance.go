package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"paceline/internal/app"
)

// instance is one slot's process after process. Its goroutine, run, is the only
// one that touches most fields; others send messages and read status.
type instance struct {
	s      *shared
	slot   *slot
	status atomic.Pointer[app.Status]
	record atomic.Pointer[record]
	// Of the present phase, for those who look from outside: see registry.release.
	held, blocked atomic.Bool

	done chan struct{} // closed when run has returned
	box  *mailbox

	retired bool // replaced in a reload; owned by Supervisor.run

	// Owned by run.
	m         machine
	life      life
	spec      *app.Spec // of the present process
	wanted    *app.Spec // of the next one
	recording bool      // its record is the slot's; false beside the instance that holds the slot
	saved     []byte    // the record as the host last got it
	created   time.Time
	due       time.Time // when the timer fires, while waiting
	warning   string    // what the process's host warned of
	timer     *time.Timer
	waiters   []waiter
	early     []Fact // what was told of a process before Start returned
}

// life is one process.
type life struct {
	gen     uint64
	pid     int
	started time.Time
	ports   []string      // sorted
	shared  bool          // a successor can listen on some of them beside it
	checks  []app.Checked // what its health checks have said last, by name; replaced, never changed
	trouble string        // why it could not be signalled
}

// view is an instance at one moment, for those who wait for something.
type view struct {
	machine
	life
	spec *app.Spec // of the process
}

// waiter is told once when until holds, or when the instance has ended.
type waiter struct {
	until func(view) bool
	reply chan<- report   // has room for it
	left  <-chan struct{} // closed when nobody waits any more
}

// report answers a waiter.
type report struct {
	view
	in     *instance
	status app.Status
}

// Messages that concern the goroutine rather than the state: the machine does
// not know them.
type (
	// about is a fact or an outcome that concerns one generation.
	about struct {
		gen uint64
		message
	}
	// order is a command, or nil, and what its sender waits for.
	order struct {
		message
		waiter
	}
	// update is the spec of the next process.
	update struct {
		message
		spec *app.Spec
	}
	// cede says whether the instance's record is the slot's.
	cede struct {
		message
		recording bool
	}
)

// newInstance makes an instance that does not run yet.
func (s *shared) newInstance(sl *slot, spec *app.Spec) *instance {
	in := &instance{
		s: s, slot: sl, spec: spec, wanted: spec,
		box: newMailbox(), done: make(chan struct{}), recording: true, created: time.Now(),
	}
	in.publish()
	return in
}

// run owns the instance until it has ended or the supervisor closes.
func (in *instance) run() {
	defer close(in.done)
	defer in.disarm()
	for in.m.phase != ended {
		var tick <-chan time.Time
		if in.timer != nil {
			tick = in.timer.C
		}
		select {
		case <-in.s.closed:
			return
		case <-in.box.signal:
			for _, m := range in.box.take() {
				in.receive(m)
			}
			in.box.acted()
			in.s.recheck()
		case <-tick:
			in.handle(timeout{})
		}
	}
	in.finish()
}

// finish tells everybody of the end. It is apart from run, because an idle
// instance costs as much memory as the frame of run makes its stack need.
func (in *instance) finish() {
	// First, so that nobody is told of the end and still finds it.
	if err := in.s.do(context.Background(), func() error { in.slot.group.reg.bury(in); return nil }); err != nil {
		return // the supervisor is closed, and nobody waits any more
	}
	for _, m := range in.box.close() {
		if o, ok := m.(order); ok && o.reply != nil {
			in.waiters = append(in.waiters, o.waiter)
		}
	}
	for _, w := range in.waiters {
		w.reply <- in.report()
	}
}

// receive sorts a message out of the mailbox.
func (in *instance) receive(m message) {
	switch m := m.(type) {
	case order:
		if m.reply != nil {
			in.waiters = append(in.waiters, m.waiter)
		}
		if m.message != nil {
			in.handle(m.message)
		} else {
			in.answer()
		}
	case update:
		in.wanted = m.spec
		if !in.m.phase.alive() {
			in.spec = m.spec
			in.publish()
		}
	case cede:
		in.recording = m.recording
		in.save()
	case about:
		in.hear(m)
	default:
		in.handle(m)
	}
}

// hear takes in what concerns one process. What concerns an earlier one is
// dropped: the present one must not pay for it.
func (in *instance) hear(m about) {
	if m.gen != in.life.gen || !in.m.phase.alive() {
		return
	}
	if fact, ok := m.message.(Fact); ok && in.m.phase == spawning {
		in.early = append(in.early, fact) // until Start has returned
		return
	}
	switch f := m.message.(type) {
	case started:
		in.life.pid, in.life.started, in.life.ports, in.life.shared = f.pid, f.at, f.ports, f.shared
	case Exited:
		in.handle(Exited{Exit: in.complete(f.Exit), Left: f.Left})
		return
	case Listening:
		if i, found := slices.BinarySearch(in.life.ports, f.Addr); !found {
			in.life.ports = slices.Insert(slices.Clone(in.life.ports), i, f.Addr)
		}
		in.life.shared = in.life.shared || f.Shared
	case Unlistening:
		if i, found := slices.BinarySearch(in.life.ports, f.Addr); found {
			in.life.ports = slices.Delete(slices.Clone(in.life.ports), i, i+1)
		}
	case Warned:
		in.warning = f.Text
		in.tell(app.EventWarning, f.Text, nil)
	case Checked:
		in.life.checks = withChecked(in.life.checks, f)
	case Reported:
		in.tell(app.EventHang, f.Text, nil)
		return
	case Messaged:
		in.tell(app.EventMessage, "", f.Data)
		return
	}
	in.handle(m.message)
	if in.m.phase != spawning {
		early := in.early
		in.early = nil
		for _, f := range early {
			in.hear(about{m.gen, f})
		}
	}
}

// withChecked returns the answers with one more or a newer one.
func withChecked(list []app.Checked, f Checked) []app.Checked {
	list = slices.DeleteFunc(slices.Clone(list), func(c app.Checked) bool { return c.Name == f.Check })
	list = append(list, app.Checked{Name: f.Check, OK: f.OK, Why: f.Why, At: time.Now()})
	slices.SortFunc(list, func(a, b app.Checked) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// complete adds to an exit what the host need not know.
func (in *instance) complete(e app.Exit) app.Exit {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.PID, e.Started = in.life.pid, in.life.started
	// The clock may have been set back in between: then it was long ago, or just now.
	e.Uptime = app.Duration(max(0, e.At.Sub(e.Started)))
	switch in.m.phase {
	case draining, stopping, killing, stuck:
		e.Wanted = true
	}
	return e
}

// handle lets next decide and does what it says.
func (in *instance) handle(m message) {
	before := in.m.phase
	var actions []action
	p := policyOf(in.spec)
	p.surges = isWorker(in.spec) || in.life.shared && in.spec.Balance != app.None
	in.m, actions = next(in.m, m, p)
	if _, ok := m.(reset); ok {
		in.created = time.Now()
	}
	timed := in.m.phase == before
	gone := Ref{}
	for _, a := range actions {
		switch a.verb {
		case forget:
			gone = in.ref()
			in.life.pid, in.life.ports, in.life.shared = 0, nil, false
		case spawn: // its record has to be kept before it exists
			in.begin()
		case arm:
			timed = true
			in.arm(a.wait)
		case keep:
			timed = true
		}
	}
	if !timed {
		in.disarm()
	}
	in.save()
	in.publish() // before acting: whoever looks now sees what is going on
	for _, a := range actions {
		in.perform(a)
	}
	if gone != (Ref{}) { // last: a successor's start does not wait for it
		in.s.host.Forget(gone)
	}
	in.answer()
}

// begin makes a new generation.
func (in *instance) begin() {
	in.life = life{gen: in.slot.gens.Add(1)}
	in.spec, in.warning, in.early = in.wanted, "", nil
}

func (in *instance) perform(a action) {
	switch a.verb {
	case spawn:
		in.launch()
	case ask:
		in.ask()
	case kill:
		in.signal(syscall.SIGKILL, true)
	case drain:
		if !in.s.host.Drain(in.ref()) {
			in.handle(Drained{})
		}
	case surge:
		gen := in.life.gen
		in.s.wg.Go(func() { in.s.replace(in, gen) })
	case examine:
		in.s.host.Examine(in.ref(), in.m.unfit, true)
	case observe:
		in.s.host.Examine(in.ref(), a.detail, false)
	case rotate:
		in.s.host.Rotate(in.ref(), !a.aside)
	case serve:
		in.s.host.Promote(in.ref())
	case emit:
		in.tell(a.event, a.detail, nil)
	}
}

// launch has a process started. Exec can hang on a dead network file system, so
// it happens elsewhere and its outcome comes back as a message.
func (in *instance) launch() {
	gen := in.life.gen
	l := Launch{
		Ref: in.ref(), Spec: in.spec, Index: in.slot.index, Restarts: in.m.restarts, Unstable: in.m.unstable,
		Created: in.created, Trial: in.m.trial,
	}
	in.s.wg.Go(func() {
		select {
		case in.slot.group.launches <- struct{}{}:
		case <-in.s.closed:
			return
		}
		defer func() { <-in.slot.group.launches }()
		pid, at, err := in.s.host.Start(l, in.sink(gen))
		if err != nil {
			in.box.put(about{gen, startFailed{
				exit: &app.Exit{Code: -1, Error: err.Error(), At: time.Now()}, permanent: !passing(err),
			}})
			return
		}
		in.box.put(about{gen, started{pid: pid, at: at}})
	})
}

// sink is where the host reports on one generation.
func (in *instance) sink(gen uint64) func(Fact) {
	return func(f Fact) { in.box.put(about{gen, f}) }
}

// passing reports whether an error of Start is likely to pass by itself soon.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EAGAIN, syscall.EINTR, syscall.ENOMEM, syscall.ENFILE, syscall.EMFILE, syscall.ETXTBSY,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// ask asks the process to end.
func (in *instance) ask() {
	if in.spec.ShutdownWithMessage && in.s.host.Message(in.ref(), []byte(`"shutdown"`)) == nil {
		return
	}
	sig, err := app.ParseSignal(in.spec.KillSignal)
	if err != nil {
		sig = syscall.SIGINT // a validated spec has a signal
	}
	in.signal(sig, !in.spec.NoTreekill)
}

// signal sends a signal. An error is no news if the process is just ending; if
// it is not, the timer will tell, and then the error says why.
func (in *instance) signal(sig syscall.Signal, tree bool) {
	if err := in.s.host.Signal(in.ref(), sig, tree); err != nil {
		in.life.trouble = err.Error()
	}
}

func (in *instance) ref() Ref { return Ref{ID: in.slot.id, Gen: in.life.gen} }

func (in *instance) arm(d time.Duration) {
	in.due = time.Now().Add(d)
	if in.timer == nil {
		in.timer = time.NewTimer(d)
		return
	}
	in.timer.Reset(d)
}

func (in *instance) disarm() {
	if in.timer != nil {
		in.timer.Stop()
	}
}

// save gives the record to the host if it has changed. Between the end of a
// process and of what it leaves nothing needs to be known: who adopts it then is
// told of both again, and the next process need not wait.
func (in *instance) save() {
	if !in.recording || in.m.phase == ended || (in.m.phase == clearing && in.m.then == byRules) {
		return
	}
	r := recordOf(in.m, in.life, in.spec.Name, in.slot.index, in.created, in.due)
	in.record.Store(&r)
	b := r.encode()
	if bytes.Equal(b, in.saved) {
		return
	}
	in.saved = b
	in.s.host.Save(in.slot.id, b)
	in.s.touch()
}

// publish shows the present state to readers.
func (in *instance) publish() {
	st := app.Status{
		ID: in.slot.id, Name: in.spec.Name, Namespace: in.spec.Namespace, Index: in.slot.index,
		Mode: in.spec.Mode, Balance: in.spec.Balance,
		State: in.m.phase.state(), Ready: in.m.ready && in.m.phase == online, PID: in.life.pid, Gen: in.life.gen,
		Restarts: in.m.restarts, Unstable: in.m.unstable, CreatedAt: in.created,
		Ports: in.life.ports, LastExit: in.m.exit, Reason: in.m.reason,
	}
	if in.life.pid != 0 {
		st.StartedAt, st.Checks = in.life.started, in.life.checks
	}
	switch {
	case in.m.phase == waiting, in.m.retry:
		st.NextRestart = in.due
	case in.m.phase == stuck && in.life.trouble != "":
		st.Reason += ": " + in.life.trouble
	case st.Reason == "" && in.m.phase.alive():
		st.Reason = in.warning
	}
	in.status.Store(&st)
	in.held.Store(in.m.phase == held)
	in.blocked.Store(in.m.blocked)
	in.s.recheck()
}

// tell emits an event.
func (in *instance) tell(e app.EventType, detail string, data []byte) {
	event := app.Event{
		At: time.Now(), Type: e, ID: in.slot.id, Name: in.spec.Name,
		Gen: in.life.gen, PID: in.life.pid, Detail: detail, Data: data,
	}
	if e == app.EventExit {
		event.Exit = in.m.exit
	}
	in.s.event(event)
}

func (in *instance) report() report {
	return report{
		view: view{in.m, in.life, in.spec},
		in:   in, status: *in.status.Load(),
	}
}

// answer tells the waiters whose time has come. The end of the instance is told
// by run.
func (in *instance) answer() {
	if len(in.waiters) == 0 || in.m.phase == ended {
		return
	}
	r := in.report()
	in.waiters = slices.DeleteFunc(in.waiters, func(w waiter) bool {
		select {
		case <-w.left:
			return true
		default:
		}
		if !w.until(r.view) {
			return false
		}
		w.reply <- r
		return true
	})
	if len(in.waiters) == 0 {
		in.waiters = nil
	}
}
