package logs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFollowThroughRotationAndCompression(t *testing.T) {
	dir := t.TempDir() // before the pump, which may compress until it is closed
	p := testPump(t, Options{timing: timing{settle: time.Millisecond}})
	var streams []*source
	f := NewFollower(FollowOptions{Pump: p, Follow: true})
	defer f.Close()
	for i := range 3 {
		file := FileSpec{Path: filepath.Join(dir, fmt.Sprint(i)), MaxBytes: 20_000, Keep: 100}
		streams = append(streams, add(t, p, fmt.Sprint(i), file))
		if err := f.Add(Source{Path: file.Path, ID: i}, 10); err != nil {
			t.Fatal(err)
		}
	}
	const rounds, perRound = 20, 200
	go func() {
		for round := range rounds {
			for i, s := range streams {
				var b strings.Builder
				for n := range perRound {
					fmt.Fprintf(&b, "%d %d %s\n", i, round*perRound+n, strings.Repeat("x", n))
				}
				_, _ = s.WriteString(b.String())
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := map[int]int{}
	for range rounds * perRound * len(streams) {
		line, err := f.Next(ctx)
		if err != nil {
			t.Fatalf("%v after %v", err, next)
		}
		if want := fmt.Sprintf("%d %d x", line.ID, next[line.ID]); line.Skipped != 0 || !strings.HasPrefix(line.Text+"x", want) {
			t.Fatalf("got %.50q (%d skipped), want %q", line.Text, line.Skipped, want)
		}
		next[line.ID]++
	}
	for _, s := range streams {
		s.end(t)
	}
}

func TestSlowFollowerSkipsAndHoldsNobodyUp(t *testing.T) {
	p := testPump(t, Options{})
	file := FileSpec{Path: filepath.Join(t.TempDir(), "out.log"), MaxBytes: 1 << 20, Keep: 4}
	s := add(t, p, "a", file)
	s.print(t, "0 first\n")
	f := NewFollower(FollowOptions{Pump: p, Follow: true, MaxLagBytes: 1 << 20})
	defer f.Close()
	if err := f.Add(Source{Path: file.Path}, 10); err != nil {
		t.Fatal(err)
	}
	expect(t, f, "0 first")
	for n := 1; n <= 100_000; n++ { // 10 MB while nobody reads
		s.print(t, fmt.Sprintf("%d %s\n", n, strings.Repeat("s", 100)))
	}
	s.end(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last, got, notices := 0, 0, 0
	for last < 100_000 {
		line, err := f.Next(ctx)
		if err != nil {
			t.Fatalf("%v after line %d", err, last)
		}
		if line.Skipped != 0 {
			notices++
			continue
		}
		n := 0
		if _, err := fmt.Sscanf(line.Text, "%d s", &n); err != nil || len(line.Text) < 100 {
			t.Fatalf("torn line %.50q: %v", line.Text, err)
		}
		if n <= last {
			t.Fatalf("line %d after line %d", n, last)
		}
		last = n
		got++
	}
	runtime.ReadMemStats(&after)
	if notices == 0 || got > 60_000 {
		t.Errorf("%d notices and %d lines", notices, got)
	}
}

func TestSkippedBytesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	f := NewFollower(FollowOptions{Follow: true, MaxLagBytes: 10_000})
	defer f.Close()
	if err := f.Add(Source{Path: path}, 0); err != nil {
		t.Fatal(err)
	}
	text := lines("a", 5000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sum := 0
	for last := ""; !strings.HasPrefix(last, "a 4999 "); {
		line, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		last = line.Text
		sum += int(line.Skipped)
		if line.Skipped == 0 {
			sum += len(line.Text) + 1
		}
	}
	if sum != len(text) {
		t.Errorf("%d bytes delivered or counted, %d written", sum, len(text))
	}
}

func TestDevicesHaveNoLines(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	f := NewFollower(FollowOptions{})
	defer f.Close()
	for _, path := range []string{fifo, os.DevNull} {
		must(t, f.Add(Source{Path: path}, 10))
	}
	if got := readAll(t, f); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}
