package monit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

const (
	tabWidth  = 8
	longest   = 4096 // bytes of a line that are looked at: no screen is wider
	maxMarks  = 2    // combining marks on one letter
	ellipsis  = "…"
	unknownAt = "\uFFFD" // in the place of what is no text
)

// clean makes one printable line of any bytes: escape sequences go, what else a
// terminal would act on becomes a blank or goes, and what terminals disagree about
// in width is written in a way that they agree about, or columns would not stand
// below each other.
func clean(line string) string {
	cut := false
	if len(line) > longest {
		line, cut = line[:longest], true
	}
	if plainASCII(line) {
		if cut {
			line += ellipsis
		}
		return line
	}
	var b strings.Builder
	column, marks := 0, 0
	for line != "" {
		if line[0] == 0x1b {
			line = line[escapeLength(line):]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		line = line[size:]
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(unknownAt)
			column++
		case r == '\t':
			n := tabWidth - column%tabWidth
			b.WriteString("        "[:n])
			column += n
		case r == '\r' && line == "": // a line of a Windows program
		case unicode.IsControl(r):
			b.WriteByte(' ')
			column++
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc):
			if marks++; marks <= maxMarks && column > 0 && ansi.StringWidthWc(string(r)) == 0 && joins(r) {
				b.WriteRune(r)
			}
			continue
		case invisible(r):
		case r >= 0x1F1E6 && r <= 0x1F1FF: // half a flag, which is a letter
			b.WriteRune('A' + r - 0x1F1E6)
			column++
		default:
			narrow := ansi.StringWidthWc(string(r))
			if narrow == 0 || narrow != ansi.StringWidth(string(r)) {
				r, narrow = utf8.RuneError, 1
			}
			b.WriteRune(r)
			column += narrow
		}
		marks = 0
	}
	text := b.String()
	if ansi.StringWidthWc(text) != ansi.StringWidth(text) { // letters that change by their neighbours
		text = apart(text)
	}
	if cut {
		text += ellipsis
	}
	return text
}

// plainASCII reports whether there is nothing to be cleaned.
func plainASCII(line string) bool {
	for i := range len(line) {
		if line[i] < ' ' || line[i] > '~' {
			return false
		}
	}
	return true
}

// apart replaces each cluster of letters whose width is doubtful.
func apart(text string) string {
	var b strings.Builder
	for text != "" {
		cluster, wide := ansi.FirstGraphemeCluster(text, ansi.GraphemeWidth)
		if cluster == "" {
			break
		}
		text = text[len(cluster):]
		if wide != ansi.StringWidthWc(cluster) {
			cluster = unknownAt
		}
		b.WriteString(cluster)
	}
	return b.String()
}

// joins reports whether a mark is one that only stands on a letter: variation
// selectors and enclosing keycaps change the width of what they stand on.
func joins(r rune) bool {
	selector := r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0100 && r <= 0xE01EF
	return !selector && !unicode.Is(unicode.Me, r)
}

// invisible reports whether r shows nothing, but changes what is around it: joiners,
// directions, tags, skin tones.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Zl, unicode.Zp) ||
		r >= 0x1F3FB && r <= 0x1F3FF || r == 0x034F || r == 0x115F || r == 0x1160 || r == 0x3164 || r == 0xFFA0
}

// escapeLength is how long the escape sequence is that line begins with. Of one that
// does not end, only its beginning counts, so that it swallows no text.
func escapeLength(line string) int {
	if len(line) == 1 {
		return 1
	}
	switch line[1] {
	case '[':
		for i := 2; i < len(line); i++ {
			switch c := line[i]; {
			case c >= '@' && c <= '~':
				return i + 1
			case c < ' ' || c > '?':
				return i
			}
		}
		return len(line)
	case ']', 'P', 'X', '^', '_': // up to BEL or ESC \
		for i := 2; i < len(line); i++ {
			if line[i] == 0x07 {
				return i + 1
			}
			if line[i] == 0x1b && i+1 < len(line) && line[i+1] == '\\' {
				return i + 2
			}
		}
		return 2
	case '(', ')', '*', '+', '#', '%', ' ':
		return min(3, len(line))
	}
	if line[1] >= '0' && line[1] <= '~' {
		return 2
	}
	return 1
}

// width is how many columns a cleaned text takes.
func width(text string) int {
	if plainASCII(text) {
		return len(text)
	}
	return ansi.StringWidthWc(text)
}

// cutTo shortens a cleaned text to at most n columns.
func cutTo(text string, n int) string {
	switch {
	case n <= 0:
		return ""
	case width(text) <= n:
		return text
	case plainASCII(text):
		return text[:n-1] + ellipsis
	}
	return ansi.TruncateWc(text, n, ellipsis)
}

// left makes a cleaned text n columns wide.
func left(text string, n int) string {
	text = cutTo(text, n)
	return text + blanks(n-width(text))
}

// right is left, with the blanks in front.
func right(text string, n int) string {
	text = cutTo(text, n)
	return blanks(n-width(text)) + text
}

func blanks(n int) string { return strings.Repeat(" ", max(n, 0)) }

// filled splits a cleaned text into lines of n columns at most, between words where
// it has some.
func filled(text string, n int) []string {
	var out []string
	for n >= 2 && width(text) > n {
		head := ansi.TruncateWc(text, n, "")
		if at := strings.LastIndexAny(head, " /,"); at > len(head)/3 {
			head = head[:at+1]
		}
		out = append(out, strings.TrimRight(head, " "))
		text = strings.TrimLeft(text[len(head):], " ")
	}
	return append(out, text)
}

// wrapped splits a cleaned text into lines of n columns, as a terminal does.
func wrapped(text string, n int) []string {
	if n < 2 || width(text) <= n {
		return []string{text}
	}
	return strings.Split(ansi.HardwrapWc(text, n, true), "\n")
}
