package inspect

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The defaults of util.inspect, in UTF-16 units where they are lengths.
const (
	breakLength    = 80     // a line should not be longer
	compact        = 3      // so many levels may stand on one line
	minLineWidth   = 16     // a shorter string is never broken
	maxArrayLength = 100    // further elements are counted only
	maxStringUnits = 10_000 // further characters are counted only
)

// Text returns v as util.inspect(v, {depth: null}) does in Node 20, without colours.
func Text(v any) string {
	var p printer
	return p.format(v, 0)
}

// printer is one run over a value.
type printer struct {
	indent  int // of the value that is being printed
	deepest int // depth of the last object or list with something in it
}

func (p *printer) format(v any, depth int) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return p.text(v)
	case Object:
		return p.object(v, depth)
	case []any:
		return formatList(p, v, depth)
	case []string:
		return formatList(p, v, depth)
	case []int:
		return formatList(p, v, depth)
	case float64:
		if v == 0 && math.Signbit(v) {
			return "-0"
		}
	}
	return number(v)
}

func (p *printer) object(o Object, depth int) string {
	if len(o) == 0 {
		return "{}"
	}
	p.deepest = depth
	output := make([]string, len(o))
	for i, m := range o {
		p.indent += 2
		output[i] = key(m.Key) + ": " + p.format(m.Value, depth+1)
		p.indent -= 2
	}
	return p.join(output, depth, "{", "}", false)
}

func formatList[T any](p *printer, list []T, depth int) string {
	if len(list) == 0 {
		return "[]"
	}
	p.deepest = depth
	shown := min(len(list), maxArrayLength)
	output := make([]string, 0, shown+1)
	numbers := true
	for _, v := range list[:shown] {
		p.indent += 2
		output = append(output, p.format(v, depth+1))
		p.indent -= 2
		numbers = numbers && isNumber(v)
	}
	if more := len(list) - shown; more > 0 {
		output = append(output, fmt.Sprintf("... %d more item%s", more, plural(more)))
		// Node looks at an element for each line here, the one about the rest included.
		numbers = numbers && isNumber(list[shown])
	}
	entries := len(output)
	if entries > 6 {
		output = p.group(output, len(list) > shown, numbers)
	}
	return p.join(output, depth, "[", "]", entries != len(output))
}

// join puts the parts of an object or a list on one line if they fit and are not
// nested too deeply, else each on its own. Grouped parts are lines already.
func (p *printer) join(output []string, depth int, open, end string, grouped bool) string {
	if p.deepest-depth < compact && !grouped {
		total := len(output) + (len(output) + p.indent + len(open) + 10)
		newline := false
		for _, part := range output {
			total += units(part)
			newline = newline || strings.Contains(part, "\n")
		}
		if total <= breakLength && !newline {
			return open + " " + strings.Join(output, ", ") + " " + end
		}
	}
	indent := "\n" + strings.Repeat(" ", p.indent)
	return open + indent + "  " + strings.Join(output, ","+indent+"  ") + indent + end
}

// group arranges the elements of a longer list in columns. Numbers stand at the
// right of theirs.
func (p *printer) group(output []string, counted, numbers bool) []string {
	const separator = 2 // ", "
	n := len(output)
	if counted {
		n--
	}
	widths, total, widest := make([]int, n), 0, 0
	for i := range n {
		widths[i] = units(output[i])
		total += widths[i] + separator
		widest = max(widest, widths[i])
	}
	width := widest + separator
	if width*3+p.indent >= breakLength || float64(total)/float64(width) <= 5 && widest > 6 {
		return output
	}
	bias := math.Sqrt(float64(width) - float64(total)/float64(len(output)))
	biased := math.Max(float64(width)-3-bias, 1)
	columns := min(
		int(math.Floor(math.Sqrt(2.5*biased*float64(n))/biased+0.5)), // a character is 2.5 times as high as wide
		(breakLength-p.indent)/width,
		compact*4,
		15,
	)
	if columns <= 1 {
		return output
	}
	var column []int
	for i := range columns {
		length := 0
		for j := i; j < n; j += columns {
			length = max(length, widths[j])
		}
		column = append(column, length+separator)
	}
	var lines []string
	for i := 0; i < n; i += columns {
		var line strings.Builder
		last := min(i+columns, n) - 1
		for j := i; j <= last; j++ {
			text, room := output[j], column[j-i]-separator-widths[j]
			if numbers {
				line.WriteString(strings.Repeat(" ", max(room, 0)))
			}
			line.WriteString(text)
			if j == last {
				break
			}
			line.WriteString(", ")
			if !numbers {
				line.WriteString(strings.Repeat(" ", max(room, 0)))
			}
		}
		lines = append(lines, line.String())
	}
	if counted {
		lines = append(lines, output[n])
	}
	return lines
}

// text prints a string: in quotes, and in several lines if it is long and has some.
func (p *printer) text(s string) string {
	rest := ""
	if n := units(s); n > maxStringUnits {
		s = firstUnits(s, maxStringUnits)
		more := n - maxStringUnits
		rest = fmt.Sprintf("... %d more character%s", more, plural(more))
	}
	n := units(s)
	if n <= minLineWidth || n <= breakLength-p.indent-4 {
		return quote(s) + rest
	}
	lines := strings.SplitAfter(s, "\n")
	if len(lines) > 1 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i := range lines {
		lines[i] = quote(lines[i])
	}
	return strings.Join(lines, " +\n"+strings.Repeat(" ", p.indent+2)) + rest
}

var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z_][a-zA-Z_0-9]*$`) })

func key(name string) string {
	switch {
	case name == "__proto__":
		return "['__proto__']"
	case identifier().MatchString(name):
		return name
	}
	return quote(name)
}

// quote puts a string in single quotes, or in others if that saves escapes.
func quote(s string) string {
	mark := byte('\'')
	if strings.Contains(s, "'") {
		if !strings.Contains(s, `"`) {
			mark = '"'
		} else if !strings.Contains(s, "`") && !strings.Contains(s, "${") {
			mark = '`'
		}
	}
	var b strings.Builder
	b.WriteByte(mark)
	for _, r := range s {
		switch {
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r >= 0x7f && r <= 0x9f:
			fmt.Fprintf(&b, `\x%02X`, r)
		case r == '\\' || r == '\'' && mark == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(mark)
	return b.String()
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, int64, uint64, float64:
		return true
	}
	return false
}

// units is the length of a string in JavaScript.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// firstUnits cuts a string; a character of two units is not torn.
func firstUnits(s string, n int) string {
	at := 0
	for at < len(s) {
		r, size := utf8.DecodeRuneInString(s[at:])
		if n -= max(utf16.RuneLen(r), 1); n < 0 {
			break
		}
		at += size
	}
	return s[:at]
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
