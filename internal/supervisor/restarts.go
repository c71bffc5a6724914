package supervisor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"paceline/internal/app"
)

// follow goes on after the process is gone.
func (t *transition) follow() {
	switch t.then {
	case byRules:
		t.byRestartRules()
	case thenStop:
		t.down(stopped, "")
		t.emit(app.EventStop, "")
	case thenStart:
		t.emit(app.EventRestart, cmp.Or(t.cause, causeUser))
		t.afresh()
	case thenEnd, thenDrain:
		t.down(ended, "")
	}
}

// byRestartRules decides what follows a process that ended by itself.
func (t *transition) byRestartRules() {
	exit := t.exit
	uptime := time.Duration(exit.Uptime)
	fast := uptime < t.minUptime || exit.Error != "" || t.unfit != "" && t.startup && !t.passed
	switch {
	case t.trial:
		t.down(errored, cmp.Or(t.unfit, ending(exit)))
		return
	case t.unfit == "" && exit.Signal == "" && exit.Error == "" && slices.Contains(t.stopCodes, exit.Code):
		t.unstable = 0
		t.rest()
		return
	case !t.autorestart:
		t.rest()
		return
	case fast:
		t.unstable++
	default:
		t.unstable, t.given = 0, false
	}
	if fast && (t.unstable >= t.maxRestarts || t.given) {
		t.giveUp()
		return
	}
	t.delay = t.nextDelay(t.delay, uptime)
	wait := t.delay
	if exit.Error != "" {
		wait = max(wait, startRetry)
	}
	t.ready, t.late, t.reason = false, false, ""
	if wait > 0 {
		t.phase, t.then = waiting, byRules
		t.arm(wait)
		return
	}
	t.again()
}

// giveUp ends the restarts after too many fast failures. Later it is tried once
// more, as what was missing may have come back.
func (t *transition) giveUp() {
	reason := fmt.Sprintf("%s in a row, the last: %s", count(t.unstable, "fast failure"), cmp.Or(t.unfit, ending(t.exit)))
	t.down(errored, reason)
	if !t.given {
		t.emit(app.EventOverlimit, reason)
	}
	t.given = true
	if t.retries {
		t.retry = true
		t.arm(app.SlowRetry)
	}
}

// again restarts by the rules.
func (t *transition) again() {
	t.restarts++
	t.emit(app.EventRestart, cmp.Or(t.unfit, ending(t.exit)))
	t.spawn(false)
}
