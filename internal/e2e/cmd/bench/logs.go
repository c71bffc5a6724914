package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// floodLines is how much all writers together write: 500 MB.
const floodLines = 5_000_000

// flood is one run of n writers.
type flood struct {
	took, cpu, after time.Duration // after: used once it was over, if waited for
}

func (f flood) rate() float64 { return floodLines * lineLength / 1e6 / f.took.Seconds() }

func (f flood) perGB() float64 { return f.cpu.Seconds() / (floodLines * lineLength / 1e9) }

func measureLogs(ctx context.Context, b *bench) error {
	for _, style := range []string{plain, fast} {
		for _, writers := range []int{1, 10} {
			if err := measureWriters(ctx, b, style, writers); err != nil {
				return err
			}
		}
	}
	r, err := b.paceFlood(ctx, fast, 1, true)
	if err != nil {
		return err
	}
	b.table.info("CPU to compress what stays of one, 100 MB, afterwards", figure(r.after.Seconds())+" s")
	return nil
}

func measureWriters(ctx context.Context, b *bench, style string, writers int) error {
	const rounds = 3
	var rotated, whole, piped, ratio, wholeRatio, cpu, wholeCPU []float64
	for range rounds {
		p, err := b.pipeFlood(ctx, style, writers)
		if err != nil {
			return err
		}
		r, err := b.paceFlood(ctx, style, writers, false)
		if err != nil {
			return err
		}
		w, err := b.paceFlood(ctx, style, writers, false, "--log-max-size", "off")
		if err != nil {
			return err
		}
		piped, rotated, whole = append(piped, p.rate()), append(rotated, r.rate()), append(whole, w.rate())
		ratio, wholeRatio = append(ratio, r.rate()/p.rate()), append(wholeRatio, w.rate()/p.rate())
		cpu, wholeCPU = append(cpu, r.perGB()), append(wholeCPU, w.perGB())
	}
	title := fmt.Sprintf("%d %s writers", writers, style)
	if writers == 1 {
		title = "1 " + style + " writer"
	}
	b.table.info(fmt.Sprintf("%s | cat > file, median of %d", title, rounds), figure(median(piped))+" MB/s")
	b.table.info(title+", pace, rotating as by default", figure(median(rotated))+" MB/s")
	b.table.atLeast("  of what cat does", median(ratio), 0.8, "")
	b.table.atMost("  CPU of keeper and daemon", median(cpu), 0.6, "s/GB")
	b.table.info(title+", pace --log-max-size off", figure(median(whole))+" MB/s")
	b.table.atLeast("  of what cat does", median(wholeRatio), 0.8, "")
	b.table.atMost("  CPU of keeper and daemon", median(wholeCPU), 0.6, "s/GB")
	return nil
}

// gate holds the writers back until all of them are there.
type gate struct {
	path    string
	l       net.Listener
	writers []net.Conn
}

func newGate(ctx context.Context, dir string) (*gate, error) {
	path := filepath.Join(dir, "gate")
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	return &gate{path: path, l: l}, err
}

// wait waits for the writers to come.
func (g *gate) wait(n int) error {
	for range n {
		if l, ok := g.l.(*net.UnixListener); ok {
			if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				return err
			}
		}
		c, err := g.l.Accept()
		if err != nil {
			return fmt.Errorf("wait for the writers: %w", err)
		}
		g.writers = append(g.writers, c)
	}
	return nil
}

// open lets them write, and returns when the last has done so.
func (g *gate) open() error {
	for _, c := range g.writers {
		if _, err := c.Write([]byte("!")); err != nil {
			return err
		}
	}
	for _, c := range g.writers {
		if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("wait for a writer's end: %w", err)
		}
	}
	return nil
}

func (g *gate) close() error {
	err := g.l.Close()
	for _, c := range g.writers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// paceFlood has the writers' output written by pace. It is over when the last
// line of each stands in its file. What stands there is checked then.
func (b *bench) paceFlood(ctx context.Context, style string, writers int, settle bool, options ...string) (f flood, err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	g, err := newGate(ctx, box.Dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	lines := floodLines / writers
	args := append([]string{
		"start", b.exe, "--name", "w", "--interpreter", "none", "-x", "-i", strconv.Itoa(writers), "--no-autorestart",
	}, options...)
	if _, err := box.Pace(ctx, append(args, "--", writerWord, g.path, style, strconv.Itoa(lines))...); err != nil {
		return f, err
	}
	if err := g.wait(writers); err != nil {
		return f, err
	}
	list, err := box.Instances(ctx)
	if err != nil {
		return f, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return f, err
	}
	k0, d0, err := used(box)
	if err != nil {
		return f, err
	}
	begun := time.Now()
	if err := g.open(); err != nil {
		return f, err
	}
	last := string(numbered(lines - 1))
	for _, in := range list {
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := proc.Poll(wait, time.Millisecond, func() (bool, error) { return endsWith(in.Env.OutFile, last) })
		cancel()
		if err != nil {
			return f, fmt.Errorf("wait for the last line in %s: %w", in.Env.OutFile, err)
		}
	}
	f.took = time.Since(begun)
	k1, d1, err := used(box)
	if err != nil {
		return f, err
	}
	f.cpu = k1 - k0 + d1 - d0
	if settle {
		f.after, err = settled(ctx, box)
		return f, err
	}
	for _, in := range list {
		if err := verify(in.Env.OutFile, lines, len(options) == 0); err != nil {
			return f, err
		}
	}
	return f, nil
}

// settled waits until the daemon has nothing more to do, and returns the
// processor time that took. The thread that compresses ends, so that the sum of
// the threads would not do.
func settled(ctx context.Context, box *sandbox.Sandbox) (time.Duration, error) {
	_, daemon, err := ours(box)
	if err != nil {
		return 0, err
	}
	ticks := func() (uint64, error) {
		p, err := proc.Read(daemon)
		return p.CPUTicks + p.ChildTicks, err
	}
	first, err := ticks()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, 7*time.Second); err != nil {
		return 0, err
	}
	for before := first; ; {
		if err := pause(ctx, 2*time.Second); err != nil {
			return 0, err
		}
		now, err := ticks()
		if err != nil {
			return 0, err
		}
		if now-before <= 2 {
			return time.Duration(now-first) * 10 * time.Millisecond, nil
		}
		before = now
	}
}

// pipeFlood has it written by cat, one for each writer.
func (b *bench) pipeFlood(ctx context.Context, style string, writers int) (f flood, err error) {
	dir, err := os.MkdirTemp("", "pace-")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, err := newGate(ctx, dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	lines := strconv.Itoa(floodLines / writers)
	var all []*exec.Cmd
	for n := range writers {
		// The words are arguments, as a path may hold anything.
		sh := exec.CommandContext(ctx, "sh", "-c", `"$0" "$1" "$2" "$3" "$4" | cat >"$5"`,
			b.exe, writerWord, g.path, style, lines, filepath.Join(dir, strconv.Itoa(n)))
		if err := sh.Start(); err != nil {
			return f, err
		}
		all = append(all, sh)
	}
	werr := g.wait(writers)
	if werr == nil {
		werr = pause(ctx, time.Second)
	}
	begun := time.Now()
	if werr == nil {
		werr = g.open()
	}
	for _, sh := range all {
		werr = errors.Join(werr, sh.Wait())
	}
	f.took = time.Since(begun)
	return f, werr
}
