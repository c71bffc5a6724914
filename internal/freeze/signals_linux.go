package freeze

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/proctree"
)

// stopped is a process that we have sent SIGSTOP.
type stopped struct {
	Process
	pidfd int
	still bool
}

// stopProcesses stops the tree by signals.
//
// A process that is stopped does not fork, but one that is being stopped may have just
// forked, and its child has not got the signal. So it looks for new members until a
// look that begins while all stand still finds none.
func (z *Freezer) stopProcesses(t Target, deadline time.Time) (thaw func(), err error) {
	roots := make([]proctree.Process, len(t.Roots))
	for i, r := range t.Roots {
		roots[i] = proctree.Process{PID: r.PID, StartTicks: r.StartTicks}
	}
	tree := proctree.New(roots...)
	var list []*stopped
	thaw = func() { z.goOn(list) }
	defer func() {
		if err != nil {
			z.mu.Lock()
			defer z.mu.Unlock()
			thaw()
			thaw = nil
		}
	}()
	seen := map[Process]bool{}
	wait := pauser{deadline: deadline}
	for still := false; ; {
		members, err := tree.Descendants()
		if err != nil {
			return thaw, err
		}
		fresh := false
		for _, m := range members {
			p := Process{PID: m.PID, StartTicks: m.StartTicks}
			if seen[p] {
				continue
			}
			seen[p], fresh = true, true
			s, err := z.stopProcess(p)
			if s != nil {
				list = append(list, s)
			}
			if err != nil {
				return thaw, fmt.Errorf("stop process %d: %w", p.PID, err)
			}
		}
		if still && !fresh {
			return thaw, nil
		}
		moving, err := firstMoving(list)
		still = moving == nil
		switch {
		case err != nil:
			return thaw, err
		case moving != nil && !wait.pause():
			return thaw, fmt.Errorf("stop process %d: a thread still runs after %v", moving.PID, t.Limit)
		case !time.Now().Before(deadline):
			return thaw, fmt.Errorf("stop process %d: it starts others all the time", t.Roots[0].PID)
		}
	}
}

// stopProcess sends SIGSTOP; nil if the process has ended, or has been stopped by
// somebody else.
func (z *Freezer) stopProcess(p Process) (*stopped, error) {
	if p.PID == os.Getpid() || p.PID == os.Getppid() {
		return nil, errors.New("it is our own or our parent")
	}
	if still, err := standsStill(p.PID); still || err != nil {
		return nil, err
	}
	fd, err := openProcess(p)
	if fd < 0 || err != nil {
		return nil, err
	}
	s := &stopped{Process: p, pidfd: fd}
	if err := z.enter(p, ""); err != nil {
		return s, err
	}
	err = unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		s.still, err = true, nil
	}
	return s, err
}

// openProcess returns a pidfd; -1 if the process has ended. What that refers to cannot
// change once its start time has been found to be the same.
func openProcess(p Process) (int, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	if now, ok := proctree.Find(p.PID); !ok || now.StartTicks != p.StartTicks {
		unix.Close(fd) //nolint:errcheck // a pidfd
		return -1, nil
	}
	return fd, nil
}

// firstMoving returns one of which a thread does not stand still, nil if all do.
func firstMoving(list []*stopped) (*stopped, error) {
	for _, s := range list {
		if s.still {
			continue
		}
		still, err := standsStill(s.PID)
		if err != nil {
			return nil, err
		}
		if !still {
			return s, nil
		}
		s.still = true
	}
	return nil, nil
}

var errMoves = errors.New("a thread does not stand still")

// standsStill tells whether all threads of a process are stopped, by a signal or a
// tracer, or have ended. A thread in that state has left whatever call it was in.
func standsStill(pid int) (bool, error) {
	err := proctree.EachThread(pid, func(tid int) error {
		state, err := proctree.ThreadState(pid, tid)
		if err != nil {
			return err
		}
		switch state {
		case 'T', 't', 'Z', 'X', 'x':
			return nil
		}
		return errMoves
	})
	if errors.Is(err, errMoves) {
		return false, nil
	}
	return err == nil, err
}

// goOn continues what we have stopped and strikes it out. It is called under mu.
func (z *Freezer) goOn(list []*stopped) {
	for _, s := range list {
		_ = unix.PidfdSendSignal(s.pidfd, unix.SIGCONT, nil, 0) // fails only if it has ended
		unix.Close(s.pidfd)                                     //nolint:errcheck // a pidfd
		delete(z.processes, s.PID)
	}
	// If it could not be written the next daemon continues what runs already, which
	// does no harm.
	_ = z.write()
}

// resume continues a process that an earlier daemon has stopped.
func resume(p Process) error {
	fd, err := openProcess(p)
	if err == nil && fd >= 0 {
		defer unix.Close(fd) //nolint:errcheck // a pidfd
		err = unix.PidfdSendSignal(fd, unix.SIGCONT, nil, 0)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("continue process %d: %w", p.PID, err)
	}
	return nil
}
