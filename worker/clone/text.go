package clone

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fromLatin1 makes a string of one byte per character.
func fromLatin1(b []byte) string {
	if isASCII(b) {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b) + len(b)/2)
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

func isASCII[S string | []byte](s S) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 { // the compiler makes one load of it
		b := s[i : i+8]
		if (uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|
			uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)&0x8080808080808080 != 0 {
			return false
		}
	}
	for ; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fromUTF16 makes a string of two bytes per unit. A lone surrogate becomes the
// three bytes that the rule of UTF-8 gives it.
func fromUTF16(b []byte) string {
	out := make([]byte, 0, len(b))
	unit := func(i int) uint16 { return uint16(b[i]) | uint16(b[i+1])<<8 }
	for i := 0; i+1 < len(b); i += 2 {
		u := unit(i)
		switch {
		case u < utf8.RuneSelf:
			out = append(out, byte(u))
		case u < 0xd800 || u > 0xdfff:
			out = utf8.AppendRune(out, rune(u))
		default:
			if u < 0xdc00 && i+3 < len(b) {
				if low := unit(i + 2); 0xdc00 <= low && low <= 0xdfff {
					out = utf8.AppendRune(out, (rune(u)-0xd800)<<10|(rune(low)-0xdc00)+0x10000)
					i += 2
					continue
				}
			}
			out = append(out, 0xe0|byte(u>>12), 0x80|byte(u>>6)&0x3f, 0x80|byte(u)&0x3f)
		}
	}
	return string(out)
}

// next is the character that s begins with, and its length in bytes: fromUTF16's
// surrogates too, and U+FFFD for what is no text.
func next(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 && len(s) > 2 && s[0] == 0xed && 0xa0 <= s[1] && s[1] <= 0xbf && 0x80 <= s[2] && s[2] <= 0xbf {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return r, n
}

// numberKey is the name that a number has as the key of a property: what
// JavaScript's String makes of it.
func numberKey(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	if a := math.Abs(f); 1e-6 <= a && a < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// arrayIndex is the number that a key is, if it is the index of an array as
// JavaScript writes it: below 2^32-1, without leading zeros.
func arrayIndex(key string) (uint32, bool) {
	if key == "" || len(key) > 10 || key[0] == '0' && len(key) > 1 {
		return 0, false
	}
	var n uint64
	for i := range len(key) {
		c := key[i]
		if c < '0' || '9' < c {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n < math.MaxUint32
}
