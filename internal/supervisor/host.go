package supervisor

import (
	"errors"
	"syscall"
	"time"

	"paceline/internal/app"
)

// ErrNoProcess is what a Host returns for a Ref that has no process.
var ErrNoProcess = errors.New("no such process")

// Host gives instances their processes. All methods may be called from many
// goroutines at once, for one instance in order: only Start may overlap with
// others. They may wait for the system but not for the supervisor.
type Host interface {
	// Start returns when exec has succeeded or failed. Facts about the process
	// go to sink, which never blocks, from any goroutine, also before Start has
	// returned.
	Start(l Launch, sink func(Fact)) (pid int, started time.Time, err error)
	// Adopt takes over a process that an earlier daemon started, and tells sink
	// what became of it since. Errors: ErrNoProcess.
	Adopt(l Launch, sink func(Fact)) (pid int, started time.Time, err error)
	// Signal sends sig to the process, or with tree to all that descends from it.
	Signal(r Ref, sig syscall.Signal, tree bool) error
	// Message sends a JSON value on the process's Node channel, if it has one.
	Message(r Ref, message []byte) error
	// Drain asks the process to finish what it has and to take no more. Drained
	// follows. False: it cannot be drained, or there is nothing to wait for.
	Drain(r Ref) bool
	// Promote tells that a process launched on trial is the instance's now: new
	// connections may come to it.
	Promote(r Ref)
	// Rotate says whether the process is to get its share of the connections that come
	// to the app's ports, or none as long as another process may have them: its checks
	// say that it is not ready. One whose app has a startup or a readiness check begins
	// without. It has no effect before Promote on a process launched on trial, nor
	// after Drain.
	Rotate(r Ref, on bool)
	// Examine saves what a process is doing that hangs, and Reported follows. With ask it is
	// about to be ended, and its runtime is asked, of which it may end; then Examined follows.
	// Without nothing is done to it.
	Examine(r Ref, why string, ask bool)
	// Together reports whether the processes of an app take connections from one
	// queue, so that none of them can be kept from taking more while others do:
	// a reload then starts all successors before any old process leaves.
	Together(name string) bool
	// Forget lets go of all that belongs to a process that is gone.
	Forget(r Ref)
	// Save keeps an instance's record beyond the daemon's death; nil deletes it.
	Save(id int, record []byte)
	// SaveSpec keeps an app's spec beyond the daemon's death; nil deletes it.
	SaveSpec(name string, spec []byte)
}

// Ref names one process: the instance's id and which of its processes it is.
type Ref struct {
	ID  int
	Gen uint64
}

// Launch is all that a Host needs to start a process.
type Launch struct {
	Ref
	Spec     *app.Spec // not to be changed
	Index    int       // slot within the app
	Restarts int       // how often the instance has been restarted
	Unstable int       // fast failures in a row
	Created  time.Time // when the instance was
	// Trial says that it is to succeed a process that still serves: it may listen,
	// but gets no connections before Promote.
	Trial bool
}

// Fact is something that a Host reports about a process: one of the types below.
type Fact interface {
	message
	fact()
}

// Online says that a Node cluster worker is up. Other processes are online as
// soon as they have been started.
type Online struct{}

// Ready says that the process has sent 'ready'.
type Ready struct{}

// Listening says that the process listens on Addr ("*:3000", "/run/x.sock").
// Shared: the socket is Paceline's as well, so that a successor can listen there
// beside it.
type Listening struct {
	Addr   string
	Shared bool
}

// Unlistening says that the process no longer listens on Addr.
type Unlistening struct{ Addr string }

// Exited says that the process has ended while Left processes that descend from
// it still run. Of Exit, the Host fills in what it knows: code, signal, time and
// the last lines.
type Exited struct {
	Exit app.Exit
	Left int
}

// Gone says that the process and all that descended from it have ended. It is
// the last fact of each process.
type Gone struct{}

// Drained says that the process has finished what it had to do.
type Drained struct{}

// Checked is the result of one of the app's health checks, told when it changes:
// for a failure, after as many in a row as the check allows.
type Checked struct {
	Check string // "startup", "readiness" or "liveness"
	OK    bool
	Why   string // what failed
	// Silent says that it has given no answer at all in the time allowed.
	Silent bool
}

// Hung says that the process has accepted no connections for its app's HangAfter,
// though some waited.
type Hung struct{ Why string }

// Examined says that Examine is over.
type Examined struct{}

// Reported says what was found out about a process that hangs, and where it is kept.
type Reported struct{ Text string }

// Warned carries something that the user should know about the process.
type Warned struct{ Text string }

// Messaged carries a message that the app has sent on its channel.
type Messaged struct{ Data []byte }

func (Online) fact()      {}
func (Ready) fact()       {}
func (Listening) fact()   {}
func (Unlistening) fact() {}
func (Exited) fact()      {}
func (Gone) fact()        {}
func (Drained) fact()     {}
func (Checked) fact()     {}
func (Warned) fact()      {}
func (Hung) fact()        {}
func (Examined) fact()    {}
func (Reported) fact()    {}
func (Messaged) fact()    {}
