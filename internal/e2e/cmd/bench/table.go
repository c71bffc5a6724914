package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// table prints the rows and counts the verdicts.
type table struct {
	w                  io.Writer
	ok, missed, broken int
}

func (t *table) say(format string, a ...any) {
	fmt.Fprintf(t.w, format+"\n", a...) //nolint:errcheck // who reads may have left; the measurement goes on
}

// machine says where the figures come from.
func (t *table) machine(ctx context.Context, pace string) {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	t.say("%d cores, kernel %s, load %s, pace %s, node %s, %s",
		runtime.NumCPU(), kernel, loadAverage(), output(ctx, pace, "version"), output(ctx, "node", "--version"), runtime.Version())
	t.say("\n%-72s %18s %12s", "", "measured", "target")
}

// part begins a group. The load tells how much the machine was somebody else's.
func (t *table) part(name string) { t.say("\n%s (load %s)", name, loadAverage()) }

func (t *table) row(what, measured, target string, ok bool) {
	verdict := "ok"
	if ok {
		t.ok++
	} else {
		t.missed++
		verdict = "missed"
	}
	t.say("  %-70s %18s %12s  %s", what, measured, target, verdict)
}

// info is a row without a target.
func (t *table) info(what, measured string) { t.say("  %-70s %18s", what, measured) }

func (t *table) atMost(what string, value, limit float64, unit string) {
	t.row(what, strings.TrimSpace(figure(value)+" "+unit), "<= "+figure(limit), value <= limit)
}

func (t *table) atLeast(what string, value, limit float64, unit string) {
	t.row(what, strings.TrimSpace(figure(value)+" "+unit), ">= "+figure(limit), value >= limit)
}

func (t *table) verdict() { t.say("\n%d ok, %d missed, %d parts failed", t.ok, t.missed, t.broken) }

// figure is a number with three digits that say something.
func figure(v float64) string {
	digits := 0
	switch {
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func median[T float64 | time.Duration](list []T) T {
	list = slices.Sorted(slices.Values(list))
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

// spread says what the median is of, and the fastest: where they differ much the
// machine had something else to do.
func spread(list []time.Duration) string {
	return fmt.Sprintf("median of %d (best %s ms)", len(list), figure(ms(slices.Min(list))))
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// output is the last word of a program's first line, as of `node --version`.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	words := strings.Fields(string(line))
	if err != nil || len(words) == 0 {
		return "(none)"
	}
	return words[len(words)-1]
}

// pause waits, and fails if ctx ends meanwhile.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
