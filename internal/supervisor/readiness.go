package supervisor

import "paceline/internal/app"

// comeUp takes the instance from launching to online.
func (t *transition) comeUp() {
	t.phase = online
	t.act(keep)
	t.emit(app.EventOnline, "")
	if t.startup || t.readiness {
		t.judge("") // the checks may have passed before
	}
	t.place(false)
	if !t.shows() && t.late {
		t.late, t.reason = false, ""
	}
}

func (t *transition) onReady() {
	if t.phase == launching {
		t.comeUp()
	}
	if t.phase == online {
		t.sign = true
		t.judge("")
	}
}

// judge works out whether the instance is ready. why says what has failed.
func (t *transition) judge(why string) {
	if t.phase != online {
		return
	}
	ready := (t.sign || t.await == nothing) && (t.passed || !t.startup) && (t.fit || !t.readiness)
	switch {
	case ready && !t.ready:
		t.late, t.reason = false, ""
		t.emit(app.EventReady, "")
	case !ready && t.ready:
		t.reason, t.late = why, true // the timer of its start has nothing to add
		t.emit(app.EventWarning, why)
	}
	t.ready = ready
}

// place puts the instance into the rotation or out of it, as its checks have it. A
// process on trial is out until it is promoted, whatever they say. again: tell the
// host though nothing has changed.
func (t *transition) place(again bool) {
	aside := t.startup && !t.passed || t.readiness && !t.fit || t.unfit != ""
	if aside == t.aside && !again {
		return
	}
	t.aside = aside
	t.actions = append(t.actions, action{verb: rotate, aside: aside})
}

// onChecked takes in the result of a health check.
func (t *transition) onChecked(msg Checked) {
	if t.phase != launching && t.phase != online {
		return
	}
	why := msg.Check + " check fails: " + msg.Why
	switch {
	case msg.Check == "readiness":
		t.fit = msg.OK
		t.place(false)
		t.judge(why)
	case msg.Check == "startup" && msg.OK:
		t.passed = true
		t.place(false)
		t.judge("")
	case !msg.OK: // it is replaced by the restart rules
		t.unfit = why
		t.place(false)
		t.emit(app.EventWarning, why)
		if msg.Check == "startup" && !t.trial { // a failed start
			t.end(byRules)
			return
		}
		switch {
		case msg.Silent && t.replacesHung:
			t.hung = true
		case msg.Silent && !t.surging:
			t.actions = append(t.actions, action{verb: observe, detail: why})
		}
		t.replaceUnfit()
	}
}

// onHung takes in that the process accepts no connections any more.
func (t *transition) onHung(msg Hung) {
	switch {
	case t.phase != online || t.trial || t.hung:
		return
	case !t.replacesHung:
		t.actions = append(t.actions, action{verb: observe, detail: msg.Why})
		return
	}
	t.hung, t.unfit = true, msg.Why
	t.place(false)
	t.replaceUnfit()
}

// replaceUnfit has a process replaced that does not work: a successor comes first where
// it can be beside it, else by the restart rules.
func (t *transition) replaceUnfit() {
	switch {
	case t.surging:
	case t.trial && t.phase == online: // it may have begun to serve beside the old process
		t.drain()
	case t.surges && t.phase == online && t.autorestart:
		t.surging, t.reason = true, t.unfit
		t.act(surge)
	default:
		t.end(byRules)
	}
}

func (t *transition) onListening() {
	if t.await != aMessage {
		t.onReady()
	} else if t.phase == launching {
		t.comeUp()
	}
}

// missing says what an instance lacks to be ready.
func (m *machine) missing(p policy) string {
	switch {
	case m.phase == launching:
		return "it has not come up"
	case p.await == aMessage && !m.sign:
		return "no 'ready' message"
	case p.startup && !m.passed:
		return "its startup check has not passed"
	case p.readiness && !m.fit:
		return "its readiness check has not passed"
	}
	return "it listens on nothing"
}
