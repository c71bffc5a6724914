package ecosystem

import (
	"errors"
	"strings"
)

// word is one word of a command line, its quotes removed.
type word struct {
	text string
	// assign marks NAME=value with nothing quoted before the value: a shell
	// reads it as an assignment when it stands before the command.
	assign bool
}

// errQuote says that a quote or a backslash has no end.
var errQuote = errors.New("a quote is not closed")

// splitWords splits text at blanks as a POSIX shell does. shell reports that
// the text holds something that only a shell can do: an operator, expansion,
// pattern, comment or second line, outside the quotes that switch it off. The
// words then hold that text as it stands.
func splitWords(text string) (words []word, shell bool, err error) {
	s := splitter{text: text}
	for !s.end() {
		if s.blank() {
			s.pos++
			continue
		}
		w, err := s.word()
		if err != nil {
			return nil, s.shell, err
		}
		if w != nil {
			words = append(words, *w)
		}
	}
	return words, s.shell, nil
}

// splitter reads a command line from left to right.
type splitter struct {
	text  string
	pos   int
	shell bool // something was seen that needs a shell
}

func (s *splitter) end() bool { return s.pos >= len(s.text) }

// blank reports whether the next byte ends a word. An unquoted line feed ends
// the whole command for a shell, so it needs one, but splits all the same.
func (s *splitter) blank() bool {
	switch s.text[s.pos] {
	case '\n':
		s.shell = true
		return true
	case ' ', '\t':
		return true
	}
	return false
}

// word reads one word, which begins at pos. It is nil if there was nothing but
// a continued line.
func (s *splitter) word() (*word, error) {
	var out strings.Builder
	begin, quoted := s.pos, -1 // quoted: length of out at the first quote
	var real bool              // there is a word, though perhaps an empty one
	for !s.end() && !s.blank() {
		c := s.text[s.pos]
		if quoted < 0 && (c == '\'' || c == '"' || c == '\\') {
			quoted = out.Len()
		}
		switch c {
		case '\'':
			closing := strings.IndexByte(s.text[s.pos+1:], '\'')
			if closing < 0 {
				return nil, errQuote
			}
			out.WriteString(s.text[s.pos+1 : s.pos+1+closing])
			s.pos += closing + 2
		case '"':
			s.pos++
			if err := s.double(&out); err != nil {
				return nil, err
			}
		case '\\':
			if s.pos+1 == len(s.text) {
				return nil, errQuote
			}
			s.pos += 2
			if s.text[s.pos-1] == '\n' { // continues on the next line
				if !real {
					begin, quoted = s.pos, -1
				}
				continue
			}
			out.WriteByte(s.text[s.pos-1])
		default:
			s.meta(c, begin)
			out.WriteByte(c)
			s.pos++
		}
		real = true
	}
	if !real {
		return nil, nil
	}
	w := word{text: out.String()}
	name, _, ok := strings.Cut(w.text, "=")
	w.assign = ok && validVariable(name) && (quoted < 0 || quoted > len(name))
	return &w, nil
}

// double reads up to the closing double quote, in which a backslash quotes only
// four characters and removes a line feed.
func (s *splitter) double(out *strings.Builder) error {
	for ; !s.end(); s.pos++ {
		c := s.text[s.pos]
		switch {
		case c == '"':
			s.pos++
			return nil
		case c == '$' || c == '`':
			s.shell = true
		case c == '\\' && s.pos+1 < len(s.text):
			switch next := s.text[s.pos+1]; next {
			case '\n':
				s.pos++
				continue
			case '"', '\\', '$', '`':
				s.pos++
				c = next
			}
		}
		out.WriteByte(c)
	}
	return errQuote
}

// meta notes whether the unquoted c of a word that began at begin needs a shell.
func (s *splitter) meta(c byte, begin int) {
	switch c {
	case '|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '{', '}':
		s.shell = true
	case '#', '!':
		s.shell = s.shell || s.pos == begin
	case '~': // also after = and : of an assignment
		s.shell = s.shell || s.pos == begin || strings.IndexByte("=:", s.text[s.pos-1]) >= 0
	}
}

// quoteWord returns text so that a shell reads it as one word.
func quoteWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// validVariable reports whether a shell would accept name before "=".
func validVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// texts returns the words without their marks.
func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}
