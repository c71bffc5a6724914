package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"paceline/internal/adopt"
	"paceline/internal/app"
	"paceline/internal/events"
	"paceline/internal/forward"
	"paceline/internal/history"
	"paceline/internal/keeper"
	"paceline/internal/logs"
	"paceline/internal/nodeipc"
	"paceline/internal/port"
	"paceline/internal/state"
	"paceline/internal/stats"
	"paceline/internal/supervisor"
)

// Options says what the daemon is given by the keeper that starts it.
type Options struct {
	Home    string   // $PACELINE_HOME
	Version string   // of this binary
	Exe     string   // its path
	Keeper  *os.File // the connection to the keeper
	Socket  *os.File // the listening API socket, which outlives the daemon
	Log     *slog.Logger
	// Foreground says that the apps' output may go to the daemon's own, that SIGTERM,
	// which ends ctx, ends the apps, and that nothing of them outlives the keeper:
	// what is wanted is not saved to a file.
	Foreground bool
}

// daemon is the parts, put together.
type daemon struct {
	Options
	log        *slog.Logger
	started    time.Time
	hub        *hub
	past       *events.Log // what has happened
	host       *host
	supervisor *supervisor.Supervisor
	triggers   *triggers
	counts     *counts
	history    atomic.Pointer[history.Store] // nil until historyOpen is closed
	saving     sync.Mutex                    // guards the files of saved apps
	remembered []byte                        // the state file is to be this in the end; nil: as it is then
	searches   chan struct{}                 // a token for each search of logs that reads files
	left       chan struct{}                 // a request asks the daemon to end
	ending     context.Context               // ends when the daemon does

	historyOpen chan struct{}
	changed     chan struct{} // holds a token while boundMemory has not seen the apps of now
}

// Run serves until ctx ends, the keeper is lost, or a request ends it. The apps
// stay as they are: the next daemon takes them over.
func Run(ctx context.Context, o Options) (err error) {
	debug.SetGCPercent(75) // less than Go's 100, as memory counts; a burst is cleaned up by sample
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	d := &daemon{
		Options: o, log: o.Log, started: time.Now(), searches: make(chan struct{}, maxSearches),
		left: make(chan struct{}, 1), ending: ending, counts: newCounts(), historyOpen: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	if err := d.makeFolders(); err != nil {
		return err
	}
	d.openEvents()
	defer func() { err = errors.Join(err, d.past.Close()) }()
	client, inventory, err := keeper.Dial(ctx, o.Keeper)
	if err != nil {
		return fmt.Errorf("reach the keeper: %w", err)
	}
	journal := filepath.Join(o.Home, "lib", "logs.journal")
	if nameless(o.Home) {
		journal = ""
	}
	kept := inherit(inventory)
	pump, err := logs.New(logs.Options{Log: d.warn, Journal: journal, Stage: openStage(client, kept, o.Log)})
	if err != nil {
		return fmt.Errorf("open log pump: %w", err)
	}
	watch, err := port.NewWatch()
	if err != nil {
		o.Log.Warn("watch accept queues", "error", err) // each set of ports then watches its own
	}
	d.host = &host{
		watch: watch, fresh: make(chan struct{}, 1),
		home: o.Home, exe: o.Exe, preload: d.writePreload(), keeper: client, pump: pump,
		stats: stats.New(stats.Options{}), log: o.Log, ending: ending,
		kept: kept, processes: map[string]*process{}, leaders: map[int]*process{},
		clusters: map[string]*cluster{}, resting: map[string]chan struct{}{}, answered: make(chan struct{}),
		hanged: map[int]string{},
	}
	d.host.adoption = &adoption{h: d.host}
	d.host.forward = forward.New(forward.Options{Pump: pump, Dir: d.forwardDir(), Tell: d.warnOf})
	if o.Foreground {
		d.host.printer = logs.NewPrinter(logs.PrinterOptions{Out: os.Stdout, Err: os.Stderr, Log: d.warn})
	}
	d.host.openFreezer()
	d.host.openCgroups()
	d.triggers = &triggers{ctx: ending, log: o.Log, home: o.Home, stale: make(chan struct{}, 1)}
	d.supervisor = supervisor.New(supervisor.Options{
		Host: d.host, Event: d.happened, Save: d.save,
	})
	d.triggers.supervisor = d.supervisor
	if err := d.restore(inventory); err != nil { //nolint:contextcheck // adopted apps outlive every context
		return err
	}

	var parts sync.WaitGroup
	lost := make(chan struct{})
	parts.Go(func() { defer close(lost); d.host.follow(client.Events()) })
	parts.Go(d.sample)
	parts.Go(d.tidy)
	parts.Go(d.trimLogs)
	parts.Go(d.reopenOnSignal)
	parts.Go(d.boundMemory)
	parts.Go(d.watchHangs)
	parts.Go(d.triggers.run)
	parts.Go(d.actHooks)
	server, served, err := d.serve(&parts)
	if err != nil {
		return err
	}
	d.writePID()
	o.Log.Info("daemon started", "version", o.Version, "pid", os.Getpid(), "starts", inventory.DaemonStarts)

	bereft := false
	select {
	case <-ctx.Done():
		if o.Foreground {
			d.endApps() //nolint:contextcheck // ctx has ended, and that is why
		}
	case <-d.left:
	case err = <-served:
	case <-lost:
		next := ", and another one starts them again"
		if o.Foreground {
			next = ""
		}
		o.Log.Error("the keeper is gone: its apps end" + next)
		bereft = true
	}
	end()
	// Answers in progress get a moment; a request that waits for an app does not.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	if shutErr := server.Shutdown(stop); shutErr != nil {
		err = errors.Join(err, server.Close())
	}
	d.supervisor.Close()
	if d.remembered != nil {
		err = errors.Join(err, state.WriteFile(d.statePath(), d.remembered))
	}
	if bereft {
		d.host.endAll()
	}
	if d.host.printer != nil {
		d.host.printer.Close()
	}
	d.host.forward.Close()
	err = errors.Join(err, d.host.close(), pump.Close(), client.Close())
	parts.Wait()
	if bereft && !o.Foreground {
		err = errors.Join(err, keeper.Ensure(context.WithoutCancel(ctx), o.Home, o.Exe))
	}
	return err
}

// leaveWithin is how long the answers in progress may take to be sent.
const leaveWithin = 100 * time.Millisecond

// nameless tells a home without files: keeper.Options.Home.
func nameless(home string) bool { return strings.HasPrefix(home, "@") }

// makeFolders makes what the daemon writes to.
func (d *daemon) makeFolders() error {
	if nameless(d.Home) {
		return nil
	}
	for _, name := range []string{"logs", "pids", "lib"} {
		if err := os.MkdirAll(filepath.Join(d.Home, name), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

// writePreload puts the drain preload where node can read it. Without it a
// reload still works; keep-alive clients are then not told to leave. As a rule the
// last daemon has written it: writing anew waits for the disk, and commands for us.
func (d *daemon) writePreload() string {
	if nameless(d.Home) {
		return ""
	}
	path := filepath.Join(d.Home, "lib", "drain.cjs")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, nodeipc.Preload()) {
		return path
	}
	if err := state.WriteFile(path, nodeipc.Preload()); err != nil {
		d.log.Error("write preload", "file", path, "error", err)
		return ""
	}
	return path
}

func (d *daemon) writePID() {
	if nameless(d.Home) {
		return
	}
	path := filepath.Join(d.Home, "daemon.pid")
	if err := writePIDFile(path, os.Getpid(), 0o600); err != nil {
		d.log.Warn("write pid file", "file", path, "error", err)
	}
}

// warn is the log of parts that know no logger.
func (d *daemon) warn(format string, a ...any) { d.log.Warn(fmt.Sprintf(format, a...)) }

// happened passes an event on.
func (d *daemon) happened(e app.Event) {
	if e.Type == app.EventStart {
		e.Version = d.host.versionOf(e.ID, e.Gen)
	}
	if e.ID >= 0 { // of an instance: else the host need not be there yet
		e = d.host.withoutSecrets(e)
	}
	d.counts.happened(e)
	d.hub.publish(e)
	if e.Type == app.EventMessage {
		return // may be many, and is the app's own matter
	}
	attrs := []any{"app", e.Name, "id", e.ID}
	if e.PID != 0 {
		attrs = append(attrs, "pid", e.PID)
	}
	if e.Exit != nil {
		attrs = append(attrs, "exit", e.Exit.String(), "uptime", e.Exit.Uptime)
	}
	if e.Detail != "" {
		attrs = append(attrs, "detail", e.Detail)
	}
	if e.By != "" {
		attrs = append(attrs, "by", e.By)
	}
	d.log.Info(string(e.Type), attrs...)
}

func (d *daemon) statePath() string { return filepath.Join(d.Home, "state.json") }

func (d *daemon) save(s supervisor.Saved) error {
	d.triggers.touch() // they look at the apps when those have changed
	select {
	case d.changed <- struct{}{}:
	default:
	}
	if d.Foreground {
		return nil
	}
	return state.Save(d.statePath(), s)
}

// load reads what was saved.
func (d *daemon) load() (saved supervisor.Saved, err error) {
	if d.Foreground {
		return saved, nil
	}
	if err = state.Load(d.statePath(), &saved); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return saved, err
}

// restore takes up where the last daemon stopped: the wanted apps come from
// state.json, what is fresher or missing there from the keeper.
func (d *daemon) restore(inventory *keeper.Inventory) error {
	saved, err := d.load()
	if err != nil {
		if !errors.Is(err, state.ErrCorrupt) {
			return fmt.Errorf("read state: %w", err)
		}
		d.log.Error("state file set aside; going on with what the keeper holds", "error", err)
	}
	records := map[int][]byte{}
	for id, note := range d.host.kept.notes(recordPrefix) {
		n, err := strconv.Atoi(id)
		if err != nil {
			d.log.Error("read record", "id", id, "error", err)
			continue
		}
		records[n] = note
	}
	running, unknown := d.host.kept.running()
	for _, key := range unknown {
		d.log.Error("forget process with an unknown key", "key", key)
	}
	if err := d.supervisor.Restore(saved, records, d.host.kept.notes(specPrefix), running); err != nil {
		return fmt.Errorf("restore apps: %w", err)
	}
	trap, _ := d.host.kept.entry(adopt.Name)
	calls, _ := d.host.kept.entry(callsName)
	d.host.settle()
	d.host.adoption.resume(trap, calls)
	d.triggers.touch()
	return nil
}

// tidy lets go of what apps shared once nothing of them runs.
func (d *daemon) tidy() {
	events, stop := d.hub.follow()
	defer stop()
	for {
		select {
		case <-d.ending.Done():
			return
		case e, ok := <-events:
			switch {
			case !ok:
				stop()
				events, stop = d.hub.follow()
			case e.Type == app.EventStop || e.Type == app.EventDelete || e.Type == app.EventOverlimit:
				d.host.rest(e.Name, d.slots(e.Name))
				if e.Type == app.EventDelete && len(d.slots(e.Name)) == 0 {
					if err := d.host.forward.Forget(e.Name); err != nil {
						d.warnOf(e.Name, err.Error())
					}
				}
			}
		}
	}
}

// slots returns the indexes of an app's instances.
func (d *daemon) slots(name string) (indexes []int) {
	for _, s := range d.supervisor.List() {
		if s.Name == name {
			indexes = append(indexes, s.Index)
		}
	}
	return indexes
}

// serve answers the API on the socket that the keeper holds.
func (d *daemon) serve(parts *sync.WaitGroup) (*http.Server, <-chan error, error) {
	l, err := net.FileListener(d.Socket)
	if err != nil {
		return nil, nil, fmt.Errorf("take over API socket: %w", err)
	}
	unixListener, ok := l.(*net.UnixListener)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("take over API socket: it is a %T", l), l.Close())
	}
	unixListener.SetUnlinkOnClose(false) // it goes on with the next daemon
	if err := d.Socket.Close(); err != nil {
		return nil, nil, fmt.Errorf("take over API socket: %w", err)
	}
	server := &http.Server{
		Handler:           d.ownUser(d.routes()),
		ConnContext:       d.withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	parts.Go(func() {
		err := server.Serve(unixListener)
		if !errors.Is(err, http.ErrServerClosed) {
			served <- fmt.Errorf("serve API: %w", err)
		}
	})
	return server, served, nil
}
