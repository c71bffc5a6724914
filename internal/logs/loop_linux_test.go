package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFloodRestFollowsTheFill(t *testing.T) {
	for _, c := range []struct {
		bursts     int
		rest       time.Duration
		fill       float64
		from, upTo time.Duration
	}{
		{1, 0, 1, minRest, minRest},                                    // one writer: its lock is not to be spun on
		{1, 0, 0.1, minRest, minRest},                                  // it has not begun to rest
		{1, time.Millisecond, 0.6, time.Millisecond, time.Millisecond}, // as it should be
		{1, time.Millisecond, 1, 0, time.Millisecond - 1},              // it has waited for us
		{1, time.Millisecond, 0.1, time.Millisecond + 1, maxRest},      // we were early
		{1, maxRest, 0.1, maxRest, maxRest},
		{5, 0, 1, 0, 0}, // several writers fill their pipes while one is emptied
		{5, minRest, 1, 0, minRest - 1},
		{5, 0, 0.1, minRest, minRest},
	} {
		f := flood{bursts: c.bursts, rest: c.rest}
		if got := f.adapt(c.fill); got < c.from || got > c.upTo || got != f.rest {
			t.Errorf("%d bursts, fill %.1f after %v: rests for %v, want %v to %v", c.bursts, c.fill, c.rest, got, c.from, c.upTo)
		}
	}
}

// What comes without a look leaves room for the last line that fits: no file is
// longer than allowed, and none is much shorter.
func TestFloodFillsFilesToTheirSize(t *testing.T) {
	const limit, line, lines = 1 << 20, 100, 60_000
	f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log"), MaxBytes: limit, Keep: 100}
	p := testPump(t, Options{timing: timing{settle: time.Hour}})
	s := add(t, p, "a", f)
	pad := strings.Repeat("x", line-9)
	var block strings.Builder
	for i := range lines {
		fmt.Fprintf(&block, "%07d %s\n", i, pad)
	}
	s.print(t, block.String())
	s.end(t)
	list, err := listRotated(f.Path)
	if err != nil || len(list) != lines*line/limit {
		t.Fatalf("%d old files (%v), want %d", len(list), err, lines*line/limit)
	}
	for _, old := range list {
		info, err := os.Stat(old.name)
		if err != nil {
			t.Fatal(err)
		}
		if size := info.Size(); size > limit || size <= limit-line || size%line != 0 {
			t.Errorf("%s has %d bytes, want whole lines of %d up to %d", old.name, size, line, limit)
		}
	}
}
