package search

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"paceline/internal/dayjs"
)

// clock reads the times of the lines of one log. It knows
//
//   - the format that the app's log_date_format gives to each line;
//   - in a JSON object the members time, timestamp, @timestamp, ts and t: RFC 3339, or
//     seconds, milliseconds, microseconds or nanoseconds since 1970;
//   - at the beginning of a line, also after "[" and colours, ISO 8601 and RFC 3339
//     dates with a time, in which a slash may stand for a dash (Go, nginx) and a blank
//     or a dash for the T; and RFC 3164 ("Jan  2 15:04:05") and klog ("E0102 15:04:05.0")
//     which have no year: the one that puts it nearest to the file's last change;
//   - the members time and ts of logfmt;
//   - RFC 5424 after its priority;
//   - the bracketed time of Apache's and nginx's access logs.
//
// A time without a zone is local. A clock belongs to one goroutine.
type clock struct {
	format *dayjs.Format // of log_date_format; nil: none
	zone   *time.Location
	near   time.Time // the file's last change

	day   [10]byte // the last date in zone, as text
	dayAt int64    // when that day began
	even  bool     // and whether it has 24 hours
}

// headBytes is how much of a line is searched for its time and level.
const headBytes = 512

// read returns the time of a line in nanoseconds since 1970.
func (c *clock) read(line []byte) (at int64, ok bool) {
	head := line[:min(len(line), headBytes)]
	if c.format != nil {
		if t, _, ok := c.format.Read(head, c.zone); ok {
			return t.UnixNano(), true
		}
	}
	head = skipColour(head)
	if len(head) < 8 {
		return 0, false
	}
	switch first := head[0]; {
	case first == '{':
		return c.fromJSON(line)
	case first == '[':
		if at, ok := c.leading(bytes.TrimLeft(skipColour(head[1:]), " ")); ok {
			return at, true
		}
	case first == '<':
		if at, ok := c.fromSyslog(head); ok {
			return at, true
		}
	case '0' <= first && first <= '9', 'A' <= first && first <= 'Z':
		if at, ok := c.leading(head); ok {
			return at, true
		}
	}
	if at, ok := c.fromPairs(head); ok {
		return at, true
	}
	return c.bracketed(head)
}

// leading reads a time at the beginning of b.
func (c *clock) leading(b []byte) (int64, bool) {
	if len(b) >= 19 && '0' <= b[0] && b[0] <= '9' {
		if at, ok := c.iso(b); ok {
			return at, true
		}
	}
	if len(b) >= 15 && 'A' <= b[0] && b[0] <= 'Z' {
		if month := monthOf(b); month > 0 && b[3] == ' ' {
			return c.stamp(b, month)
		}
		if len(b) >= 24 && b[3] == ' ' && monthOf(b[4:]) > 0 { // "Fri Sep 09 10:42:29.902022 2011"
			return c.stamp(b[4:], monthOf(b[4:]))
		}
		return c.klog(b)
	}
	return 0, false
}

// iso reads "2006-01-02T15:04:05.999999999Z07:00" and its relatives.
func (c *clock) iso(b []byte) (int64, bool) {
	sep := b[4]
	if sep != '-' && sep != '/' || b[7] != sep || b[10] != 'T' && b[10] != ' ' && b[10] != '-' && b[10] != 't' {
		return 0, false
	}
	ofDay, n, ok := timeOfDay(b[11:])
	if !ok {
		return 0, false
	}
	zone, ok := zoneOf(b[11+n:], c.zone)
	if !ok {
		return 0, false
	}
	if day := [10]byte(b[:10]); zone == c.zone && day == c.day && c.even {
		return c.dayAt + ofDay, true
	}
	year, month, date := number(b[0:4]), number(b[5:7]), number(b[8:10])
	if year < 0 || month < 1 || month > 12 || date < 1 || date > 31 {
		return 0, false
	}
	if zone == c.zone {
		start := time.Date(year, time.Month(month), date, 0, 0, 0, 0, zone)
		c.day, c.dayAt = [10]byte(b[:10]), start.UnixNano()
		c.even = start.AddDate(0, 0, 1).Sub(start) == 24*time.Hour // the clocks do not change
	}
	return time.Date(year, time.Month(month), date, 0, 0, 0, int(ofDay), zone).UnixNano(), true
}

// timeOfDay reads "15:04:05" with a fraction of up to nine digits after a point or a
// comma. It returns nanoseconds, and how long that is.
func timeOfDay(b []byte) (ns int64, n int, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, 0, false
	}
	h, m, s := number(b[0:2]), number(b[3:5]), number(b[6:8])
	if h < 0 || h > 24 || m < 0 || m > 59 || s < 0 || s > 60 {
		return 0, 0, false
	}
	ns = int64(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
	n = 8
	if len(b) > 9 && (b[8] == '.' || b[8] == ',') {
		scale := int64(time.Second)
		for n = 9; n < len(b) && '0' <= b[n] && b[n] <= '9'; n++ {
			if scale /= 10; scale > 0 {
				ns += scale * int64(b[n]-'0')
			}
		}
	}
	return ns, n, true
}

// zoneOf reads "Z", "+02:00", "+0200" or "+02", also after a blank; local if there is
// none.
func zoneOf(b []byte, local *time.Location) (*time.Location, bool) {
	if len(b) > 0 && b[0] == ' ' && len(b) > 5 && (b[1] == '+' || b[1] == '-') && number(b[2:6]) >= 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return local, true
	}
	switch b[0] {
	case 'Z', 'z':
		return time.UTC, true
	case '+', '-':
	default:
		return local, true
	}
	if len(b) < 3 {
		return local, true
	}
	hours, minutes := number(b[1:3]), 0
	rest := bytes.TrimPrefix(b[3:], []byte{':'})
	if len(rest) >= 2 && number(rest[:2]) >= 0 {
		minutes = number(rest[:2])
	}
	if hours < 0 || hours > 15 || minutes > 59 {
		return local, true
	}
	offset := hours*3600 + minutes*60
	if b[0] == '-' {
		offset = -offset
	}
	if offset == 0 {
		return time.UTC, true
	}
	return time.FixedZone("", offset), true
}

// stamp reads "Jan  2 15:04:05", where a year may follow.
func (c *clock) stamp(b []byte, month time.Month) (int64, bool) {
	date := number(bytes.TrimLeft(b[4:6], " "))
	if date < 1 || date > 31 || b[6] != ' ' {
		return 0, false
	}
	ofDay, n, ok := timeOfDay(b[7:])
	if !ok {
		return 0, false
	}
	if rest := b[7+n:]; len(rest) >= 5 && rest[0] == ' ' {
		if year := number(rest[1:5]); year >= 1970 {
			return time.Date(year, month, date, 0, 0, 0, int(ofDay), c.zone).UnixNano(), true
		}
	}
	return c.nearest(month, date, ofDay), true
}

// klog reads "E0102 15:04:05.123456".
func (c *clock) klog(b []byte) (int64, bool) {
	if bytes.IndexByte([]byte("IWEF"), b[0]) < 0 || b[5] != ' ' {
		return 0, false
	}
	month, date := number(b[1:3]), number(b[3:5])
	if month < 1 || month > 12 || date < 1 || date > 31 {
		return 0, false
	}
	ofDay, _, ok := timeOfDay(b[6:])
	return c.nearest(time.Month(month), date, ofDay), ok
}

// nearest chooses the year that puts a time nearest to the file's last change.
func (c *clock) nearest(month time.Month, date int, ofDay int64) int64 {
	near := c.near
	if near.IsZero() {
		near = time.Now()
	}
	year := near.In(c.zone).Year()
	best := int64(0)
	for i, y := range []int{year, year - 1, year + 1} {
		at := time.Date(y, month, date, 0, 0, 0, int(ofDay), c.zone).UnixNano()
		if i == 0 || abs(at-near.UnixNano()) < abs(best-near.UnixNano()) {
			best = at
		}
	}
	return best
}

func abs(n int64) int64 { return max(n, -n) }

// fromSyslog reads what follows a priority: "<34>1 2003-10-11T22:14:15.003Z" or
// "<34>Oct 11 22:14:15".
func (c *clock) fromSyslog(b []byte) (int64, bool) {
	end := bytes.IndexByte(b[:min(len(b), 5)], '>')
	if end < 2 {
		return 0, false
	}
	rest := b[end+1:]
	if len(rest) > 2 && rest[0] == '1' && rest[1] == ' ' {
		rest = rest[2:]
	}
	return c.leading(rest)
}

// fromPairs reads a member of logfmt.
func (c *clock) fromPairs(b []byte) (int64, bool) {
	if bytes.IndexByte(b, '=') < 0 {
		return 0, false
	}
	for _, name := range []string{"time=", "ts=", "timestamp="} {
		if value, ok := pair(b, name); ok {
			return c.value(value)
		}
	}
	return 0, false
}

// pair returns the value of a member of logfmt, name ending in "=".
func pair(b []byte, name string) ([]byte, bool) {
	for at := 0; at < len(b); {
		i := bytes.Index(b[at:], []byte(name))
		if i < 0 {
			return nil, false
		}
		if i += at; i > 0 && b[i-1] != ' ' && b[i-1] != '\t' {
			at = i + 1
			continue
		}
		value := b[i+len(name):]
		if len(value) > 0 && value[0] == '"' {
			value = value[1:]
			if end := bytes.IndexByte(value, '"'); end >= 0 {
				value = value[:end]
			}
			return value, true
		}
		if end := bytes.IndexAny(value, " \t"); end >= 0 {
			value = value[:end]
		}
		return value, true
	}
	return nil, false
}

// value reads a time that stands for itself: a date, or a number.
func (c *clock) value(b []byte) (int64, bool) {
	if len(b) >= 19 && (b[4] == '-' || b[4] == '/') {
		return c.iso(b)
	}
	return epoch(b)
}

// epoch reads a number of seconds, milliseconds, microseconds or nanoseconds since
// 1970: which, its size tells, from 2001 to 2286.
func epoch(b []byte) (int64, bool) {
	if len(b) < 9 || len(b) > 32 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	whole := f == math.Trunc(f) && !bytes.ContainsAny(b, ".eE")
	switch {
	case f >= 1e9 && f < 1e10:
		sec := math.Floor(f)
		return int64(sec)*int64(time.Second) + int64((f-sec)*1e6)*1e3, true
	case f >= 1e12 && f < 1e13:
		return int64(f*1e3) * 1e3, true
	case f >= 1e15 && f < 1e16:
		return int64(f) * 1e3, true
	case f >= 1e18 && f < 9.2e18 && whole:
		n, err := strconv.ParseInt(string(b), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// bracketed reads "[10/Oct/2000:13:55:36 -0700]".
func (c *clock) bracketed(b []byte) (int64, bool) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '[')
		if i < 0 || at+i+21 > len(b) {
			return 0, false
		}
		at += i + 1
		t := b[at:]
		if len(t) < 20 || t[2] != '/' || t[6] != '/' || t[11] != ':' {
			continue
		}
		date, month, year := number(t[0:2]), monthOf(t[3:]), number(t[7:11])
		ofDay, n, ok := timeOfDay(t[12:])
		if !ok || date < 1 || date > 31 || month == 0 || year < 0 {
			continue
		}
		zone, _ := zoneOf(t[12+n:], c.zone)
		return time.Date(year, month, date, 0, 0, 0, int(ofDay), zone).UnixNano(), true
	}
}

// monthOf reads the English short name of a month; 0 if it is none.
func monthOf(b []byte) time.Month {
	if len(b) < 3 {
		return 0
	}
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if b[0] == names[i] && b[1] == names[i+1] && b[2] == names[i+2] {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}

// number reads digits; -1 if there is anything else, or nothing.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return n
}

// skipColour passes over colours at the beginning of a line.
func skipColour(b []byte) []byte {
	for len(b) > 2 && b[0] == '\x1b' && b[1] == '[' {
		end := bytes.IndexByte(b, 'm')
		if end < 0 || end > 20 {
			return b
		}
		b = b[end+1:]
	}
	return b
}
