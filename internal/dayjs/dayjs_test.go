package dayjs

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

// at is a Saturday with a single digit wherever there can be one.
var at = time.Date(2026, 2, 7, 4, 5, 6, 78*int(time.Millisecond), time.FixedZone("", 5*3600+1800))

func TestFormat(t *testing.T) {
	for format, want := range map[string]string{
		"YYYY YY":                  "2026 26",
		"M MM MMM MMMM":            "2 02 Feb February",
		"D DD":                     "7 07",
		"d dd ddd dddd":            "6 Sa Sat Saturday",
		"H HH h hh":                "4 04 4 04",
		"m mm s ss SSS":            "5 05 6 06 078",
		"Z ZZ":                     "+05:30 +0530",
		"A a":                      "AM am",
		"X x":                      "1770417306 1770417306078",
		"YYYY-MM-DDTHH:mm:ss":      "2026-02-07T04:05:06",
		"YYYY-MM-DD HH:mm:ss.SSSZ": "2026-02-07 04:05:06.078+05:30",
		"[Today is] dddd":          "Today is Saturday",
		"[] [YYYY":                 "[] [2026",
		"DDD":                      "077",
		"é%q":                      "é%q",
	} {
		f, err := Parse(format)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := f.Format(at); got != want {
			t.Errorf("%s: got %q, want %q", format, got, want)
		}
	}
	noon, err := Parse("H HH h hh A a d")
	if err != nil {
		t.Fatal(err)
	}
	for hour, want := range map[int]string{0: "0 00 12 12 AM am 0", 12: "12 12 12 12 PM pm 0", 23: "23 23 11 11 PM pm 0"} {
		if got := noon.Format(time.Date(2026, 2, 8, hour, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("hour %d: got %q, want %q", hour, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for format, says := range map[string]string{
		"": "empty", "YYYY\n": "control", strings.Repeat("Y", MaxFormat+1): "longer",
	} {
		if _, err := Parse(format); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: %v", format, err)
		}
	}
}

// FuzzParse: what is accepted writes one line of bounded length.
func FuzzParse(f *testing.F) {
	f.Add("YYYY-MM-DD [at] HH:mm:ss.SSS ZZ", int64(1700000000))
	f.Add("[]]][[MMMMM", int64(0))
	f.Fuzz(func(t *testing.T, text string, sec int64) {
		format, err := Parse(text)
		if err != nil {
			return
		}
		got := format.Format(time.Unix(sec%(1<<37), 0).UTC())
		if len(got) > 16*MaxFormat || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' && unicode.IsControl(r) }) {
			t.Errorf("%q is written %q", text, got)
		}
	})
}

// TestRead: what Append writes Read reads, as far as the format tells.
func TestRead(t *testing.T) {
	for format, want := range map[string]time.Time{
		"YYYY-MM-DD HH:mm:ss.SSS Z":  at,
		"D. MMMM YY [at] h:m:s a ZZ": at.Truncate(time.Second),
		"x":                          at,
		"ddd MMM D HH:mm:ss YYYY":    time.Date(2026, 2, 7, 4, 5, 6, 0, time.UTC),
		"YYYY-MM-DD-HH:mm:ss":        time.Date(2026, 2, 7, 4, 5, 6, 0, time.UTC),
	} {
		f, err := Parse(format)
		if err != nil {
			t.Fatal(err)
		}
		text := f.Format(at)
		got, n, ok := f.Read([]byte(text+": rest"), time.UTC)
		if !ok || n != len(text) || !got.Equal(want) {
			t.Errorf("%s: %q is read as %v, %d, %v", format, text, got, n, ok)
		}
	}
	for format, text := range map[string]string{"HH:mm": "12:30", "YYYY-MM-DD HH": "2026-13-01 01", "DDD": "x", "YYYY": ""} {
		f, err := Parse(format)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, ok := f.Read([]byte(text), time.UTC); ok {
			t.Errorf("%s: %q is read as %v", format, text, got)
		}
	}
}
