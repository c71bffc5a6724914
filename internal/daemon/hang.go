package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"paceline/internal/keeper"
	"paceline/internal/logs"
	"paceline/internal/reportdir"
	"paceline/internal/stacks"
	"paceline/internal/supervisor"
)

const (
	// hangEvery is how often it is looked whether processes accept connections.
	hangEvery = time.Second
	// examineLimit bounds how long a runtime is asked what it is doing. It is shorter
	// than the supervisor's patience.
	examineLimit = 10 * time.Second
	// dumpPart is how much of what a Go program prints at SIGQUIT is kept.
	dumpPart = 512 << 10
)

// hang is what is known of a process that does not accept.
type hang struct {
	since, seen time.Time
	where       string
	waiting     int
}

// watchHangs looks for processes that accept no connections, and tells the supervisor of
// those that do not for as long as their app allows, once.
func (d *daemon) watchHangs() {
	tick := time.NewTicker(hangEvery)
	defer tick.Stop()
	told := map[string]bool{} // by process
	for {
		select {
		case <-d.ending.Done():
			return
		case <-tick.C:
		}
		found := d.host.hangs()
		for key := range told {
			if _, still := found[key]; !still {
				delete(told, key)
			}
		}
		for key, is := range found {
			p := d.host.find(key)
			lasts := is.seen.Sub(is.since)
			if p == nil || told[key] || lasts < p.Spec.HangLimit() {
				continue
			}
			told[key] = true
			p.sink(supervisor.Hung{Why: fmt.Sprintf(
				"it has accepted no connections on %s for %s, and %s", is.where, lasts.Round(time.Second), waits(is.waiting))})
		}
	}
}

func waits(n int) string {
	switch n {
	case 0: // those that came were moved to other copies
		return "those that came for it have gone to other copies"
	case 1:
		return "1 waits"
	}
	return fmt.Sprintf("%d wait", n)
}

// hangs returns the processes that accept nothing at present, by key.
func (h *host) hangs() map[string]hang {
	found := map[string]hang{}
	h.mu.Lock()
	clusters := map[*cluster][]*process{}
	for _, p := range h.processes {
		if p.cluster != nil && p.pid != 0 {
			clusters[p.cluster] = append(clusters[p.cluster], p)
		}
	}
	h.mu.Unlock()
	for c, processes := range clusters {
		for _, s := range c.set.Stalled() {
			for _, p := range processes {
				if s.Slot < 0 && c.handsOff() || s.Slot >= 0 && !c.sits(p, s.Slot) || !c.serves(p) {
					continue
				}
				found[p.key] = hang{since: s.Since, seen: s.Seen, where: s.Address, waiting: s.Waiting}
			}
		}
		if !c.handsOff() {
			continue
		}
		for _, p := range processes {
			worker := p.worker.Load()
			if worker == nil || !c.serves(p) {
				continue
			}
			if since, n := worker.Unanswered(); n > 0 {
				found[p.key] = hang{since: since, seen: time.Now(), where: "its port", waiting: n}
			}
		}
	}
	return found
}

// handsOff reports whether we accept the app's connections and pass them on.
func (c *cluster) handsOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.Mechanism == mechanismHandOff
}

// sits reports whether a process has a seat or a slot.
func (c *cluster) sits(p *process, number int) bool {
	asks := asksForAll(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if asks {
		return p.Index == number
	}
	is, ok := c.memory.Seats[p.key]
	return ok && is.Number == number
}

// serves reports whether a process is to accept connections: it listens, and neither is
// on trial nor leaves.
func (c *cluster) serves(p *process) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.members()[p.key]
	return ok
}

// Examine implements supervisor.Host.
func (h *host) Examine(r supervisor.Ref, why string, ask bool) {
	p := h.find(keyOf(r))
	if p == nil {
		return // the supervisor has been told that it is gone
	}
	h.checks.Go(func() {
		ctx, cancel := context.WithTimeout(h.ending, examineLimit)
		defer cancel()
		threads := stacks.Threads(p.pid) // before it is asked, of which it may end
		stack := "nothing is done to it, so its runtime is not asked\n"
		if ask {
			var err error
			if stack, err = h.askRuntime(ctx, p); err != nil {
				stack = err.Error() + "\n"
			}
		}
		text := h.saveReport(p, why, stack, threads)
		p.sink(supervisor.Reported{Text: text})
		if ask {
			p.sink(supervisor.Examined{})
		}
	})
}

// askRuntime has a process tell what calls it is in.
func (h *host) askRuntime(ctx context.Context, p *process) (string, error) {
	switch {
	case stacks.Stopped(p.pid):
		return "", errors.New("it is stopped by a signal or a debugger, so its runtime cannot be asked")
	case stacks.IsNode(p.pid):
		p.examined.Store(true) // its inspector listens
		stack, err := stacks.Node(ctx, p.pid, func() error {
			return h.keeper.Signal(p.key, syscall.SIGUSR1, keeper.Leader)
		})
		if err != nil {
			return "", err
		}
		return "JavaScript, the innermost call first:\n" + stack, nil
	case stacks.IsGo(p.pid):
		return h.quitGo(ctx, p)
	}
	return "", errors.New("it is neither a Go program nor Node, whose runtimes can be asked")
}

// quitGo ends a Go program with the signal at which its runtime prints all stacks, and
// returns what it has printed.
func (h *host) quitGo(ctx context.Context, p *process) (string, error) {
	path := p.files.err
	if path == "" {
		path = p.files.both
	}
	from := fileSize(path)
	if err := stacks.QuitBusiest(p.pid, p.startTicks); err != nil {
		// Without the busiest thread chosen, a loop in another one stays unseen.
		h.log.Debug("signal a thread", "process", p.key, "error", err)
		if err := h.keeper.Signal(p.key, syscall.SIGQUIT, keeper.Leader); err != nil {
			return "", err
		}
	}
	for _, done := range []<-chan struct{}{p.ended, p.stderrDone} {
		select {
		case <-done:
		case <-ctx.Done():
			return "", errors.New("it has not ended of SIGQUIT")
		}
	}
	if path == "" {
		return "", errors.New("it has printed its stacks, and nothing of what it prints is stored")
	}
	printed, err := readFrom(path, from)
	if err != nil {
		return "", err
	}
	if p.Spec.LogJSON {
		printed = messages(printed)
	}
	return "Go, as its runtime printed it on standard error:\n" + printed, nil
}

// readFrom returns the part of a log that follows a place, from its start if it has been
// rotated since.
func readFrom(path string, from int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	if info, err := f.Stat(); err == nil && info.Size() < from {
		from = 0
	}
	b, err := io.ReadAll(io.NewSectionReader(f, from, dumpPart))
	return string(b), errors.Join(err, f.Close())
}

// messages takes the lines of a log out of their JSON.
func messages(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(logs.Message(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// saveReport writes what is known of a process that hangs to a file, and returns what to
// tell of it.
func (h *host) saveReport(p *process, why, stack, threads string) string {
	if nameless(h.home) {
		return why
	}
	now := time.Now()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, instance %d, pid %d: %s\n%s\n\n", p.Spec.Name, p.ID, p.pid, why, now.Format(time.RFC3339))
	fmt.Fprintf(&b, "== calls\n%s\n== threads\n%s", stack, threads)
	h.reporting.Lock()
	path, err := reportdir.Save(filepath.Join(h.home, "reports"), p.Spec.Name, p.ID, now, b.Bytes())
	h.reporting.Unlock()
	if err != nil {
		h.log.Error("save a report", "process", p.key, "error", err)
		return why
	}
	h.mu.Lock()
	h.hanged[p.ID] = fmt.Sprintf("pid %d hung at %s; what it was doing is in %s", p.pid, now.Format(time.DateTime), path)
	h.mu.Unlock()
	return why + "; what it was doing is in " + path
}
