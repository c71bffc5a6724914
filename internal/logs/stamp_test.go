package logs

import (
	"bytes"
	"testing"
)

func FuzzStamp(f *testing.F) {
	for _, text := range []string{"", "\n", "a", "a\nb", "a\n\n\x00\xff", "2006-01-02T15:04:05.000-07:00 x\n"} {
		f.Add([]byte(text), 3, true, int64(40))
		f.Add([]byte(text), 1, false, int64(0))
	}
	f.Fuzz(func(t *testing.T, block []byte, cut int, mid bool, limit int64) {
		stamp := "12:30:01: "
		width := len(stamp)
		text := appendStamped(nil, block, stamp, mid)
		if int64(len(text)) != stampedBytes(block, width, mid) {
			t.Errorf("stampedBytes = %d, the text has %d", stampedBytes(block, width, mid), len(text))
		}
		if got := rawBytes(text, width, mid); got != len(block) {
			t.Errorf("rawBytes = %d, want %d", got, len(block))
		}
		if end := stampedEnd(text, len(block), width, mid); end != len(text) {
			t.Errorf("stampedEnd of all = %d, want %d", end, len(text))
		}
		if len(block) > 0 {
			// What is left after a kill is what the first bytes alone would be.
			cut = min(max(cut, 0), len(block))
			part := appendStamped(nil, block[:cut], stamp, mid)
			if end := stampedEnd(text, cut, width, mid); end != len(part) {
				t.Errorf("stampedEnd of %d of %q = %d, want %d", cut, block, end, len(part))
			}
		}
		// The lines are those of the block, each with the time.
		rest := block
		for i, line := range bytes.SplitAfter(text, []byte{'\n'}) {
			if i > 0 || !mid {
				if len(line) == 0 {
					continue
				}
				var ok bool
				if line, ok = bytes.CutPrefix(line, []byte(stamp)); !ok {
					t.Fatalf("line %d has no time: %q", i, line)
				}
			}
			if !bytes.HasPrefix(rest, line) {
				t.Fatalf("line %d is %q, want the beginning of %q", i, line, rest)
			}
			rest = rest[len(line):]
		}
		if len(rest) > 0 {
			t.Errorf("%q is missing", rest)
		}
		for _, extra := range []int{0, width} {
			n := wholeLines(block, limit, extra, mid)
			if n > 0 && (block[n-1] != '\n' || stampedBytes(block[:n], extra, mid) > limit) {
				t.Errorf("wholeLines(%q, %d, %d) = %d", block, limit, extra, n)
			}
			if next := bytes.IndexByte(block[n:], '\n') + 1; next > 0 && stampedBytes(block[:n+next], extra, mid) <= limit {
				t.Errorf("wholeLines(%q, %d, %d) = %d: another line fits", block, limit, extra, n)
			}
		}
	})
}
