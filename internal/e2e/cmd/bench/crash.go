package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// measureCrash kills one of twenty processes in turn, so that each has lived
// longer than the one second below which the default settings call it a fast failure.
func measureCrash(ctx context.Context, b *bench) (err error) {
	const apps, kills = 20, 100
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if err := sleepers(ctx, box, apps); err != nil {
		return err
	}
	pids, err := box.PIDs(ctx)
	if err != nil {
		return err
	}
	keeper, err := box.KeeperPID()
	if err != nil {
		return err
	}
	if err := pause(ctx, 1500*time.Millisecond); err != nil {
		return err
	}
	// The clock stops when this thread sees the process: it must not wait for another.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took []time.Duration
	for n := range kills {
		known, err := children(keeper)
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := proc.Kill(pids[n%apps]); err != nil {
			return err
		}
		pid, err := nextChild(ctx, keeper, known)
		if err != nil {
			return err
		}
		took = append(took, time.Since(begun))
		pids[n%apps] = pid
		if err := pause(ctx, 70*time.Millisecond); err != nil {
			return err
		}
	}
	slices.Sort(took)
	b.table.atMost(fmt.Sprintf("kill -9 to the new process running, p50 of %d (best %s, p95 %s)", kills, figure(ms(took[0])), figure(ms(took[kills*95/100]))),
		ms(median(took)), 3, "ms")
	return nil
}

// nextChild waits for a child that is not among the known and has become sleep.
// It looks every 50 microseconds, for which the runtime's timers are too coarse.
func nextChild(ctx context.Context, parent int, known []int) (int, error) {
	tick := unix.Timespec{Nsec: 50_000}
	for begun := time.Now(); time.Since(begun) < 5*time.Second && ctx.Err() == nil; {
		now, err := children(parent)
		if err != nil {
			return 0, err
		}
		for _, pid := range now {
			if slices.Contains(known, pid) {
				continue
			}
			// Until its exec it still has the keeper's name.
			if name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm")); err == nil && string(name) == "sleep\n" {
				return pid, nil
			}
		}
		_ = unix.Nanosleep(&tick, nil) // a signal only makes it look sooner
	}
	return 0, errors.New("no new process within 5 s")
}

// children are the pids of a process's children. What a scan of all of /proc
// takes would be part of the figure.
func children(parent int) ([]int, error) {
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(parent), "task/*/children"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%w: the kernel does not list the children of a process (CONFIG_PROC_CHILDREN)", errSkip)
	}
	var pids []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for word := range strings.FieldsSeq(string(b)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
