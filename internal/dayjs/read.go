package dayjs

import (
	"bytes"
	"strings"
	"time"
)

// moment is what has been read of a time. Fields that are not known are -1.
type moment struct {
	year, month, day     int
	hour, minute, second int
	nanosecond           int
	afternoon            int // 1 for PM
	offset               int // seconds
	zoned                bool
	unix                 time.Time
}

// reading takes one token from the beginning of b and returns its length, -1 if it is
// not there.
type reading func(b []byte, m *moment) int

// readings are those of the tokens; one that is not among them cannot be read.
var readings = map[string]reading{
	"YYYY": digits(4, 4, func(m *moment, n int) { m.year = n }),
	"YY":   digits(2, 2, func(m *moment, n int) { m.year = 2000 + n }),
	"MMMM": names(func(i int) string { return time.Month(i + 1).String() }, 12, func(m *moment, i int) { m.month = i + 1 }),
	"MMM":  names(func(i int) string { return time.Month(i + 1).String()[:3] }, 12, func(m *moment, i int) { m.month = i + 1 }),
	"MM":   digits(2, 2, func(m *moment, n int) { m.month = n }),
	"M":    digits(1, 2, func(m *moment, n int) { m.month = n }),
	"DD":   digits(2, 2, func(m *moment, n int) { m.day = n }),
	"D":    digits(1, 2, func(m *moment, n int) { m.day = n }),
	"dddd": names(func(i int) string { return time.Weekday(i).String() }, 7, func(*moment, int) {}),
	"ddd":  names(func(i int) string { return time.Weekday(i).String()[:3] }, 7, func(*moment, int) {}),
	"dd":   names(func(i int) string { return time.Weekday(i).String()[:2] }, 7, func(*moment, int) {}),
	"d":    digits(1, 1, func(*moment, int) {}),
	"HH":   digits(2, 2, func(m *moment, n int) { m.hour = n }),
	"H":    digits(1, 2, func(m *moment, n int) { m.hour = n }),
	"hh":   digits(2, 2, func(m *moment, n int) { m.hour = n % 12 }),
	"h":    digits(1, 2, func(m *moment, n int) { m.hour = n % 12 }),
	"mm":   digits(2, 2, func(m *moment, n int) { m.minute = n }),
	"m":    digits(1, 2, func(m *moment, n int) { m.minute = n }),
	"ss":   digits(2, 2, func(m *moment, n int) { m.second = n }),
	"s":    digits(1, 2, func(m *moment, n int) { m.second = n }),
	"SSS":  digits(3, 3, func(m *moment, n int) { m.nanosecond = n * int(time.Millisecond) }),
	"A":    half,
	"a":    half,
	"Z":    zone,
	"ZZ":   zone,
	"X":    digits(9, 11, func(m *moment, n int) { m.unix = time.Unix(int64(n), 0) }),
	"x":    digits(12, 14, func(m *moment, n int) { m.unix = time.UnixMilli(int64(n)) }),
}

func digits(least, most int, set func(*moment, int)) reading {
	return func(b []byte, m *moment) int {
		n, value := 0, 0
		for n < len(b) && n < most && '0' <= b[n] && b[n] <= '9' {
			value = 10*value + int(b[n]-'0')
			n++
		}
		if n < least {
			return -1
		}
		set(m, value)
		return n
	}
}

func names(name func(int) string, count int, set func(*moment, int)) reading {
	return func(b []byte, m *moment) int {
		for i := range count {
			if text := name(i); bytes.HasPrefix(b, []byte(text)) {
				set(m, i)
				return len(text)
			}
		}
		return -1
	}
}

func half(b []byte, m *moment) int {
	if len(b) < 2 {
		return -1
	}
	switch strings.ToUpper(string(b[:2])) {
	case "AM":
		m.afternoon = 0
	case "PM":
		m.afternoon = 1
	default:
		return -1
	}
	return 2
}

func zone(b []byte, m *moment) int {
	if len(b) < 5 || b[0] != '+' && b[0] != '-' {
		return -1
	}
	rest, n := b[3:], 5
	if b[3] == ':' {
		if rest, n = b[4:], 6; len(b) < n {
			return -1
		}
	}
	var hours, minutes moment
	if digits(2, 2, func(m *moment, n int) { m.hour = n })(b[1:3], &hours) < 0 ||
		digits(2, 2, func(m *moment, n int) { m.minute = n })(rest, &minutes) < 0 {
		return -1
	}
	m.offset, m.zoned = hours.hour*3600+minutes.minute*60, true
	if b[0] == '-' {
		m.offset = -m.offset
	}
	return n
}

// Read is the inverse of Append: it reads a time at the beginning of b, and returns
// how long that is. A time without a zone is in local. It says false if b does not
// begin so, and for a format that does not tell the day and the time of it.
func (f Format) Read(b []byte, local *time.Location) (t time.Time, n int, ok bool) {
	m := moment{year: -1, month: -1, day: -1, hour: -1, afternoon: -1}
	for _, read := range f.reads {
		if read == nil {
			return t, 0, false
		}
		length := read(b[n:], &m)
		if length < 0 {
			return t, 0, false
		}
		n += length
	}
	switch {
	case !m.unix.IsZero():
		return m.unix.Add(time.Duration(m.nanosecond)), n, true
	case m.year < 0, m.month < 1, m.month > 12, m.day < 1, m.day > 31, m.hour < 0, m.hour > 24, m.minute > 59, m.second > 60:
		return t, 0, false
	}
	if m.afternoon == 1 && m.hour < 12 {
		m.hour += 12
	}
	if m.zoned {
		local = time.FixedZone("", m.offset)
	}
	return time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, m.nanosecond, local), n, true
}
