package supervisor

import (
	"time"

	"paceline/internal/app"
)

// message is all that can happen to an instance: a command, a fact about its
// process, or its timer. The set is closed.
type message interface{ isMessage() }

// Commands.
type (
	start   struct{} // let it run; what runs stays
	resume  struct{} // go on after a restart of the daemon
	restart struct { // a new process in place of the present one
		cause string // what wants it; "" is a user's command
	}
	stop    struct{} // let it not run
	remove  struct{} // stop, and then the instance is no more
	retire  struct{} // finish what it has, then remove
	promote struct { // the successor of a reload has become the instance itself
		restarts int
	}
	reset struct{} // counters to zero
)

// What the apps say that a held instance depends on.
type (
	release struct{} // they are up
	block   struct { // they are not
		why   string
		final bool // and will not be by themselves
	}
)

// What becomes of the attempt to start a process.
type (
	started struct { // it has a process
		pid     int
		at      time.Time
		adopted bool     // the process of an earlier daemon,
		online  bool     // of which was known that it is up
		ready   bool     // and ready
		ports   []string // and where it listens
		shared  bool     // so that a successor can do so as well
	}
	startFailed struct { // it could not be started at all
		exit      *app.Exit
		permanent bool // trying again soon would not help
	}
)

// unreplaced says that a process that is unfit has got no successor.
type unreplaced struct{ why string }

// timeout says that the instance's only timer has fired.
type timeout struct{}

func (start) isMessage()       {}
func (resume) isMessage()      {}
func (restart) isMessage()     {}
func (stop) isMessage()        {}
func (remove) isMessage()      {}
func (retire) isMessage()      {}
func (promote) isMessage()     {}
func (reset) isMessage()       {}
func (release) isMessage()     {}
func (block) isMessage()       {}
func (started) isMessage()     {}
func (startFailed) isMessage() {}
func (unreplaced) isMessage()  {}
func (Hung) isMessage()        {}
func (Examined) isMessage()    {}
func (timeout) isMessage()     {}
func (Online) isMessage()      {}
func (Ready) isMessage()       {}
func (Listening) isMessage()   {}
func (Unlistening) isMessage() {}
func (Exited) isMessage()      {}
func (Gone) isMessage()        {}
func (Drained) isMessage()     {}
func (Checked) isMessage()     {}
func (Warned) isMessage()      {}
func (Reported) isMessage()    {}
func (Messaged) isMessage()    {}

// verb is what an action does.
type verb uint8

const (
	spawn   verb = iota // start a process: a new generation
	drain               // ask it to finish; Drained follows, at once if it cannot
	ask                 // ask it to end: the stop signal, or a message
	kill                // SIGKILL to it and its descendants
	forget              // it is gone: let go of what belonged to it
	arm                 // set the timer to wait
	keep                // leave the timer as it is over a change of phase
	serve               // it is no longer on trial: connections may come
	surge               // start a successor beside it, as it is unfit; unreplaced follows if there is none
	examine             // ask it what it is doing, as it hangs and is to end; Examined follows
	observe             // save what can be seen of it, as it hangs
	rotate              // it gets its share of the connections, or none while others may have them
	emit                // tell the world
)

// action is one step that a transition wants to be taken.
type action struct {
	verb   verb
	wait   time.Duration // arm
	event  app.EventType // emit
	aside  bool          // rotate: none
	detail string        // emit, observe
}
