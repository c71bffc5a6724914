package supervisor

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"paceline/internal/app"
)

// situation is an instance in a phase, under a policy.
type situation struct {
	label string // what is special; "" if nothing is
	m     machine
	p     policy
}

// plain is the default policy of a fork-mode app, node that of a cluster worker.
func plain() policy { d := app.Defaults(); return policyOf(&d) }

func node() policy {
	d := app.Defaults()
	d.Mode, d.Runtime = app.Cluster, app.RuntimeNode
	return policyOf(&d)
}

func with(p policy, change func(*policy)) policy { change(&p); return p }

func exitAfter(code int, d time.Duration) *app.Exit {
	return &app.Exit{Code: code, Uptime: app.Duration(d)}
}

// situations are those in which each phase can be, as far as they differ.
func situations(ph phase) []situation {
	crashed := exitAfter(1, 12*time.Millisecond)
	one := func(label string, m machine, p policy) situation {
		m.phase = ph
		return situation{label, m, p}
	}
	switch ph {
	case stopped:
		depends := with(plain(), func(p *policy) { p.depends = true })
		return []situation{
			one("", machine{}, plain()), one("depends_on", machine{}, depends),
			one("job", machine{}, with(plain(), func(p *policy) { p.job = true })),
		}
	case errored:
		return []situation{
			one("", machine{reason: "given up", unstable: 16, given: true, retry: true, exit: crashed}, plain()),
			one("no_retry", machine{reason: "given up", unstable: 16, given: true}, with(plain(), func(p *policy) { p.retries = false })),
		}
	case held:
		depends := with(plain(), func(p *policy) { p.depends = true })
		return []situation{
			one("", machine{asked: true}, depends),
			one("blocked", machine{asked: true, blocked: true, reason: "waits for db, which is errored"}, depends),
		}
	case waiting:
		return []situation{one("", machine{exit: crashed, unstable: 1, delay: time.Second}, plain())}
	case spawning:
		return []situation{
			one("", machine{}, plain()),
			one("by command", machine{asked: true}, plain()),
			one("on trial", machine{trial: true, asked: true}, plain()),
			one("cluster", machine{asked: true}, node()),
			one("wait_ready", machine{asked: true}, with(plain(), func(p *policy) { p.await = aMessage })),
			one("to stop", machine{then: thenStop}, plain()),
			one("to restart", machine{then: thenStart}, plain()),
			one("to end", machine{then: thenEnd}, plain()),
			one("to drain", machine{then: thenDrain}, plain()),
		}
	case launching:
		return []situation{
			one("", machine{}, node()),
			one("wait_ready", machine{}, with(node(), func(p *policy) { p.await = aMessage })),
			one("late", machine{late: true, reason: "not ready"}, node()),
			one("kill_timeout 0", machine{}, with(node(), func(p *policy) { p.killTimeout = 0 })),
		}
	case online:
		return []situation{
			one("", machine{}, plain()),
			one("kill_timeout 0", machine{}, with(plain(), func(p *policy) { p.killTimeout = 0 })),
			one("cluster, not ready", machine{}, node()),
			one("cluster, late", machine{late: true, reason: "not ready"}, node()),
			one("cluster, ready", machine{ready: true}, node()),
			one("wait_ready, not ready", machine{}, with(plain(), func(p *policy) { p.await = aMessage })),
			one("on trial", machine{trial: true}, node()),
			one("on_hang replace", machine{}, with(plain(), func(p *policy) { p.replacesHung = true })),
			one("shares a port, on_hang replace", machine{ready: true, sign: true}, with(node(), func(p *policy) { p.surges, p.replacesHung = true, true })),
			one("hangs, a successor starts", machine{hung: true, surging: true, aside: true, unfit: "hangs"}, with(node(), func(p *policy) { p.surges = true })),
			one("startup check", machine{aside: true}, with(plain(), func(p *policy) { p.startup = true })),
			one("readiness check", machine{aside: true}, with(plain(), func(p *policy) { p.readiness = true })),
			one("readiness check, ready", machine{ready: true, fit: true}, with(plain(), func(p *policy) { p.readiness = true })),
		}
	case draining:
		return []situation{one("", machine{then: thenEnd}, node())}
	case stopping:
		return []situation{
			one("to stop", machine{then: thenStop}, plain()),
			one("to restart", machine{then: thenStart}, plain()),
			one("to end", machine{then: thenEnd}, plain()),
			one("is examined", machine{then: byRules, hung: true, unfit: "hangs"}, plain()),
		}
	case killing:
		return []situation{
			one("to stop", machine{then: thenStop}, plain()),
			one("to restart", machine{then: thenStart}, plain()),
			one("to end", machine{then: thenEnd}, plain()),
		}
	case clearing:
		rules := func(label string, m machine, p policy) situation { return one(label, m, p) }
		return []situation{
			rules("fast failure", machine{exit: crashed}, plain()),
			rules("the 16th fast failure", machine{exit: crashed, unstable: 15}, plain()),
			rules("fast failure after it was given up", machine{exit: crashed, unstable: 16, given: true}, plain()),
			rules("after a long life", machine{exit: exitAfter(1, time.Hour), unstable: 15}, plain()),
			rules("exit code 0", machine{exit: exitAfter(0, time.Hour)}, plain()),
			rules("restart_delay", machine{exit: crashed}, with(plain(), func(p *policy) { p.restartDelay = time.Second })),
			rules("exp_backoff, first", machine{exit: crashed}, with(plain(), func(p *policy) { p.backoff = 100 * time.Millisecond })),
			rules("exp_backoff, second", machine{exit: crashed, delay: 100 * time.Millisecond}, with(plain(), func(p *policy) { p.backoff = 100 * time.Millisecond })),
			rules("its liveness check failed", machine{exit: exitAfter(0, time.Hour), unfit: "liveness check fails: refused"}, with(plain(), func(p *policy) { p.stopCodes = []int{0} })),
			rules("its startup check failed", machine{exit: exitAfter(0, time.Hour), unfit: "startup check fails: refused"}, with(plain(), func(p *policy) { p.startup = true })),
			rules("exit code in stop_exit_codes", machine{exit: crashed}, with(plain(), func(p *policy) { p.stopCodes = []int{1} })),
			rules("killed, 0 in stop_exit_codes", machine{exit: &app.Exit{Code: -1, Signal: "SIGKILL"}}, with(plain(), func(p *policy) { p.stopCodes = []int{0} })),
			rules("no_autorestart", machine{exit: crashed}, with(plain(), func(p *policy) { p.autorestart = false })),
			rules("on trial", machine{exit: crashed, trial: true}, plain()),
			rules("to stop", machine{exit: crashed, then: thenStop}, plain()),
			rules("to restart", machine{exit: crashed, then: thenStart}, plain()),
			rules("to end", machine{exit: crashed, then: thenEnd}, plain()),
		}
	case stuck:
		return []situation{
			one("by itself", machine{reason: "still there", then: byRules}, plain()),
			one("to stop", machine{reason: "still there", then: thenStop}, plain()),
			one("to restart", machine{reason: "still there", then: thenStart}, plain()),
			one("to end", machine{reason: "still there", then: thenEnd}, plain()),
		}
	}
	return []situation{one("", machine{}, plain())}
}

// everyMessage is the closed set, with its variants.
func everyMessage() []struct {
	label string
	message
} {
	failed := &app.Exit{Code: -1, Error: "exec /app: no such file or directory"}
	return []struct {
		label string
		message
	}{
		{"start", start{}},
		{"resume", resume{}},
		{"restart", restart{}},
		{"restart by cron", restart{cause: "cron"}},
		{"released", release{}},
		{"blocked", block{why: "waits for db, which is stopped", final: true}},
		{"stop", stop{}},
		{"remove", remove{}},
		{"retire", retire{}},
		{"promote", promote{restarts: 3}},
		{"reset", reset{}},
		{"started", started{pid: 1}},
		{"started, adopted", started{pid: 1, adopted: true, online: true, ready: true}},
		{"start failed", startFailed{exit: failed}},
		{"start failed for good", startFailed{exit: failed, permanent: true}},
		{"timer", timeout{}},
		{"online", Online{}},
		{"ready", Ready{}},
		{"listening", Listening{Addr: "*:3000"}},
		{"unlistening", Unlistening{Addr: "*:3000"}},
		{"exited", Exited{Exit: *exitAfter(1, 12*time.Millisecond)}},
		{"exited, descendants left", Exited{Exit: *exitAfter(1, 12*time.Millisecond), Left: 2}},
		{"gone", Gone{}},
		{"drained", Drained{}},
		{"startup check passes", Checked{Check: "startup", OK: true}},
		{"startup check fails", Checked{Check: "startup", Why: "refused"}},
		{"readiness check passes", Checked{Check: "readiness", OK: true}},
		{"readiness check fails", Checked{Check: "readiness", Why: "refused"}},
		{"liveness check passes", Checked{Check: "liveness", OK: true}},
		{"liveness check fails", Checked{Check: "liveness", Why: "refused"}},
		{"liveness check fails, no answer", Checked{Check: "liveness", Why: "no answer", Silent: true}},
		{"hangs", Hung{Why: "accepts nothing"}},
		{"examined", Examined{}},
		{"no successor", unreplaced{why: "it crashes"}},
		{"warned", Warned{Text: "x"}},
		{"message", Messaged{}},
	}
}

func (a action) String() string {
	switch a.verb {
	case spawn:
		return "**start a process**"
	case drain:
		return "drain"
	case ask:
		return "stop signal"
	case kill:
		return "SIGKILL"
	case forget:
		return "forget the process"
	case arm:
		return "timer " + a.wait.String()
	case keep:
		return "keep the timer"
	case serve:
		return "promote"
	case surge:
		return "start a successor"
	case observe:
		return "observe"
	case examine:
		return "examine"
	case rotate:
		if a.aside {
			return "out of rotation"
		}
		return "into rotation"
	}
	return "event " + string(a.event)
}

// outcome describes what a transition did.
func outcome(before, after machine, actions []action) (to, does string) {
	to = after.phase.String()
	if after.then != before.then && after.phase.alive() {
		to += ", then " + after.then.String()
	}
	var list []string
	for _, a := range actions {
		list = append(list, a.String())
	}
	if after.ready && !before.ready {
		list = append(list, "is ready")
	}
	if after.reason != "" && after.reason != before.reason {
		list = append(list, "reason: "+after.reason)
	}
	if after.restarts != before.restarts {
		list = append(list, fmt.Sprintf("restarts %d → %d", before.restarts, after.restarts))
	}
	if after.unstable != before.unstable {
		list = append(list, fmt.Sprintf("fast failures %d → %d", before.unstable, after.unstable))
	}
	if after.delay == 0 && before.delay > 0 && after.phase == before.phase {
		list = append(list, "the next wait is the first again")
	}
	return to, strings.Join(list, "; ")
}

// TestTable goes through every pair of phase and message. It checks what must
// hold for all of them and holds the whole table against docs/states.md.
func TestTable(t *testing.T) {
	var doc strings.Builder
	doc.WriteString(`# The life of an instance

Printed from the function next in internal/supervisor/state.go by its test, which fails when this file differs.
To write it anew: UPDATE=1 go test ./internal/supervisor -run TestTable

A message that is missing in a phase's table changes nothing there. A timer stops when the phase changes, unless
the table says otherwise: it can never reach a later process. Facts about an earlier process are dropped before
they come here. Once a process is gone, "then" says what follows; by the rules means that it has ended by itself
and the restart rules decide. The values are those of the defaults.

`)
	for ph := stopped; ph <= ended; ph++ {
		fmt.Fprintf(&doc, "## %s\n\nShown as %s.\n\n", ph, ph.state())
		var rows strings.Builder
		for _, msg := range everyMessage() {
			type row struct{ labels, to, does string }
			var list []row // one for each different outcome
			most, size := -1, map[int]int{}
			for _, s := range situations(ph) {
				after, actions := next(s.m, msg.message, s.p)
				checkTransition(t, fmt.Sprintf("%s (%s) + %s", ph, s.label, msg.label), s, msg.message, after, actions)
				to, does := outcome(s.m, after, actions)
				if after == s.m && len(actions) == 0 {
					to, does = "", ""
				}
				i := slices.IndexFunc(list, func(r row) bool { return r.to == to && r.does == does })
				if i < 0 {
					i = len(list)
					list = append(list, row{to: to, does: does})
				}
				label := cmp.Or(s.label, "by default")
				list[i].labels = strings.TrimPrefix(list[i].labels+", "+label, ", ")
				if size[i]++; most < 0 || size[i] > size[most] {
					most = i
				}
			}
			for i, r := range list {
				switch {
				case len(list) == 1:
					r.labels = ""
				case i == most && size[i] > 1:
					r.labels = "else"
				}
				if r.to != "" || (len(list) > 1 && r.labels != "else") {
					fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", msg.label, r.labels, cmp.Or(r.to, "no change"), r.does)
				}
			}
		}
		if rows.Len() == 0 {
			doc.WriteString("Nothing changes any more.\n\n")
			continue
		}
		doc.WriteString("| message | where | becomes | does |\n|---|---|---|---|\n" + rows.String() + "\n")
	}
	golden(t, filepath.Join("..", "..", "docs", "states.md"), doc.String())
}

// checkTransition checks what holds for every transition there is.
func checkTransition(t *testing.T, name string, s situation, m message, after machine, actions []action) {
	t.Helper()
	has := func(v verb) bool { return slices.ContainsFunc(actions, func(a action) bool { return a.verb == v }) }
	before := s.m.phase
	process := before >= launching && before <= stuck
	_, isGone := m.(Gone)
	switch {
	case has(spawn) && process && !isGone:
		t.Errorf("%s: starts a process beside the one there is", name)
	case has(spawn) && before == spawning && after.phase == spawning && !isFailure(m):
		t.Errorf("%s: starts a second process", name)
	case has(spawn) != (after.phase == spawning && (before != spawning || isFailure(m))):
		t.Errorf("%s: starting a process and being in spawning do not go together", name)
	case (has(ask) || has(kill) || has(drain) || has(forget)) && !process && !isStarted(m):
		t.Errorf("%s: acts on a process that is not there", name)
	case has(forget) != (process && isGone):
		t.Errorf("%s: a process is forgotten if and only if it is gone", name)
	case process && !after.phase.alive() && !isGone:
		t.Errorf("%s: a process is left behind", name)
	case (s.m.then == thenEnd || s.m.then == thenDrain) && after.phase != ended && after.then != thenEnd && after.then != thenDrain:
		t.Errorf("%s: the end of the instance is called off", name)
	case before == ended && (after != s.m || len(actions) > 0):
		t.Errorf("%s: something happens after the end", name)
	}
	timed := has(arm) || (has(keep) && before != after.phase)
	switch after.phase {
	case waiting, draining, stopping, killing, clearing:
		if after.phase != before && !has(arm) {
			t.Errorf("%s: %s without a timer would never end", name, after.phase)
		}
	case stopped, held, ended, stuck:
		if timed {
			t.Errorf("%s: %s has a timer", name, after.phase)
		}
	case errored:
		if before != errored && timed != after.retry {
			t.Errorf("%s: errored has a timer: %t, and is tried again: %t", name, timed, after.retry)
		}
	}
}

func isFailure(m message) bool { _, is := m.(startFailed); return is }
func isStarted(m message) bool { _, is := m.(started); return is }

// golden compares got with a file; UPDATE=1 writes the file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date (-file +table), UPDATE=1 writes it:\n%s", path, diff)
	}
}
