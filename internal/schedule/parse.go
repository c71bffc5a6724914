package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	cron "github.com/netresearch/go-cron"
)

// maxText is the length that the parser takes.
const maxText = cron.MaxSpecLength

// searchYears is how far ahead a next time is looked for. 29 February on a given
// day of the week can be 40 years away.
const searchYears = 45

// Schedule is a parsed pattern; Parse makes it.
type Schedule struct {
	text string
	spec cron.Schedule
}

// String returns the pattern as it was given.
func (s Schedule) String() string { return s.text }

// field is what one place of a pattern may hold.
type field struct {
	name     string
	min, max int
	other    string // the five other fields, with %s for this one
}

var fields = [6]field{
	{"seconds", 0, 59, "%s * * * * *"},
	{"minute", 0, 59, "0 %s * * * *"},
	{"hour", 0, 23, "0 0 %s * * *"},
	{"day of month", 1, 31, "0 0 0 %s * *"},
	{"month", 1, 12, "0 0 0 1 %s *"},
	{"day of week", 0, 7, "0 0 0 * * %s"},
}

const (
	dayOfMonth = 3
	dayOfWeek  = 5
)

var named = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads a pattern: five fields, or six of which the first is seconds, or one
// of @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly. A field
// is a list, with commas, of values (5), ranges (1-5; 22-2 goes over the end),
// steps (*/15, 10-40/10, 5/15) and *; months and days of the week may be names
// (jan, MON), and 7 is Sunday as 0 is. A day must match both day fields, as in
// PM2, where other crons take either. Days of the month may be L (the last), L-3,
// 15W (the working day nearest to the 15th) and LW; days of the week 5L (the last
// Friday) and 1#2 (the second Monday). In a day field ? is *.
//
// The error names the field. A pattern that never occurs, as on 30 February, is an
// error as well. "0", which turns cron off in an app file, is no pattern.
func Parse(text string) (Schedule, error) {
	if len(text) > maxText {
		return Schedule{}, fmt.Errorf("cron pattern of %d characters; at most %d are taken", len(text), maxText)
	}
	wrap := func(err error) error { return fmt.Errorf("cron pattern %q: %w", text, err) }
	line := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(line, "@") {
		full, ok := named[line]
		if !ok {
			return Schedule{}, wrap(errors.New("not known; there are @yearly, @monthly, @weekly, @daily and @hourly"))
		}
		line = full
	}
	parts := strings.Fields(line)
	switch len(parts) {
	case 5:
		parts = append([]string{"0"}, parts...)
	case 6:
	default:
		return Schedule{}, wrap(fmt.Errorf("%s; there must be five (minute, hour, day of month, month, day of week), or six with seconds in front", count(len(parts))))
	}
	parser := cron.MustNewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Extended).WithMaxSearchYears(searchYears)
	for i, part := range parts {
		var err error
		if parts[i], err = translate(i, part); err == nil {
			_, err = parser.Parse(fmt.Sprintf(fields[i].other, parts[i]))
		}
		if err != nil {
			return Schedule{}, wrap(fmt.Errorf("%s %q: %w", fields[i].name, part, err))
		}
	}
	spec, err := parser.Parse(strings.Join(parts, " "))
	if err != nil {
		return Schedule{}, wrap(err)
	}
	s := Schedule{text: text, spec: spec}
	if s.spec.Next(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, wrap(errors.New("there is no such day"))
	}
	return s, nil
}

func count(n int) string {
	if n == 1 {
		return "1 field"
	}
	return strconv.Itoa(n) + " fields"
}

var (
	characters = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-z*?,/#-]+$`) })
	lastOf     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-7]|sun|mon|tue|wed|thu|fri|sat)l$`) })
	stepped    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)/([0-9]{1,2})$`) })
)

// translate brings a field into the form that the parser takes, and refuses what
// the parser would take for something else.
func translate(place int, part string) (string, error) {
	f := fields[place]
	if !characters().MatchString(part) {
		return "", errors.New("has a character that means nothing")
	}
	items := strings.FieldsFunc(part, func(r rune) bool { return r == ',' }) // croner takes "1,,2"
	if len(items) == 0 {
		return "", errors.New("names no value")
	}
	for i, item := range items {
		switch {
		case item == "?" && place != dayOfMonth && place != dayOfWeek:
			return "", errors.New("? is for the day fields alone; use *")
		case place == dayOfWeek && lastOf().MatchString(item):
			items[i] = strings.TrimSuffix(item, "l") + "#L"
		default:
			var err error
			if items[i], err = longStep(f, item); err != nil {
				return "", err
			}
		}
	}
	return strings.Join(items, ","), nil
}

// longStep replaces a step that is as long as its range, as in "*/60" for minutes,
// by the one value that it leaves: the parser would refuse it, croner does not.
func longStep(f field, item string) (string, error) {
	m := stepped().FindStringSubmatch(item)
	if m == nil {
		return item, nil
	}
	number := func(s string, other int) int {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
		return other
	}
	from, step := number(m[2], f.min), number(m[4], 0)
	to := number(m[3], f.max)
	size := f.max - f.min + 1
	if step > size {
		return "", fmt.Errorf("a step of %d is longer than the whole, %d", step, size)
	}
	if step <= to-from || step == 0 || from > to || from < f.min || to > f.max {
		return item, nil
	}
	return strconv.Itoa(from), nil
}

// Next returns the first time after one that the pattern means, by the clock of
// that time's location.
func (s Schedule) Next(after time.Time) time.Time {
	loc := after.Location()
	wall := wallClock(after)
	for {
		if wall = s.spec.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		if t, ok := first(wall, loc); ok && t.After(after) {
			return t
		}
	}
}

// wallClock returns what the clock shows, as a time without summer time.
func wallClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// first returns the first time at which clocks in loc show wall; ok is false if
// they never do.
func first(wall time.Time, loc *time.Location) (t time.Time, ok bool) {
	t = time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, loc)
	if start, _ := t.ZoneBounds(); !start.IsZero() {
		_, offset := start.Add(-time.Second).Zone()
		earlier := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if earlier.Before(start) && wallClock(earlier).Equal(wall) {
			t = earlier
		}
	}
	return t, wallClock(t).Equal(wall)
}
