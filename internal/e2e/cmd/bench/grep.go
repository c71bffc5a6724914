package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// grepBytes is the size of the log that is searched: 512 MB.
const grepBytes = 512 << 20

// tenWords are more than are looked for one by one.
const tenWords = "refused|unreachable|panic|fatal|segfault|deadlock|oom|denied|corrupt|timed out"

// measureGrep searches a large log with pace and with grep(1), in turns. The process
// that searches is the daemon's child, so its processor time is what that has of its
// children.
func measureGrep(ctx context.Context, b *bench) (err error) {
	grep, err := exec.LookPath("grep")
	if err != nil {
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if _, err := box.Pace(ctx, "start", b.exe, "--name", "w", "--interpreter", "none", "--no-autorestart", "--log-max-size", "off", "--", "help"); err != nil {
		return err
	}
	file := filepath.Join(box.Home, "logs", "w-out.log")
	size, err := writeGrepLog(file)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		title string
		pace  []string
		grep  []string
		least float64
	}{
		{"a word that is rare", []string{"--grep", "connection reset"}, []string{"connection reset"}, 300},
		{"a regular expression with a word", []string{"--grep", `status=5\d\d `}, []string{"-E", `status=5[0-9][0-9] `}, 300},
		{"three words", []string{"--grep", "refused|reset by|timed out"}, []string{"-E", "refused|reset by|timed out"}, 300},
		{"in any case", []string{"--grep", "connection RESET", "--ignore-case"}, []string{"-i", "connection RESET"}, 300},
		{"hexadecimal digits, no word", []string{"--grep", "[0-9a-f]{16}"}, []string{"-E", "[0-9a-f]{16}"}, 300},
		{"digits at the end, no word", []string{"--grep", `\b5\d\d\b.*\d{4}\w+$`}, []string{"-P", `\b5\d\d\b.*\d{4}\w+$`}, 300},
		{"ten words", []string{"--grep", tenWords}, []string{"-E", tenWords}, 300},
		{"a word in every line, then one that is in none", []string{"--grep", "INFO.*method=(PUT|POST)"}, []string{"-E", "INFO.*method=(PUT|POST)"}, 300},
		{"by level alone", []string{"--level", "fatal"}, nil, 0},
	} {
		var cpu, took, theirs []float64
		slow := false // grep is, so that once is enough
		for range 5 {
			used, wall, err := searchOnce(ctx, box, c.pace)
			if err != nil {
				return err
			}
			cpu = append(cpu, float64(size)/1e6/max(used.Seconds(), 0.01))
			took = append(took, wall.Seconds())
			if c.grep != nil && !slow {
				cmd := exec.CommandContext(ctx, grep, append(c.grep, file)...) //nolint:gosec // of the table above
				cmd.Env = []string{"LC_ALL=C.UTF-8"}
				if err := run1(cmd); err != nil {
					return err
				}
				used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				theirs = append(theirs, float64(size)/1e6/max(used.Seconds(), 0.01))
				slow = used > 2*time.Second
			}
		}
		b.table.info(c.title+", 512 MB, until it is printed, median of 5", figure(median(took))+" s")
		if c.least > 0 {
			b.table.atLeast("  of one core", median(cpu), c.least, "MB/s")
		} else {
			b.table.info("  of one core", figure(median(cpu))+" MB/s")
		}
		if theirs != nil {
			b.table.info("  grep, of one core", figure(median(theirs))+" MB/s")
		}
	}
	if err := compressGrepLog(file); err != nil {
		return err
	}
	used, _, err := searchOnce(ctx, box, []string{"--grep", "connection reset"})
	if err != nil {
		return err
	}
	b.table.info("a word that is rare, in a compressed file, of one core", figure(float64(size)/1e6/used.Seconds())+" MB/s")
	return nil
}

// run1 runs grep, for which finding nothing is status 1.
func run1(cmd *exec.Cmd) error {
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	return err
}

// searchOnce runs one search to its end.
func searchOnce(ctx context.Context, box *sandbox.Sandbox, args []string) (cpu, wall time.Duration, err error) {
	daemon, err := box.DaemonPID()
	if err != nil {
		return 0, 0, err
	}
	before, err := proc.Read(daemon)
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if _, err := box.Pace(ctx, append([]string{"logs", "w", "--nostream", "--raw"}, args...)...); err != nil {
		return 0, 0, err
	}
	wall = time.Since(begun)
	after, err := proc.Read(daemon)
	return time.Duration(after.ChildTicks-before.ChildTicks) * 10 * time.Millisecond, wall, err
}

// writeGrepLog writes lines as a web server does, three of which are errors.
func writeGrepLog(file string) (size int64, err error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; size < grepBytes; i++ {
		line := "%s INFO request id=%08x method=GET path=/api/items/%d status=200 took=%dms\n"
		if i == 1_000_000 {
			line = "%s ERROR request id=%08x connection reset by peer after /api/items/%d status=503 in %dms\n"
		}
		n, err := fmt.Fprintf(w, line, at.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), uint32(i)*2654435761, i%977, i%97)
		if err != nil {
			return 0, errors.Join(err, f.Close())
		}
		size += int64(n)
	}
	return size, errors.Join(w.Flush(), f.Close())
}

// compressGrepLog makes the log a rotated and compressed one.
func compressGrepLog(file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.Create(file + ".1.gz")
	if err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		_, err = bufio.NewReaderSize(in, 1<<20).WriteTo(zip)
		err = errors.Join(err, zip.Close())
	}
	return errors.Join(err, out.Close(), os.Truncate(file, 0))
}
