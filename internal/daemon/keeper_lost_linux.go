package daemon

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/app"
	"paceline/internal/stats"
)

// bereaved is a process whose keeper has died: nobody's child that we could wait
// for, known by its pidfd.
type bereaved struct {
	*process
	pidfd int
}

// endAll ends the processes that a dead keeper has left, as a stop would: the next
// keeper cannot take them over, and a second copy beside each would be worse.
func (h *host) endAll() {
	var left []bereaved
	patience := time.Duration(0)
	for _, p := range h.all() {
		fd, err := unix.PidfdOpen(p.pid, 0)
		if err != nil {
			continue // it has ended with its keeper or its channel
		}
		// Only now, since the descriptor cannot come to mean another process.
		if ticks, err := stats.StartTicks(p.pid); err != nil || ticks != p.startTicks {
			h.closePIDFD(fd)
			continue
		}
		left = append(left, bereaved{p, fd})
		patience = max(patience, time.Duration(p.Spec.KillTimeout))
		sig, err := app.ParseSignal(p.Spec.KillSignal)
		if err != nil {
			sig = unix.SIGINT // Validate has let it through, so this does not happen
		}
		h.signalPIDFD(fd, sig)
	}
	deadline := time.Now().Add(patience)
	for _, p := range left {
		if !h.waitPIDFD(p.pidfd, time.Until(deadline)) {
			h.signalPIDFD(p.pidfd, unix.SIGKILL)
			h.waitPIDFD(p.pidfd, time.Second)
		}
		h.closePIDFD(p.pidfd)
	}
}

func (h *host) signalPIDFD(fd int, sig unix.Signal) {
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		h.log.Warn("end process without keeper", "error", err)
	}
}

// waitPIDFD reports whether the process has ended within that time.
func (h *host) waitPIDFD(fd int, patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(time.Until(deadline), 0).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}

func (h *host) closePIDFD(fd int) {
	if err := unix.Close(fd); err != nil {
		h.log.Debug("close pidfd", "error", err)
	}
}
