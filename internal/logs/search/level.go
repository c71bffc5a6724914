package search

import (
	"bytes"

	"paceline/internal/app"
)

// levelOf returns what a line says of its level. It knows
//
//   - in a JSON object the members level, lvl, severity, log.level and levelname: a word, or a
//     number as pino (10 trace to 60 fatal) and Bunyan write it; and, in an object with
//     none of these but a message, what the message says;
//   - the members level, lvl and severity of logfmt;
//   - the priority of syslog and of sd-daemon, "<3>", and klog's "E0102 ";
//   - within the first 128 bytes the first word that stands alone and is a level in
//     capitals, or in any case between brackets or before a colon at the beginning of
//     what is not a date: "[error]", "ERROR ", "npm ERR!", "warning: ".
func levelOf(line []byte) app.Level {
	head := skipColour(line)
	if len(head) == 0 {
		return app.LevelNone
	}
	switch head[0] {
	case '{':
		if l, ok := levelOfJSON(head); ok {
			return l
		}
	case '<':
		if end := bytes.IndexByte(head[:min(len(head), 5)], '>'); end > 1 {
			if n := number(head[1:end]); n >= 0 && n < 192 {
				return bySeverity(n % 8)
			}
		}
	}
	head = head[:min(len(head), headBytes)]
	if bytes.IndexByte(head, '=') >= 0 {
		for _, name := range []string{"level=", "lvl=", "severity="} {
			if value, ok := pair(head, name); ok {
				if l := word(value); l != app.LevelNone {
					return l
				}
			}
		}
	}
	if len(head) > 6 && head[5] == ' ' && number(head[1:5]) >= 0 {
		switch head[0] {
		case 'I':
			return app.LevelInfo
		case 'W':
			return app.LevelWarn
		case 'E':
			return app.LevelError
		case 'F':
			return app.LevelFatal
		}
	}
	return spoken(head[:min(len(head), 128)])
}

// levelOfJSON returns the level of an object.
func levelOfJSON(line []byte) (level app.Level, ok bool) {
	var message []byte
	members(line, func(m member) bool {
		switch string(m.name) {
		case "level", "lvl", "severity", "log.level", "levelname":
			if m.text {
				level = word(m.value)
			} else {
				level = byNumber(number(m.value))
			}
		case "message", "msg":
			message = m.value
		}
		return level == app.LevelNone
	})
	if level == app.LevelNone && message != nil {
		level = spoken(message[:min(len(message), 128)])
	}
	return level, true
}

// byNumber returns the level that pino and Bunyan mean.
func byNumber(n int) app.Level {
	switch {
	case n < 10:
		return app.LevelNone
	case n < 20:
		return app.LevelTrace
	case n < 30:
		return app.LevelDebug
	case n < 40:
		return app.LevelInfo
	case n < 50:
		return app.LevelWarn
	case n < 60:
		return app.LevelError
	}
	return app.LevelFatal
}

// bySeverity returns the level that syslog means.
func bySeverity(n int) app.Level {
	switch {
	case n <= 2:
		return app.LevelFatal
	case n == 3:
		return app.LevelError
	case n == 4:
		return app.LevelWarn
	case n <= 6:
		return app.LevelInfo
	}
	return app.LevelDebug
}

// spoken returns the first level that a text names.
func spoken(b []byte) app.Level {
	begun := false // a word that is no level has come: a word in small letters is prose
	for at := 0; at < len(b); {
		c := b[at]
		if c == '\x1b' {
			rest := skipColour(b[at:])
			if n := len(b) - at - len(rest); n > 0 {
				at += n
				continue
			}
		}
		if !letter(c) {
			at++
			continue
		}
		end := at + 1
		capitals := c <= 'Z'
		for end < len(b) && letter(b[end]) {
			capitals = capitals && b[end] <= 'Z'
			end++
		}
		if l := word(b[at:end]); l != app.LevelNone && alone(b, at, end) {
			before, after := around(b, at, end)
			switch {
			case capitals,
				before == '[' && after == ']', before == '(' && after == ')', before == '<' && after == '>',
				!begun && after == ':':
				return l
			}
		}
		begun = begun || end-at > 1 || c != 'T' && c != 'Z' // those of a date
		at = end
	}
	return app.LevelNone
}

// alone reports whether the word b[at:end] is not part of a longer name.
func alone(b []byte, at, end int) bool {
	joined := func(c byte) bool { return c == '_' || '0' <= c && c <= '9' || c == '/' || c == '\\' || c >= 0x80 }
	if at > 0 && (joined(b[at-1]) && b[at-1] != '/' || b[at-1] == '-' || b[at-1] == '.') {
		return false
	}
	return end == len(b) || !joined(b[end]) && (b[end] != '-' || end+1 < len(b) && b[end+1] == ' ') && (b[end] != '.' || end+1 == len(b))
}

// around returns the bytes on both sides of a word, 0 if there is none.
func around(b []byte, at, end int) (before, after byte) {
	if at > 0 {
		before = b[at-1]
	}
	if end < len(b) {
		after = b[end]
	}
	return before, after
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// word returns the level that a word names, in any case.
func word(b []byte) app.Level {
	if len(b) < 3 || len(b) > 11 {
		return app.LevelNone
	}
	var buf [11]byte
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	switch string(buf[:len(b)]) {
	case "trace", "trc", "silly", "finest", "finer":
		return app.LevelTrace
	case "debug", "dbg", "verbose", "fine":
		return app.LevelDebug
	case "info", "inf", "notice", "information", "log":
		return app.LevelInfo
	case "warn", "warning", "wrn":
		return app.LevelWarn
	case "error", "err", "severe":
		return app.LevelError
	case "fatal", "ftl", "panic", "critical", "crit", "alert", "emerg", "emergency":
		return app.LevelFatal
	}
	return app.LevelNone
}

// continues reports whether a line belongs to the one before it.
func continues(line []byte) bool {
	return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') || bytes.HasPrefix(line, []byte("Caused by: "))
}
