package daemon

import (
	"slices"
	"sync/atomic"

	"paceline/internal/app"
	"paceline/internal/cgroup"
	"paceline/internal/keeper"
	"paceline/internal/nodeipc"
	"paceline/internal/redact"
	"paceline/internal/supervisor"
)

// process is one running process and what belongs to it.
type process struct {
	supervisor.Launch
	key          string
	files        files
	sink         func(supervisor.Fact)
	cluster      *cluster                       // what it shares with the app's others; nil if nothing
	worker       atomic.Pointer[nodeipc.Worker] // our end of its channel, which speaks at once; nil if it has none
	input        *input                         // our end of its standard input; nil if it has none
	reports      reports                        // what it tells of itself
	cgroup       string                         // the folder of its own cgroup; "" if it has none
	cgroupParent *cgroup.Parent                 // what that is in

	pid        int                 // with startTicks, 0 until it has started
	startTicks uint64              // tells it from a later process of the same number
	stderrFrom int64               // where what it writes begins in its error log; 0 after a daemon restart
	revision   string              // of its code; see revision.Of
	clean      func(string) string // takes its secrets out of a text; nil: not started yet
	stderrDone chan struct{}       // closed when all it wrote to stderr is in the file
	ended      chan struct{}       // closed when it has ended
	exitTold   chan struct{}       // closed when the supervisor knows of its exit

	aside    bool        // its checks say that it is not ready, and it shares nothing yet; guarded by host.mu
	examined atomic.Bool // it is asked what it is doing, and what it listens on now is no port of its app

	remarks []string // what is special about it, for people; guarded by host.mu
}

// remark adds to what is special about a process.
func (h *host) remark(p *process, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(p.remarks, text) {
		p.remarks = append(p.remarks, text)
	}
}

// remarksOn returns what is special about the process with a pid.
func (h *host) remarksOn(pid int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.leaders[pid]; p != nil {
		return slices.Clone(p.remarks)
	}
	return nil
}

func (h *host) newProcess(l supervisor.Launch, sink func(supervisor.Fact)) *process {
	p := &process{
		Launch: l, key: keyOf(l.Ref), files: filesOf(h.home, l.Spec, l.ID), sink: sink,
		stderrDone: make(chan struct{}), exitTold: make(chan struct{}), ended: make(chan struct{}),
	}
	if p.files.err == "" && p.files.both == "" {
		close(p.stderrDone)
	}
	return p
}

// add makes a process known, with what it shares with the others of its app.
func (h *host) add(p *process) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.awaitRest(p.Spec.Name)
	before := h.clusters[p.Spec.Name] != nil || h.kept.has(clusterPrefix+p.Spec.Name)
	if before || asksPrimary(p.Spec) || len(p.Spec.Sockets) > 0 {
		if p.cluster, err = h.clusterOf(p.Spec); err != nil {
			return err
		}
	}
	h.processes[p.key] = p
	if p.aside && p.cluster != nil {
		p.cluster.setAside(p.key, true)
	}
	return nil
}

// share returns what the process shares with the others of its app, from the first
// time that it is wanted.
func (h *host) share(p *process) (_ *cluster, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.awaitRest(p.Spec.Name)
	if h.processes[p.key] != p {
		return nil, supervisor.ErrNoProcess
	}
	if p.cluster == nil {
		if p.cluster, err = h.clusterOf(p.Spec); err == nil && p.aside {
			p.cluster.setAside(p.key, true)
		}
	}
	return p.cluster, err
}

// sharedBy returns what the process shares, nil if nothing.
func (h *host) sharedBy(p *process) *cluster {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.cluster
}

// remove forgets a process and closes our end of its channel.
func (h *host) remove(p *process) {
	h.mu.Lock()
	delete(h.processes, p.key)
	if h.leaders[p.pid] == p {
		delete(h.leaders, p.pid)
	}
	c := p.cluster
	h.mu.Unlock()
	h.hangUp(p)
	if c != nil {
		c.mu.Lock()
		c.forget(p.key)
		c.mu.Unlock()
	}
}

// versionOf returns the revision of the code that a process was started with.
func (h *host) versionOf(id int, gen uint64) string {
	if p := h.find(keyOf(supervisor.Ref{ID: id, Gen: gen})); p != nil {
		return p.revision
	}
	return ""
}

// withoutSecrets returns an event whose texts hold no secrets of the process it is of: it
// is kept, and told to hooks.
func (h *host) withoutSecrets(e app.Event) app.Event {
	if e.Detail == "" && (e.Exit == nil || len(e.Exit.Stderr) == 0 && e.Exit.Error == "") {
		return e
	}
	clean := redact.Of(nil)
	if p := h.find(keyOf(supervisor.Ref{ID: e.ID, Gen: e.Gen})); p != nil && p.clean != nil {
		clean = p.clean
	}
	e.Detail = clean(e.Detail)
	if e.Exit != nil {
		exit := *e.Exit
		exit.Error, exit.Stderr = clean(exit.Error), nil
		for _, line := range e.Exit.Stderr {
			exit.Stderr = append(exit.Stderr, clean(line))
		}
		e.Exit = &exit
	}
	return e
}

// secretsOf is what takes the secrets of an app's processes out of a text.
func secretsOf(spec *app.Spec) func(string) string {
	env, err := variables(spec)
	if err != nil { // a .env file is gone
		env = spec.Env
	}
	return redact.Of(env)
}

func (h *host) find(key string) *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[key]
}

// pidOf returns the pid of a process, 0 if there is none or it has not started.
func (h *host) pidOf(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.processes[key]; p != nil {
		return p.pid
	}
	return 0
}

// track has a process sampled, for the first time at once.
func (h *host) track(p *process, ran keeper.Process) {
	h.mu.Lock()
	p.pid, p.startTicks = ran.PID, ran.StartTicks
	h.leaders[ran.PID] = p
	h.mu.Unlock()
	h.stats.Track(p.ID, ran.PID, ran.StartTicks)
	select {
	case h.fresh <- struct{}{}:
	default: // it will see this one, too
	}
}

// count returns how many processes there are.
func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.processes)
}

// all returns the processes that have been started.
func (h *host) all() (list []*process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		if p.pid != 0 {
			list = append(list, p)
		}
	}
	return list
}

// sampleInstead has another process of the instance sampled, now that p has ended: its
// successor is already, and its predecessor is again if p did not prove itself.
func (h *host) sampleInstead(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var heir *process
	for _, other := range h.processes {
		if other.ID == p.ID && other != p && other.alive() && (heir == nil || other.Gen > heir.Gen) {
			heir = other
		}
	}
	switch {
	case heir == nil:
		h.stats.Untrack(p.ID)
	case heir.Gen < p.Gen && heir.pid != 0:
		h.stats.Track(p.ID, heir.pid, heir.startTicks)
	}
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// startsUnderWay returns what is closed when the next start has been answered, nil
// if there is none.
func (h *host) startsUnderWay() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.starting == 0 {
		return nil
	}
	return h.answered
}

// leader returns the process of ours with this pid.
func (h *host) leader(pid int) *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaders[pid]
}
