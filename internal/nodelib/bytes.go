package nodelib

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Latin1 is a string with one character for each byte: bytes on their way to
// JavaScript.
func Latin1(b []byte) string {
	var s strings.Builder
	s.Grow(len(b) + len(b)/2)
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// BytesOf is the inverse of Latin1; what is no byte is cut, as in Node.
func BytesOf(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

// Encode is Buffer.from(text, encoding), in the form of Latin1. Where an encoding ends early,
// so do the bytes: Node does not complain either.
func Encode(text, encoding string) (string, error) {
	switch encoding {
	case "utf8", "utf-8":
		return Latin1([]byte(text)), nil
	case "latin1", "binary", "ascii":
		return Latin1(BytesOf(text)), nil
	case "hex":
		b := make([]byte, len(text)/2)
		n, _ := hex.Decode(b, []byte(text[:len(text)/2*2]))
		return Latin1(b[:n]), nil
	case "base64", "base64url":
		plain := strings.Map(func(r rune) rune {
			switch {
			case r == '-':
				return '+'
			case r == '_':
				return '/'
			case r < utf8.RuneSelf && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '+' || r == '/'):
				return r
			}
			return -1
		}, strings.SplitN(text, "=", 2)[0])
		if len(plain)%4 == 1 {
			plain = plain[:len(plain)-1]
		}
		b, err := base64.RawStdEncoding.DecodeString(plain)
		return Latin1(b), err
	case "utf16le", "utf-16le", "ucs2", "ucs-2":
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return Latin1(b), nil
	}
	return "", unknownEncoding(encoding)
}

// Decode is buffer.toString(encoding) of bytes in the form of Latin1.
func Decode(chars, encoding string) (string, error) {
	b := BytesOf(chars)
	switch encoding {
	case "utf8", "utf-8":
		return string(b), nil
	case "latin1", "binary":
		return chars, nil
	case "ascii":
		for i := range b {
			b[i] &= 0x7f
		}
		return string(b), nil
	case "hex":
		return hex.EncodeToString(b), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(b), nil
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(b), nil
	case "utf16le", "utf-16le", "ucs2", "ucs-2":
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(units)), nil
	}
	return "", unknownEncoding(encoding)
}

// EncodingError is Node's ERR_UNKNOWN_ENCODING.
type EncodingError struct{ Name string }

func (e *EncodingError) Error() string { return "Unknown encoding: " + e.Name }

func unknownEncoding(name string) error { return &EncodingError{name} }
