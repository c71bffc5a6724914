package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tuning is what tests change.
type tuning struct {
	noOrphanage bool
	hangUp      time.Duration // instead of hangUpPatience
}

// keeper is the state of a keeper. One goroutine owns it.
type keeper struct {
	home     *home
	log      *log.Logger
	null     int // /dev/null
	output   int // of the daemon, for what it logs
	stdout   int // of the daemon
	children *children
	shelf    shelf
	traps    map[string]*trap
	daemon   daemon
	front    *front   // nil if it is no keeper in the foreground
	session  *session // nil while there is none
	hangUp   time.Duration
	stopping bool  // no further daemon is to be started
	ending   bool  // what is left is being killed
	err      error // why we give up

	alarm   *time.Timer // the one thing waited for
	ring    func()      // what is to be done then
	recount *time.Timer // the process table has to be read again
}

const (
	// stopPatience is how long a daemon may take to stop everything after SIGTERM;
	// systemd's TimeoutStopSec default.
	stopPatience = 90 * time.Second
	// hangUpPatience is how long a daemon may live on after it has hung up.
	hangUpPatience = 5 * time.Second
	// endPatience is how long the end waits for killed processes, one of which may
	// hang in the kernel.
	endPatience = 5 * time.Second
	// recountDelay is when to read a process table again that was not conclusive.
	recountDelay = 10 * time.Millisecond
)

func run(ctx context.Context, o Options, t tuning) error {
	if len(o.Daemon) == 0 {
		return errors.New("start keeper: no daemon given")
	}
	if t.noOrphanage {
		return keep(ctx, o, t, nil)
	}
	// First of all, before the main thread is taken by something that blocks.
	return withOrphanage(func(orphans *orphanage) error { return keep(ctx, o, t, orphans) })
}

func keep(ctx context.Context, o Options, t tuning, orphans *orphanage) (err error) {
	h, err := openHome(o.Home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer closeFD(null)
	if err := becomeParent(o.Front != nil); err != nil {
		return err
	}
	closeInherited(o.Log)

	k := &keeper{
		home: h, log: log.New(io.Discard, "", 0), null: null, output: null,
		children: newChildren(h.dir, orphans),
		shelf:    shelf{}, traps: map[string]*trap{},
		daemon: daemon{argv: o.Daemon, respawn: respawn{binary: o.Daemon[0]}},
		alarm:  stoppedTimer(), recount: stoppedTimer(),
		hangUp: cmp.Or(t.hangUp, hangUpPatience),
	}
	if o.Log != nil {
		k.log = log.New(o.Log, "keeper: ", log.LstdFlags|log.Lmicroseconds|log.Lmsgprefix)
		k.output = int(o.Log.Fd())
	}
	k.stdout = k.output
	if o.Front != nil {
		k.front, k.stdout = &front{Front: o.Front}, unix.Stdout
	}
	defer k.shelf.clear()
	err = k.serve(ctx)
	k.front.kill()              // if the daemon could not be had
	for _, t := range k.traps { // Their processes are gone, or we are about to leave them.
		t.close()
	}
	runtime.KeepAlive(o.Log)
	return err
}

// becomeParent makes this process what its children need.
func becomeParent(foreground bool) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	// A session of its own, so that no terminal's signals reach us. A group leader
	// in a shell's foreground cannot have one, and wants those signals.
	if !foreground {
		if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("open session: %w", err)
		}
	}
	// There is little to do and little garbage: memory counts for more.
	const gcPercent, processors = 20, 2
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(min(processors, runtime.GOMAXPROCS(0)))
	return nil
}

// closeInherited closes what careless callers left open: a lock that a script holds,
// a pipe whose reader waits for its end. Descriptors of our own have the
// close-on-exec flag, and what came to us through exec cannot have it.
func closeInherited(except *os.File) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || fd <= unix.Stderr {
			continue
		}
		if except != nil && except.Fd() == uintptr(fd) {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			closeFD(fd)
		}
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// listen returns the signals that tell of deaths, those that ask for the end, and
// those to be passed on. A
// signal that is ignored asks for nothing; but it must not be ignored by the children
// for that, and what is ignored stays so through exec, unlike what is listened for.
func (k *keeper) listen() (deaths, orders, passed chan os.Signal) {
	deaths, orders, passed = make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 8)
	signal.Notify(deaths, unix.SIGCHLD)
	ends := []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP}
	if k.front != nil {
		ends = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT}
		signal.Notify(passed, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	}
	for _, sig := range ends {
		if !signal.Ignored(sig) {
			signal.Notify(orders, sig)
		}
	}
	const last = 64
	for sig := syscall.Signal(1); sig <= last; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return deaths, orders, passed
}

// serve is the life of a keeper: all that can happen to it is in one statement.
func (k *keeper) serve(ctx context.Context) error {
	deaths, orders, passed := k.listen()
	defer func() {
		signal.Stop(deaths)
		signal.Stop(orders)
		signal.Stop(passed)
	}()
	k.note("start, pid %d", os.Getpid())
	if k.children.orphanage == nil {
		k.log.Print("the main thread is not to be had: exits will be told later")
	}
	if err := k.startDaemon(); err != nil {
		return err
	}
	if k.front != nil {
		if err := k.startFront(); err != nil {
			return err
		}
	}
	stop := ctx.Done()
	for !k.done() {
		started, requests := k.hear()
		select {
		case <-deaths:
			k.reap()
		case r, ok := <-requests:
			if ok {
				k.handle(&r)
			} else {
				k.hungUp()
			}
		case <-started:
			k.session.started = nil
		case <-k.alarm.C:
			k.ring()
		case <-k.recount.C:
			k.reap()
		case <-orders:
			k.order()
		case sig := <-passed:
			k.front.signal(sig)
		case <-stop:
			stop = nil
			k.stop()
		}
	}
	k.note("end")
	return errors.Join(k.err, k.front.outcome())
}

// hear returns what there is to hear from the daemon. Requests are left alone as
// long as the inventory is not written: they would change it.
func (k *keeper) hear() (started <-chan struct{}, requests <-chan request) {
	switch {
	case k.session == nil:
		return nil, nil
	case k.session.started != nil:
		return k.session.started, nil
	}
	return nil, k.session.requests
}

// after arms the alarm.
func (k *keeper) after(d time.Duration, ring func()) {
	k.ring = ring
	k.alarm.Reset(d)
}

// reap finds out who has died and tells the daemon.
func (k *keeper) reap() {
	exited, gone := k.children.reap()
	for _, p := range exited {
		if p == k.daemon.process {
			k.daemonEnded(p)
			continue
		}
		if k.front.is(p) {
			k.frontEnded(p)
			continue
		}
		k.tell(kindExited, func(b []byte) []byte { return putExit(b, p.told().Exit) })
	}
	for _, p := range gone {
		if p.Key != "" {
			k.tell(kindGone, func(b []byte) []byte { return putString(b, p.Key) })
		}
	}
	if k.children.recount {
		k.recount.Reset(recountDelay)
	}
}

// tell sends an event, if there is somebody to hear it. A later daemon learns of it
// from the inventory.
func (k *keeper) tell(what kind, put func([]byte) []byte) {
	if k.session != nil {
		k.session.out.put(letter{bytes: end(put(begin(nil, what, 0, 0))), fd: none})
	}
}

// stop asks the daemon to stop everything and end.
func (k *keeper) stop() {
	k.stopping = true
	if k.daemon.process == nil {
		k.finish()
		return
	}
	k.note("asked to stop")
	k.signalDaemon(unix.SIGTERM)
	k.after(stopPatience, func() { k.signalDaemon(unix.SIGKILL) })
}

// finish kills what is left.
func (k *keeper) finish() {
	k.ending = true
	k.front.kill()
	for _, p := range k.children.byKey {
		if !p.Gone {
			if err := k.children.signalTree(p, unix.SIGKILL); err != nil {
				k.log.Printf("kill %s: %v", p.Key, err)
			}
		}
	}
	k.after(endPatience, func() {
		k.err = fmt.Errorf("end keeper: %d processes cannot be killed", len(k.children.leaders))
	})
}

func (k *keeper) done() bool {
	return k.err != nil || k.ending && len(k.children.leaders) == 0
}
