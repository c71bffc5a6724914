// Package dotenv reads .env files by the rules of Node's dotenv package.
package dotenv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSize is the size of a .env file that is read.
const maxSize = 1 << 20

// Read reads a .env file as [Parse] does. Errors name the file, and
// the line if the text is at fault, but never show a value.
func Read(path string) (map[string]string, error) {
	info, err := os.Stat(path) // first: to open a pipe would wait for who writes to it
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return nil, fmt.Errorf("read env file %s: %w", path, bare(err))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read env file %s: %w", path, bare(err))
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read env file %s: %w", path, bare(err))
	}
	env, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("env file %s: %w", path, err)
	}
	return env, nil
}

// Parse reads the text of a .env file, at most 1 MiB, by the rules of Node's
// dotenv package: docs/env-files.md tells them. It never expands $NAME, which is
// why it is not one of Go's libraries: they all do, and cannot be kept from it.
// What dotenv would silently pass over is an error here, which names the line.
func Parse(text []byte) (map[string]string, error) {
	switch {
	case len(text) > maxSize:
		return nil, errors.New("larger than 1 MiB; is it an env file?")
	case !utf8.Valid(text):
		return nil, errors.New("not UTF-8")
	}
	s := strings.TrimPrefix(string(text), "\ufeff")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	env := make(map[string]string)
	rest := s
	for {
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		if rest == "" {
			return env, nil
		}
		if rest[0] == '#' {
			_, rest, _ = strings.Cut(rest, "\n")
			continue
		}
		name, value, after, err := assignment(rest)
		if err != nil {
			line := strings.Count(s[:len(s)-len(rest)], "\n") + 1
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		env[name] = value
		rest = after
	}
}

// assignment takes a variable from the beginning of text and returns what follows
// its line.
func assignment(text string) (name, value, rest string, err error) {
	rest = text
	if after, ok := strings.CutPrefix(rest, "export"); ok && after != "" && isBlank(rune(after[0])) {
		rest = strings.TrimLeftFunc(after, isBlank)
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !isNameRune(r) })
	if end <= 0 {
		return "", "", "", errors.New("not NAME=value")
	}
	name, rest = rest[:end], rest[end:]
	if after, ok := strings.CutPrefix(strings.TrimLeftFunc(rest, isBlank), "="); ok {
		rest = after
	} else if after, ok = strings.CutPrefix(rest, ":"); ok && after != "" && unicode.IsSpace(rune(after[0])) {
		rest = after
	} else {
		return "", "", "", errors.New("not NAME=value")
	}
	value, rest, err = assigned(strings.TrimLeftFunc(rest, isBlank))
	if err == nil && strings.ContainsRune(value, 0) {
		err = errors.New("the value has a NUL byte")
	}
	if err != nil {
		return "", "", "", fmt.Errorf("%s: %w", name, err)
	}
	return name, value, rest, nil
}

// assigned takes a value, quoted or not.
func assigned(text string) (value, rest string, err error) {
	line, after, _ := strings.Cut(text, "\n")
	if text == "" || strings.IndexByte("\"'`", text[0]) < 0 {
		line, _, _ = strings.Cut(line, "#")
		return strings.TrimFunc(line, isTrimmed), after, nil
	}
	quote := text[0]
	value, rest, ok := quoted(text, quote)
	if !ok {
		// As in A='x' y: the quotes belong to the value, unless they are all of it.
		value, _, _ = strings.Cut(line, "#")
		value = strings.TrimFunc(value, isTrimmed)
		if strings.Count(value, string(quote)) < 2 {
			return "", "", fmt.Errorf("the quote %c is not closed", quote)
		}
		if value[len(value)-1] == quote {
			value = value[1 : len(value)-1]
		}
		rest = after
	}
	if quote == '"' {
		value = strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(value)
	}
	return value, rest, nil
}

// quoted takes a quoted value after which its line ends, but for a comment. A
// quote after a backslash ends it only if no other one does.
func quoted(text string, quote byte) (value, rest string, ok bool) {
	last := -1
	for i := 1; i < len(text); i++ {
		if text[i] != quote {
			continue
		}
		if lineEnds(text[i+1:]) {
			last = i
		}
		if text[i-1] != '\\' {
			break
		}
	}
	if last < 0 {
		return "", "", false
	}
	_, rest, _ = strings.Cut(text[last+1:], "\n")
	return text[1:last], rest, true
}

// lineEnds reports whether nothing but blanks and a comment is left of a line.
func lineEnds(text string) bool {
	text = strings.TrimLeftFunc(text, isBlank)
	return text == "" || text[0] == '\n' || text[0] == '#'
}

func isNameRune(r rune) bool {
	return r == '_' || r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// isBlank is white space within a line.
func isBlank(r rune) bool { return r != '\n' && isTrimmed(r) }

// isTrimmed is what JavaScript trims.
func isTrimmed(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }

// bare takes the path, which is told already, off an error.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
