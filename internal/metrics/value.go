package metrics

import (
	"math"
	"strconv"
	"strings"
)

// ParseValue reads a figure as an app reports it: "9.23", "12 ms", "1.5k", "true". Not
// ok: it is none. Of a number with a unit the unit is left to who reads it.
func ParseValue(text string) (v float64, ok bool) {
	text = strings.TrimSpace(text)
	switch text {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	end := 0
	for end < len(text) && strings.IndexByte("+-.0123456789eE", text[end]) >= 0 {
		end++
	}
	for ; end > 0; end-- { // "5e" of "5 events" is no number, and "5" is
		if v, err := strconv.ParseFloat(text[:end], 64); err == nil && !math.IsInf(v, 0) {
			return v, unit(strings.TrimSpace(text[end:]))
		}
	}
	return 0, false
}

// unit reports whether text may follow a number: a word, such as "ms", "%" or "req/s",
// not more of a number, as in "1.2.3" or "10:30".
func unit(text string) bool {
	return len(text) <= maxUnit && !strings.ContainsAny(text, "0123456789.,:;-+ \t\n")
}

const maxUnit = 16
