package ecosystem

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// content is what the beginning of a file tells about how to run it.
type content struct {
	executable bool
	binary     bool     // machine code or another format that is no text
	shebang    *shebang // of a text that has one
}

// shebang is a "#!" line.
type shebang struct {
	program string   // a path, or what env is to find on PATH
	args    []string // before the script
	env     []string // assignments of "env -S"
	// broken marks a line that the kernel would not obey but that is plain to a
	// reader: a carriage return at its end, or several words for env without -S.
	broken bool
}

// inspect reads the beginning of file.
func inspect(file string) (content, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return content{}, fmt.Errorf("inspect %s: %w", file, bare(err))
	}
	c := content{executable: fi.Mode()&0o111 != 0}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrPermission) && c.executable {
		c.binary = true // it may be run but not read: only a program can be so
		return c, nil
	}
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", file, bare(err))
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return content{}, fmt.Errorf("read %s: %w", file, bare(err))
	}
	head = head[:n]
	c.shebang = parseShebang(head)
	c.binary = c.shebang == nil && bytes.IndexByte(head, 0) >= 0
	return c, nil
}

// parseShebang returns the first line's interpreter, nil if there is none.
func parseShebang(head []byte) *shebang {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	text, carriage := strings.CutSuffix(string(line), "\r")
	program, rest, _ := strings.Cut(strings.Trim(strings.ReplaceAll(text, "\t", " "), " "), " ")
	if program == "" || strings.ContainsRune(text, 0) {
		return nil
	}
	s := &shebang{program: program, broken: carriage}
	rest = strings.Trim(rest, " ")
	if path.Base(program) != "env" {
		if rest != "" {
			s.args = []string{rest} // the kernel passes all of it as one argument
		}
		return s
	}
	split := rest
	for _, flag := range []string{"-S", "--split-string="} {
		split = strings.TrimPrefix(split, flag)
	}
	words, _, err := splitWords(split)
	if err != nil {
		return s
	}
	for len(words) > 0 && words[0].assign {
		s.env = append(s.env, words[0].text)
		words = words[1:]
	}
	if len(words) == 0 || words[0].text == "" || strings.HasPrefix(words[0].text, "-") {
		return s // other flags of env, or nothing to run: leave it to env
	}
	s.program, s.args = words[0].text, texts(words[1:])
	s.broken = s.broken || split == rest && (len(words) > 1 || len(s.env) > 0)
	return s
}
