package schedule

import (
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine need not have Berlin
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// times returns the next n times in UTC.
func times(s Schedule, after time.Time, n int) string {
	var list []string
	for range n {
		if after = s.Next(after); after.IsZero() {
			list = append(list, "never")
			break
		}
		list = append(list, after.UTC().Format(time.RFC3339))
	}
	return strings.Join(list, " ")
}

// deviates says on purpose where we do not do as croner 4.1.97.
func deviates(pattern string) string {
	parts := strings.Fields(pattern)
	days := parts[len(parts)-3:]
	for _, d := range days {
		for item := range strings.SplitSeq(d, ",") {
			if item[0] >= '0' && item[0] <= '9' && strings.Contains(item, "/") && !strings.Contains(item, "-") {
				return "croner begins 5/7 in a day or month field one late"
			}
		}
	}
	if days[2] != "*" {
		return "croner goes on at the hour of the start when it passes over days of the week"
	}
	return ""
}

func TestAsCroner(t *testing.T) {
	text, err := os.ReadFile("testdata/croner.tsv")
	if err != nil {
		t.Fatal(err)
	}
	berlin := zone(t, "Europe/Berlin")
	same, other := 0, 0
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		pattern, want := part[0], part[2]
		s, err := Parse(pattern)
		if want == "error" || want == "never" {
			if err == nil {
				t.Errorf("%q is taken, croner: %s", pattern, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		start, err := time.Parse(time.RFC3339, part[1])
		if err != nil {
			t.Fatal(err)
		}
		got := times(s, start.In(berlin), 4)
		switch why := deviates(pattern); {
		case got == want:
			same++
		case why == "":
			t.Errorf("%q after %s:\n got %s\nwant %s", pattern, part[1], got, want)
		default:
			other++
		}
	}
	t.Logf("%d as croner, %d not, on purpose", same, other)
	if same < 100 || other > same/3 {
		t.Errorf("%d as croner, %d not", same, other)
	}
}

// By hand, from a calendar.
func TestNext(t *testing.T) {
	for _, c := range []struct{ zone, pattern, after, want string }{
		{"Europe/Berlin", "* * * * wed", "2026-10-24T20:00:00Z", "2026-10-27T23:00:00Z 2026-10-27T23:01:00Z"},
		{"Europe/Berlin", "0 0 * * 5L", "2026-03-01T00:00:00Z", "2026-03-26T23:00:00Z 2026-04-23T22:00:00Z"},
		{"Europe/Berlin", "0 0 * * FRIL", "2026-03-01T00:00:00Z", "2026-03-26T23:00:00Z 2026-04-23T22:00:00Z"},
		{"Europe/Berlin", "0 0 * * 1#2", "2026-03-01T00:00:00Z", "2026-03-08T23:00:00Z 2026-04-12T22:00:00Z"},
		{"UTC", "0 0 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z 2026-09-15T00:00:00Z"},
		{"UTC", "0 0 LW * *", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z 2026-06-30T00:00:00Z"},
		{"UTC", "0 0 L-2 * *", "2026-02-01T00:00:00Z", "2026-02-26T00:00:00Z 2026-03-29T00:00:00Z"},
		{"UTC", "0 0 1,L * *", "2026-02-02T00:00:00Z", "2026-02-28T00:00:00Z 2026-03-01T00:00:00Z"},
		{"UTC", "0 22-2 * * *", "2026-02-02T00:30:00Z", "2026-02-02T01:00:00Z 2026-02-02T02:00:00Z 2026-02-02T22:00:00Z"},
		{"UTC", "0 0 ? * MON", "2026-02-02T00:30:00Z", "2026-02-09T00:00:00Z"},
		{"UTC", "0 0 5/10 * *", "2026-02-02T00:30:00Z", "2026-02-05T00:00:00Z 2026-02-15T00:00:00Z 2026-02-25T00:00:00Z 2026-03-05T00:00:00Z"},
		{"UTC", "0 0 29 2 mon", "2026-01-01T00:00:00Z", "2044-02-29T00:00:00Z 2072-02-29T00:00:00Z"},
		{"UTC", " @Daily ", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
		{"UTC", "@hourly", "2026-01-01T00:00:00.5Z", "2026-01-01T01:00:00Z"},
		{"UTC", "@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
		{"UTC", "@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"UTC", "@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"UTC", "* * * * * *", "2026-01-01T00:00:00.999Z", "2026-01-01T00:00:01Z 2026-01-01T00:00:02Z"},
		// In the second of the two hours from two to three, of which nothing is repeated.
		{"Europe/Berlin", "*/20 * * * *", "2026-10-25T01:10:00Z", "2026-10-25T02:00:00Z 2026-10-25T02:20:00Z"},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
		// Midnight did not exist on 4 November 2018 there.
		{"America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"},
		// Half an hour is repeated there.
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
		{"Asia/Kathmandu", "0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-01T18:15:00Z"},
	} {
		s, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := times(s, after.In(zone(t, c.zone)), strings.Count(c.want, " ")+1); got != c.want {
			t.Errorf("%q in %s after %s:\n got %s\nwant %s", c.pattern, c.zone, c.after, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                         `cron pattern "": 0 fields; there must be five`,
		"0":                        `cron pattern "0": 1 field; there must be five`,
		"* * * *":                  `4 fields`,
		"* * * * * * *":            `7 fields`,
		"61 * * * *":               `minute "61": `,
		"* 24 * * *":               `hour "24": `,
		"* * 0 * *":                `day of month "0": `,
		"* * * 13 *":               `month "13": `,
		"* * * foo *":              `month "foo": `,
		"* * * * 8":                `day of week "8": `,
		"61 * * * * *":             `seconds "61": `,
		"*/61 * * * *":             `minute "*/61": a step of 61 is longer than the whole, 60`,
		"*/0 * * * *":              `minute "*/0": `,
		"? * * * *":                `minute "?": ? is for the day fields alone`,
		", * * * *":                `minute ",": names no value`,
		"TZ=UTC 0 0 * * *":         `seconds "tz=utc": has a character`,
		"0 0 30 2 *":               `there is no such day`,
		"@every 5m":                `not known; there are @yearly`,
		strings.Repeat("1,", 1000): `2000 characters; at most 1024`,
	} {
		_, err := Parse(pattern)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/5 1-3,7 L JAN-feb 5L", "0 0 0 15W * 1#2", "@daily", "1-5/2 22-2 L-3 * ?", "*/60 */24 */31 */12 */7"} {
		f.Add(s, int64(1_774_742_400))
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		after := time.Unix(unix%(1<<32), 0).In(berlin)
		next := s.Next(after)
		if next.IsZero() {
			return // beyond the years that are looked at
		}
		if !next.After(after) {
			t.Fatalf("%q after %v: %v", text, after, next)
		}
		// What lies between does not match: from any time there, the next is the same.
		middle := after.Add(next.Sub(after) / 2)
		if again := s.Next(middle); !again.Equal(next) && middle.Before(next.Add(-time.Second)) {
			t.Fatalf("%q: after %v %v, but after %v %v", text, after, next, middle, again)
		}
	})
}
