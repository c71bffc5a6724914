package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paceline/internal/app"
	"paceline/internal/cgroup"
	"paceline/internal/forward"
	"paceline/internal/freeze"
	"paceline/internal/keeper"
	"paceline/internal/logs"
	"paceline/internal/port"
	"paceline/internal/revision"
	"paceline/internal/stats"
	"paceline/internal/supervisor"
)

// host gives the supervisor's instances their processes: it puts together pipes,
// channel, sockets and environment, has the keeper spawn, and turns what the
// keeper and the channels report into facts. It implements supervisor.Host.
type host struct {
	home    string
	exe     string // path of this binary
	preload string // path of the drain preload; "" if it could not be written
	keeper  *keeper.Client
	pump    *logs.Pump
	forward *forward.Manager
	printer *logs.Printer // nil if the daemon is in the background
	stats   *stats.Sampler
	log     *slog.Logger
	kept    *inheritance
	fresh   chan struct{} // holds a token while a process has not been sampled
	watch   *port.Watch   // shared by all sets of ports; nil if there is none

	checks   sync.WaitGroup // of the processes' health
	adoption *adoption
	freezer  *freeze.Freezer // nil if there is none
	cgroups  *cgroup.Parent  // nil if none can be made
	ending   context.Context // ends when the daemon does

	reporting sync.Mutex // held while a report is saved

	mu        sync.Mutex // guards what follows
	processes map[string]*process
	leaders   map[int]*process // by pid
	clusters  map[string]*cluster
	resting   map[string]chan struct{} // closed when the app's ports are let go
	hanged    map[int]string           // by instance: its last process that hung, for people
	starting  int                      // how many processes the keeper is asked for
	answered  chan struct{}            // closed when it has answered for the next of them
}

// spawnTimeout bounds a spawn: exec can hang on a dead network file system, and
// the instance must not hang with it.
const spawnTimeout = 30 * time.Second

// Start runs a process for one generation of an instance.
func (h *host) Start(l supervisor.Launch, sink func(supervisor.Fact)) (pid int, started time.Time, err error) {
	p := h.newProcess(l, sink)
	p.aside = beginsAside(l.Spec)
	h.watchForward(p)
	var ours []*os.File // needed until the process has them
	defer func() {
		for _, f := range ours {
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			h.closeInput(p)
		}
	}()

	p.clean = secretsOf(l.Spec)
	p.stderrFrom, p.revision = fileSize(p.files.err), revision.Of(l.Spec.Exec, l.Spec.Cwd)
	path, argv := command(l.Spec, h.preload)
	spawn := keeper.Spawn{
		Key: p.key, Path: path, Argv: argv, Dir: l.Spec.Cwd, Files: []*os.File{nil}, Credential: credential(l.Spec.User),
	}
	if hasInput(l.Spec) {
		child, kept, err := h.openInput(p)
		if err != nil {
			return 0, time.Time{}, err
		}
		ours = append(ours, child, kept.File)
		spawn.Files[0] = child
		spawn.Keep = append(spawn.Keep, kept)
	}
	for _, stream := range []string{"out", "err"} {
		out, err := h.openOutput(p, stream)
		ours = append(ours, out.ours...)
		if err != nil {
			return 0, time.Time{}, err
		}
		spawn.Files = append(spawn.Files, out.file)
		spawn.Keep = append(spawn.Keep, out.keep...)
	}

	// Before the spawn: its exit may be told before Spawn returns.
	if err := h.add(p); err != nil {
		return 0, time.Time{}, err
	}
	defer func() {
		if err != nil {
			h.remove(p)
		}
	}()
	if spawn.Trap, err = h.adoption.trapName(l.Spec); err != nil {
		return 0, time.Time{}, err
	}
	if spawn.CgroupFD = h.makeCgroup(p); spawn.CgroupFD != nil {
		ours = append(ours, spawn.CgroupFD)
	}
	given := given{pm2: h.pm2Vars(l)}
	if asksPrimary(l.Spec) {
		given.worker = p.cluster.nextWorker()
	}
	if l.Spec.SDKWorkers() {
		given.asks = adopts(l.Spec) && spawn.Trap == ""
		p.cluster.setUntrapped(given.asks)
	}
	var listens []net.Addr
	if len(l.Spec.Sockets) > 0 {
		var files []*os.File
		files, listens, err = p.cluster.handSockets(p)
		ours = append(ours, files...)
		if err != nil {
			return 0, time.Time{}, err
		}
		spawn.Files = append(spawn.Files, files...)
		given.sockets = l.Spec.Sockets
		spawn.Path, spawn.Argv = withListenPID(h.exe, spawn.Path, spawn.Argv)
	}
	if hasChannel(l.Spec) {
		child, kept, err := h.openChannel(p)
		if err != nil {
			return 0, time.Time{}, err
		}
		ours = append(ours, child, kept.File)
		given.channel = len(spawn.Files)
		spawn.Files = append(spawn.Files, child)
		spawn.Keep = append(spawn.Keep, kept)
	}
	if spawn.Env, err = environ(l, given); err != nil {
		return 0, time.Time{}, err
	}

	ran, err := h.spawn(p, spawn)
	if err != nil {
		return 0, time.Time{}, err
	}
	h.writePID(p, ran.PID)
	h.checkHealth(p)
	if len(listens) > 0 {
		p.cluster.seated(p, listens)
	}
	return ran.PID, ran.Started, nil
}

// spawn has the keeper start a process.
func (h *host) spawn(p *process, s keeper.Spawn) (keeper.Process, error) {
	h.mu.Lock()
	h.starting++
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), spawnTimeout)
	defer cancel()
	ran, err := h.keeper.Spawn(ctx, s)
	if err == nil {
		h.track(p, ran)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.starting--
	close(h.answered)
	h.answered = make(chan struct{})
	return ran, err
}

// Adopt takes over a process that an earlier daemon started. What became of it
// while there was no daemon is told to sink.
func (h *host) Adopt(l supervisor.Launch, sink func(supervisor.Fact)) (pid int, started time.Time, err error) {
	p := h.newProcess(l, sink)
	ran, ok := h.kept.process(p.key)
	if !ok {
		return 0, time.Time{}, supervisor.ErrNoProcess
	}
	p.clean, p.revision = secretsOf(l.Spec), revision.Of(l.Spec.Exec, l.Spec.Cwd)
	if entry, ok := h.kept.entry(inputName(p.key)); ok && entry.File != nil {
		p.input = newInput(entry.File)
	}
	if err := h.add(p); err != nil {
		return 0, time.Time{}, err
	}
	h.watchForward(p)
	h.resumeCgroup(p)
	for _, stream := range []string{"out", "err"} {
		h.resumeLog(p, stream)
	}
	h.resumeReport(p)
	if entry, ok := h.kept.entry(channelName(p.key)); ok && entry.File != nil {
		if err := h.attach(p, entry.File, entry.Note); err != nil {
			h.log.Warn("take up channel", "process", p.key, "error", err)
		} else if p.cluster != nil { // it may have told of its listeners before it could be taken out
			h.place(p.cluster)
		}
	}
	h.track(p, ran)
	if ran.Exit != nil {
		h.exited(*ran.Exit)
	} else {
		h.checkHealth(p)
	}
	if ran.Gone {
		h.gone(p.key)
	}
	return ran.PID, ran.Started, nil
}

// Signal sends sig to a process or its whole tree.
func (h *host) Signal(r supervisor.Ref, sig syscall.Signal, tree bool) error {
	scope := keeper.Leader
	if tree {
		scope = keeper.Tree
	}
	return h.keeper.Signal(keyOf(r), sig, scope)
}

// Message sends a JSON value to a process over its channel.
func (h *host) Message(r supervisor.Ref, message []byte) error {
	p := h.find(keyOf(r))
	if p == nil {
		return errNoChannel
	}
	worker := p.worker.Load()
	if worker == nil {
		return errNoChannel
	}
	return worker.Send(message)
}

var errNoChannel = errors.New("no channel to the process")

// Drain asks a Node worker to finish what it has, and waits until any other program
// has no request in flight. It says false where there is nothing to wait for: the
// process cannot be drained, or is to end by a message, for which the channel must
// stay open.
func (h *host) Drain(r supervisor.Ref) bool {
	p := h.find(keyOf(r))
	if p == nil {
		return false
	}
	if !isClusterNode(p.Spec) {
		if drained := h.drainAdopted(p); drained || !p.Spec.SDKWorkers() {
			return drained
		}
	}
	worker := p.worker.Load()
	if worker == nil || p.cluster == nil {
		return false
	}
	p.cluster.setLeaving(p.key)
	h.place(p.cluster) // another one that was kept out may be needed now
	err := worker.Rotate(false)
	if err == nil {
		err = worker.Drain(drainOptions(p.Spec))
	}
	if err != nil {
		h.log.Debug("drain", "process", p.key, "error", err)
		return false
	}
	if p.Spec.ShutdownWithMessage {
		return false
	}
	if err := worker.Disconnect(); err != nil {
		h.log.Debug("disconnect", "process", p.key, "error", err)
		return false
	}
	return true
}

// Forget drops what belongs to a process that is gone.
func (h *host) Forget(r supervisor.Ref) {
	key := keyOf(r)
	p := h.find(key)
	if p != nil {
		h.remove(p)
		h.removeCgroup(p)
		h.closeInput(p)
	}
	if err := h.keeper.Forget(key); err != nil {
		h.log.Debug("forget process", "process", key, "error", err)
	}
	if err := h.keeper.Drop(channelName(key), inputName(key), reportName(key)); err != nil {
		h.log.Debug("drop channel", "process", key, "error", err)
	}
}

// Save keeps an instance's record beyond the daemon's death; nil deletes it.
func (h *host) Save(id int, record []byte) { h.note(recordPrefix+strconv.Itoa(id), record) }

// SaveSpec keeps an app's spec beyond the daemon's death; nil deletes it.
func (h *host) SaveSpec(name string, spec []byte) { h.note(specPrefix+name, spec) }

// note does not wait for the keeper, as each restart would; its order with what is
// asked for next is certain.
func (h *host) note(name string, note []byte) {
	if err := h.keeper.Note(keeper.Named{Name: name, Note: note}); err != nil {
		h.log.Error("keep note", "name", name, "error", err)
	}
}

// follow turns the keeper's events into facts until the keeper is lost.
func (h *host) follow(events <-chan keeper.Event) {
	for e := range events {
		if e.Exited != nil {
			h.exited(*e.Exited)
		}
		if e.Gone != "" {
			h.gone(e.Gone)
		}
	}
}

// stderrWait bounds how long the news of an exit waits for the last lines that the
// process wrote, which come through another pipe. They are nearly always there.
// Where children hold the pipe open its end does not come, and nobody waits.
const stderrWait = 20 * time.Millisecond

// exited tells the supervisor that a process has ended.
func (h *host) exited(e keeper.Exit) {
	p := h.find(e.Key)
	if p == nil {
		return
	}
	close(p.ended)
	h.sampleInstead(p)
	h.hangUp(p)
	c := h.sharedBy(p)
	if c != nil {
		c.retire(p.key)
	}
	exit := app.ExitOf(e.Status)
	exit.OOM, exit.At = e.OOM, e.At
	if c != nil && exit.Code > 0 { // now: it is forgotten when nothing is left of the process
		exit.Error = c.refusal(p)
	}
	go func() { // gone waits for exitTold, so that the two stay in order
		defer close(p.exitTold)
		if e.Left == 0 && e.Status.Signal() != syscall.SIGKILL { // nobody has last words then
			patience := time.NewTimer(stderrWait)
			defer patience.Stop()
			select {
			case <-p.stderrDone:
			case <-patience.C:
			}
		}
		exit.Stderr = h.lastLines(p)
		p.sink(supervisor.Exited{Exit: exit, Left: e.Left})
	}()
}

// gone tells the supervisor that nothing of a process is left.
func (h *host) gone(key string) {
	p := h.find(key)
	if p == nil {
		return
	}
	h.removePID(p)
	if c := h.sharedBy(p); c != nil {
		c.stand(key)
	}
	go func() {
		<-p.exitTold
		p.sink(supervisor.Gone{})
	}()
}

// close lets go of the channels without a word to the processes. All that
// matters is with the keeper, the ports too: those end with this process.
func (h *host) close() (err error) {
	h.mu.Lock()
	processes, clusters := h.processes, h.clusters
	h.processes, h.clusters = map[string]*process{}, map[string]*cluster{}
	h.mu.Unlock()
	h.checks.Wait() // they end with h.ending
	err = h.adoption.close()
	for _, c := range clusters { // before its workers: nothing is to be handed on to another
		if c.primary != nil {
			c.primary.Close()
		}
	}
	for _, p := range processes {
		if w := p.worker.Load(); w != nil && (p.cluster == nil || p.cluster.primary == nil) {
			err = errors.Join(err, w.Close())
		}
	}
	return err
}
