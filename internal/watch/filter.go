package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
)

// filter decides which paths are ignored.
type filter struct {
	base     string
	standard bool // dotfiles and node_modules
	ignore   []pattern
	except   []pattern
	own      []string
}

// pattern is one entry of Rule.Ignore: one of the three is set.
type pattern struct {
	name string // a glob for the last part of a path
	path string // a glob for a whole path
	expr *regexp.Regexp
}

func newFilter(r Rule) (*filter, error) {
	f := &filter{base: filepath.Clean(r.Base), standard: r.Ignore == nil}
	for _, own := range r.Own {
		own = filepath.Clean(own)
		f.own = append(f.own, own)
		if dir, err := filepath.EvalSymlinks(filepath.Dir(own)); err == nil && dir != filepath.Dir(own) {
			f.own = append(f.own, filepath.Join(dir, filepath.Base(own)))
		}
	}
	for _, text := range r.Ignore {
		rest, negated := strings.CutPrefix(text, "!")
		p, err := newPattern(rest, f.base)
		if err != nil {
			return nil, fmt.Errorf("ignore_watch %q: %w", text, err)
		}
		if negated {
			f.except = append(f.except, p)
		} else {
			f.ignore = append(f.ignore, p)
		}
	}
	return f, nil
}

// regular is a text that means a regular expression: /…/ with flags, as a
// JavaScript value prints itself. A slash within it is escaped or in a class, by
// which it differs from the path of a folder.
var regular = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/((?:[^/\\[]|\\.|\[(?:[^\]\\]|\\.)*\])+)/([a-z]*)$`)
})

// isRegular takes such a text apart. "/srv/img" could be both; a plain word with
// other flags than these is taken for a path.
func isRegular(text string) (expr, flags string, ok bool) {
	m := regular().FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	switch m[2] {
	case "", "i", "g", "gi", "ig":
	default:
		if !strings.ContainsAny(m[1], `\^$*+?()[]{}|`) {
			return "", "", false
		}
	}
	return m[1], m[2], true
}

func newPattern(text, base string) (pattern, error) {
	if expr, flags, ok := isRegular(text); ok {
		return newRegexp(expr, flags)
	}
	// PM2's own default is written so, and as a glob it would never match: a class
	// does not match a slash.
	if strings.Contains(text, `[\/\\]`) || strings.Contains(text, `[/\\]`) || strings.Contains(text, `[\\/]`) {
		return newRegexp(text, "")
	}
	for strings.HasPrefix(text, "./") {
		text = strings.TrimLeft(text[2:], "/")
	}
	if len(text) > 1 {
		text = strings.TrimRight(text, "/")
	}
	switch {
	case text == "":
		return pattern{}, errors.New("names nothing")
	case !doublestar.ValidatePattern(text):
		return pattern{}, errors.New("not a valid glob; escape [ and { by a backslash")
	case tooManyChoices(text):
		return pattern{}, errTooManyChoices
	case !strings.Contains(text, "/"):
		return pattern{name: text}, nil
	case !filepath.IsAbs(text):
		text = escape(base) + "/" + text
	}
	return pattern{path: filepath.Clean(text)}, nil
}

var errTooManyChoices = errors.New("has too many alternatives in braces; split it into several")

// tooManyChoices reports whether the braces of a glob could keep the matcher busy:
// it tries every combination of their alternatives.
func tooManyChoices(glob string) bool {
	groups, choices := strings.Count(glob, "{"), 1.0
	if groups == 0 {
		return false
	}
	each := 1 + float64(strings.Count(glob, ","))/float64(groups) // most if they are alike
	for range groups {
		if choices *= each; choices > 10_000 {
			return true
		}
	}
	return false
}

func newRegexp(text, flags string) (pattern, error) {
	prefix := ""
	for _, c := range flags {
		switch c {
		case 'i', 's', 'm':
			prefix += string(c)
		case 'g', 'u', 'y', 'v', 'd': // they change nothing in a test for a match, or not here
		default:
			return pattern{}, fmt.Errorf("flag %q of a regular expression is not known", c)
		}
	}
	if prefix != "" {
		prefix = "(?" + prefix + ")"
	}
	expr, err := regexp.Compile(prefix + text)
	if err != nil {
		return pattern{}, fmt.Errorf("not a regular expression of Go's kind, which has no (?= and no \\1: %w", err)
	}
	return pattern{expr: expr}, nil
}

// escape makes a glob that matches path alone.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if strings.IndexByte(`*?[]{}\`, path[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return strings.TrimRight(b.String(), "/")
}

// match reports whether the pattern means path, of which the first above bytes
// belong to the folder in which it is looked for.
func (p pattern) match(path string, above int) bool {
	switch {
	case p.name != "":
		return doublestar.MatchUnvalidated(p.name, filepath.Base(path))
	case p.path != "":
		return doublestar.MatchUnvalidated(p.path, path)
	}
	for _, m := range p.expr.FindAllStringIndex(path, -1) {
		if m[1] > above {
			return true
		}
	}
	return above < len(path) && p.expr.MatchString(path[above+1:]) // "^src/"
}

// ignored reports whether what is at path, somewhere below the watched folder
// root, is to be passed over. The folders between the two are not looked at.
func (f *filter) ignored(path, root string) bool {
	if f.isOwn(path) {
		return true
	}
	top := root
	if within(root, f.base) {
		top = f.base
	}
	above := len(strings.TrimRight(top, "/"))
	for _, p := range f.except {
		if p.match(path, above) {
			return false
		}
	}
	if f.standard {
		name := filepath.Base(path)
		return name[0] == '.' || name == "node_modules"
	}
	for _, p := range f.ignore {
		if p.match(path, above) {
			return true
		}
	}
	return false
}

// rotated is what is put after the name of a log when it is rotated.
var rotated = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\.[0-9]+)?(\.gz)?(\.tmp)?$`) })

func (f *filter) isOwn(path string) bool {
	for _, own := range f.own {
		if rest, ok := strings.CutPrefix(path, own); ok && (rest == "" || rest[0] == '/' || rotated().MatchString(rest)) {
			return true
		}
	}
	return false
}

// within reports whether path is folder or below it.
func within(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, folder)
	return ok && (rest == "" || rest[0] == '/' || folder == "/")
}

// split takes an absolute path of a rule apart: the folder or file to be looked
// at, and the glob for what counts in it, if it is one.
func split(path string) (root, glob string) {
	path = filepath.Clean(path)
	if exists(path) {
		return path, ""
	}
	if plain, wild := unescape(path); !wild {
		return plain, ""
	}
	root, rest := doublestar.SplitPattern(path)
	glob = path
	if _, wild := unescape(rest[strings.LastIndexByte(rest, '/')+1:]); !wild {
		glob += "/**" // which means the folder itself as well
	}
	return root, glob
}

// unescape returns a glob without its backslashes, and whether it was more than a
// name.
func unescape(glob string) (plain string, wild bool) {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\' && i+1 < len(glob):
			i++
		case strings.IndexByte("*?[{", c) >= 0:
			wild = true
		}
		b.WriteByte(glob[i])
	}
	return b.String(), wild
}

// mayHold reports whether something below folder could match glob.
func mayHold(glob, folder string) bool {
	if strings.Contains(glob, "{") {
		return true // a brace may hold slashes
	}
	parts := strings.Split(glob, "/")
	for i, name := range strings.Split(folder, "/") {
		if i >= len(parts)-1 { // the last part is for what is in the folder
			return parts[len(parts)-1] == "**"
		}
		if parts[i] == "**" {
			return true
		}
		if !doublestar.MatchUnvalidated(parts[i], name) {
			return false
		}
	}
	return true
}
