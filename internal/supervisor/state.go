package supervisor

import (
	"fmt"
	"time"

	"paceline/internal/app"
)

// phase is where an instance is in its life: app.State with the differences that
// matter for what comes next.
type phase uint8

const (
	stopped   phase = iota // no process, none wanted
	errored                // no process, given up; the timer, if any, tries again
	waiting                // no process; the timer starts the next
	held                   // no process; it is started when the apps are up that it depends on
	spawning               // a process is being started
	launching              // it runs but has not reported; the timer is listen_timeout
	online                 // it runs; until it is ready the timer is listen_timeout
	draining               // it finishes what it has; the timer is the drain limit
	stopping               // it was asked to end; the timer is kill_timeout
	killing                // SIGKILL was sent; the timer gives it up
	clearing               // it ended by itself and what is left of it is being killed
	stuck                  // it has survived SIGKILL
	ended                  // the instance is no more
)

// phaseNames are all of them, by number.
var phaseNames = [...]string{
	"stopped", "errored", "waiting", "held", "spawning", "launching", "online",
	"draining", "stopping", "killing", "clearing", "stuck", "ended",
}

func (p phase) String() string { return phaseNames[p] }

// state is the phase as users see it.
func (p phase) state() app.State {
	switch p {
	case errored, stuck:
		return app.Errored
	case waiting, held:
		return app.Waiting
	case spawning, launching:
		return app.Launching
	case online:
		return app.Online
	case draining, stopping, killing, clearing:
		return app.Stopping
	}
	return app.Stopped
}

// alive reports whether there is a process, or may be one in a moment.
func (p phase) alive() bool { return p >= spawning && p <= stuck }

// intent is what follows once the process is gone.
type intent uint8

const (
	byRules   intent = iota // it ended by itself: the restart rules decide
	thenStop                // nothing
	thenStart               // a new process
	thenEnd                 // the end of the instance
	thenDrain               // the same, but what has begun to serve finishes first
)

var intentNames = [...]string{"by the rules", "stop", "start", "end", "drain"}

func (i intent) String() string { return intentNames[i] }

// machine is the part of an instance that next decides on.
type machine struct {
	phase    phase
	then     intent
	ready    bool
	sign     bool   // it listens, or has said that it is ready
	passed   bool   // its startup check has passed
	fit      bool   // its readiness check passes
	unfit    string // the check that has failed it; it is being ended for that
	hung     bool   // it does nothing any more; what it is doing is looked at before it ends
	surging  bool   // a successor is being started, as it is unfit
	aside    bool   // it is to get no connections while others may
	late     bool   // it was not ready within listen_timeout
	asked    bool   // the start under way is a command's, not a restart rule's
	blocked  bool   // held, and what it waits for will not come by itself
	given    bool   // it was given up, and has not lasted since
	retry    bool   // errored, and the timer tries again
	trial    bool   // a successor on probation: it is not restarted
	restarts int
	unstable int           // fast failures in a row
	delay    time.Duration // the last wait before a restart
	exit     *app.Exit     // how the last process ended; not to be changed
	reason   string
	cause    string // why a command restarts it; "" is a user's
}

// transition is one call of next.
type transition struct {
	machine
	policy
	actions []action
}

// next says what a message does to an instance: its new state and what is to be
// done. It is pure. A message that means nothing in a phase changes nothing. A
// timer that was running stops when the phase changes, unless arm or keep is
// among the actions.
func next(m machine, msg message, p policy) (machine, []action) {
	t := transition{machine: m, policy: p}
	switch msg := msg.(type) {
	case start:
		t.onStart()
	case resume:
		if t.phase == stopped && !t.job {
			t.begin(false)
		}
	case release:
		if t.phase == held {
			t.spawn(t.asked)
		}
	case block:
		if t.phase == held {
			t.blocked, t.reason = msg.final, msg.why
		}
	case restart:
		t.onRestart(msg.cause)
	case stop:
		t.onStop()
	case remove:
		t.onRemove()
	case retire:
		t.onRetire()
	case promote:
		if t.phase == online {
			t.trial, t.restarts = false, msg.restarts
			t.act(serve)
			t.emit(app.EventReload, "")
		}
	case reset:
		t.restarts, t.unstable, t.delay = 0, 0, 0
	case started:
		t.onStarted(msg)
	case startFailed:
		t.onStartFailed(msg)
	case timeout:
		t.onTimeout()
	case Online:
		if t.phase == launching {
			t.comeUp()
		}
	case Ready:
		t.onReady()
	case Listening:
		t.onListening()
	case Checked:
		t.onChecked(msg)
	case Exited:
		t.onExited(msg)
	case Gone:
		t.onGone()
	case Drained:
		if t.phase == draining {
			t.end(thenEnd)
		}
	case Hung:
		t.onHung(msg)
	case Examined:
		if t.phase == stopping && t.hung {
			t.hung = false
			t.askToEnd()
		}
	case unreplaced:
		if t.phase == online && t.surging {
			if msg.why != "" {
				t.emit(app.EventWarning, "no successor: "+msg.why)
			}
			t.end(byRules)
		}
	}
	return t.machine, t.actions
}

func (t *transition) act(v verb)          { t.actions = append(t.actions, action{verb: v}) }
func (t *transition) arm(d time.Duration) { t.actions = append(t.actions, action{verb: arm, wait: d}) }

func (t *transition) emit(e app.EventType, about string) {
	t.actions = append(t.actions, action{verb: emit, event: e, detail: about})
}

// spawn starts a process. asked: by a command.
func (t *transition) spawn(asked bool) {
	t.phase, t.then, t.asked = spawning, byRules, asked
	t.ready, t.late, t.reason, t.cause = false, false, "", ""
	t.sign, t.passed, t.fit, t.unfit = false, false, false, ""
	t.hung, t.surging = false, false
	t.aside = t.startup || t.readiness // as the host begins
	t.blocked, t.retry = false, false
	t.act(spawn)
}

// begin starts a process once the apps are up that it depends on.
func (t *transition) begin(asked bool) {
	if !t.depends || t.trial {
		t.spawn(asked)
		return
	}
	t.phase, t.then, t.asked = held, byRules, asked
	t.reason, t.blocked, t.retry = "", false, false
}

// forgive is the past forgiven.
func (t *transition) forgive() { t.unstable, t.delay, t.given = 0, 0, false }

// afresh starts a process by command.
func (t *transition) afresh() {
	t.forgive()
	t.spawn(true)
}

// end begins to end the process, for what follows then.
func (t *transition) end(then intent) {
	t.then = then
	if t.hung {
		t.phase = stopping
		t.act(examine)
		t.arm(examineWait)
		return
	}
	t.askToEnd()
}

// askToEnd asks the process to end.
func (t *transition) askToEnd() {
	if t.killTimeout <= 0 {
		t.kill()
		return
	}
	t.phase = stopping
	t.act(ask)
	t.arm(t.killTimeout)
}

// kill ends the process the hard way.
func (t *transition) kill() {
	t.phase = killing
	t.act(kill)
	t.arm(t.killWait())
}

// down is the instance at rest.
func (t *transition) down(p phase, reason string) {
	t.phase, t.then, t.reason = p, byRules, reason
	t.ready, t.late, t.delay, t.cause = false, false, 0, ""
	t.blocked, t.retry = false, false
}

// rest is the end of a process that no other follows.
func (t *transition) rest() {
	t.down(stopped, "")
	t.emit(app.EventStop, ending(t.exit))
}

// redirect changes what follows once the process is gone. The end of an instance
// is final.
func (t *transition) redirect(then intent) {
	if t.then != thenEnd && t.then != thenDrain {
		t.then = then
	}
}

func (t *transition) onStart() {
	switch t.phase {
	case stopped, errored, waiting:
		t.forgive()
		t.begin(true)
	case spawning:
		if t.then == thenStop {
			t.then = byRules
		}
	case stopping, killing, clearing:
		t.redirect(thenStart)
	case stuck:
		t.redirect(thenStart)
		t.kill()
	}
}

func (t *transition) onRestart(cause string) {
	switch t.phase {
	case launching, online:
		t.restarts++
		t.cause = cause
		t.end(thenStart)
	case spawning:
		// What is being started may have been overtaken by a new spec.
		t.redirect(thenStart)
	default:
		t.onStart()
	}
}

func (t *transition) onStop() {
	switch t.phase {
	case errored, waiting, held:
		t.down(stopped, "")
		t.emit(app.EventStop, "")
	case launching, online:
		t.end(thenStop)
	case draining:
		t.end(thenEnd)
	case spawning, stopping, killing, clearing:
		t.redirect(thenStop)
	case stuck:
		t.redirect(thenStop)
		t.kill()
	}
}

func (t *transition) onRemove() {
	switch t.phase {
	case stopped, errored, waiting, held:
		t.down(ended, "")
	case launching, online, draining:
		t.end(thenEnd)
	case spawning, stopping, killing, clearing:
		t.then = thenEnd
	case stuck:
		t.then = thenEnd
		t.kill()
	}
}

func (t *transition) onRetire() {
	switch t.phase {
	case online:
		t.drain()
	case spawning: // it may serve before the news of its start is here
		if t.then != thenEnd {
			t.then = thenDrain
		}
	case draining:
	default:
		t.onRemove()
	}
}

// drain has a process finish what it has, and then end.
func (t *transition) drain() {
	t.phase, t.then = draining, thenEnd
	t.act(drain)
	t.arm(t.drainWait())
}

func (t *transition) onStarted(msg started) {
	if t.phase != spawning {
		return
	}
	if !msg.adopted {
		t.emit(app.EventStart, "")
	}
	switch {
	case t.then == thenDrain && t.reports && !msg.online: // it serves nobody yet
		t.end(thenEnd)
	case t.then == thenDrain:
		t.drain()
	case t.then != byRules:
		t.end(t.then)
	case t.reports && !msg.online:
		t.phase = launching
		t.arm(t.listenTimeout)
	default:
		t.phase, t.ready, t.sign = online, msg.ready, msg.ready
		t.passed, t.fit = msg.ready, msg.ready
		if !msg.adopted {
			t.emit(app.EventOnline, "")
		}
		if t.shows() && !t.ready {
			t.arm(t.listenTimeout)
		}
		t.place(msg.adopted && t.checked) // what an earlier daemon has told the host may be old
	}
}

func (t *transition) onStartFailed(msg startFailed) {
	if t.phase != spawning {
		return
	}
	t.exit = msg.exit
	t.emit(app.EventExit, "")
	if t.then != byRules {
		t.follow()
		return
	}
	if msg.permanent && t.asked {
		t.down(errored, msg.exit.Error)
		return
	}
	t.byRestartRules()
}

func (t *transition) onExited(msg Exited) {
	if t.phase < launching || t.phase > stuck || t.phase == clearing {
		return
	}
	exit := msg.Exit
	t.exit = &exit
	t.emit(app.EventExit, exit.String())
	switch t.phase {
	case launching, online, draining:
		t.phase = clearing // with draining, thenEnd stays
		if msg.Left > 0 {
			t.act(kill)
		}
		t.arm(t.killWait())
	}
}

func (t *transition) onGone() {
	if t.phase < launching || t.phase > stuck {
		return
	}
	t.act(forget)
	switch t.phase {
	case launching, online, draining: // nobody has seen how it ended
		t.exit = &app.Exit{Code: -1, Error: "ended unseen"}
		t.emit(app.EventExit, t.exit.String())
	case stuck:
		if t.then == byRules || t.then == thenStart {
			// It was given up long ago: it must not come back as a surprise.
			t.down(errored, t.reason)
			return
		}
	}
	if t.exit == nil { // it was being ended, and nobody has seen how that went
		t.exit = &app.Exit{Code: -1, Error: "ended unseen"}
	}
	t.follow()
}

func (t *transition) onTimeout() {
	switch t.phase {
	case waiting:
		t.again()
	case errored:
		if t.retry {
			t.again()
		}
	case launching, online:
		if t.ready || t.late || (t.phase == online && !t.shows()) {
			return
		}
		t.late = true
		t.reason = fmt.Sprintf("not ready within %s: %s", t.listenTimeout, t.missing(t.policy))
		t.emit(app.EventWarning, t.reason)
	case draining:
		t.emit(app.EventWarning, fmt.Sprintf("still busy after draining for %s", t.drainWait()))
		t.end(thenEnd)
	case stopping, clearing:
		t.kill()
	case killing:
		t.phase = stuck
		t.reason = fmt.Sprintf("still there %s after SIGKILL", t.killWait())
		t.emit(app.EventWarning, t.reason)
	}
}
