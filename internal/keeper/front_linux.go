package keeper

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// front is the process that a keeper in the foreground lasts as long as. A nil one
// is none.
type front struct {
	*Front
	process *process  // nil before and after its life
	asked   time.Time // when the end was first asked for by a signal
	forced  bool      // and it was asked for again
}

// startFront starts it, with our standard files. Like all others it has a session of
// its own: a terminal's signals are for us.
func (k *keeper) startFront() error {
	argv := k.front.Argv
	p, err := k.children.start(launch{
		path: argv[0], argv: argv, env: daemonEnviron(k.home.dir), cgroup: none,
		files: []int{unix.Stdin, unix.Stdout, unix.Stderr},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	k.front.process = p
	return nil
}

func (f *front) is(p *process) bool { return f != nil && f.process == p }

// frontEnded lets the rest end as well.
func (k *keeper) frontEnded(p *process) {
	k.front.process = nil
	if !k.stopping {
		k.front.Status = &p.Exit.Status
		k.stop()
	}
}

// order is a signal that asks for the end.
func (k *keeper) order() {
	f := k.front
	switch {
	case f == nil:
		k.stop()
	case f.asked.IsZero():
		f.asked = time.Now()
		if !k.stopping {
			k.stop()
		}
	case time.Since(f.asked) >= Impatience && !f.forced:
		f.forced, k.stopping = true, true
		k.signalDaemon(unix.SIGKILL)
		k.finish()
	}
}

// outcome is what a keeper in the foreground has to say at its end.
func (f *front) outcome() error {
	if f != nil && f.forced {
		return ErrForced
	}
	return nil
}

// signal passes a signal on.
func (f *front) signal(sig os.Signal) {
	if s, ok := sig.(syscall.Signal); ok && f != nil && f.process != nil {
		_ = kill(f.process.PID, s) // ours and not reaped, so there it is
	}
}

// kill ends it, if it is still there.
func (f *front) kill() { f.signal(unix.SIGKILL) }

// note logs what is no trouble, which the foreground is spared.
func (k *keeper) note(format string, a ...any) {
	if k.front == nil {
		k.log.Printf(format, a...)
	}
}
