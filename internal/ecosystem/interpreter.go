package ecosystem

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"paceline/internal/app"
)

// interpreters says which programs can run a text file, by its extension; the
// first one that is on PATH does.
var interpreters = map[string][]string{
	".js": {"node", "nodejs"}, ".mjs": {"node", "nodejs"}, ".cjs": {"node", "nodejs"},
	".ts": {"node", "nodejs"}, ".mts": {"node", "nodejs"}, ".cts": {"node", "nodejs"},
	".tsx": {"bun"}, ".jsx": {"bun"},
	".py": {"python", "python3"}, ".rb": {"ruby"}, ".php": {"php"}, ".pl": {"perl"},
	".sh": {"bash", "sh"}, ".bash": {"bash"}, ".zsh": {"zsh"}, ".fish": {"fish"},
	".lua": {"lua", "luajit"}, ".r": {"Rscript"}, ".jl": {"julia"}, ".tcl": {"tclsh"},
	".exs": {"elixir"}, ".coffee": {"coffee"}, ".ls": {"lsc"}, ".jar": {"java"},
}

// interpreterFlags are what an interpreter needs before a file of that extension.
var interpreterFlags = map[string][]string{".jar": {"-jar"}}

// runner is how a file is run: by itself, or by an interpreter.
type runner struct {
	interpreter string   // absolute; "" for by itself
	args        []string // before the script
	env         []string
	language    string // base name of what runs it in the end: "python3", "node"
	guessed     bool   // by the extension, so that another one may be as good
}

// chosen is the runner that --interpreter asks for; extra are the words of
// --interpreter-args.
func (p places) chosen(file, interpreter string, extra []string) (runner, error) {
	c, err := p.lookups.inspect(file)
	if err != nil {
		return runner{}, err
	}
	if interpreter == "none" {
		if !c.executable {
			return runner{}, fmt.Errorf("--interpreter none: %s is not executable; chmod +x it", file)
		}
		if len(extra) > 0 {
			return runner{}, fmt.Errorf("--interpreter-args %q have no interpreter to go to with --interpreter none", strings.Join(extra, " "))
		}
		return runner{language: filepath.Base(file)}, nil
	}
	words, _, err := splitWords(interpreter)
	if err != nil || len(words) == 0 {
		return runner{}, fmt.Errorf("--interpreter %q is not a program", interpreter)
	}
	prog, ok := p.program(words[0].text)
	if !ok {
		hint := ""
		if strings.ContainsRune(words[0].text, '@') {
			hint = "; versions such as node@22 are not looked up: give the path of that version's program"
		}
		return runner{}, fmt.Errorf("--interpreter %q: no program of that name on PATH%s", words[0].text, hint)
	}
	return runner{interpreter: prog, args: append(texts(words[1:]), extra...), language: filepath.Base(prog)}, nil
}

// guess finds the runner by the file's content and name, never by its folder's.
func (p places) guess(file string, extra []string) (runner, error) {
	c, err := p.lookups.inspect(file)
	if err != nil {
		return runner{}, err
	}
	ext := strings.ToLower(filepath.Ext(file))
	base := filepath.Base(file)
	switch {
	case c.shebang != nil:
		return p.byShebang(file, ext, c, extra)
	case len(interpreters[ext]) > 0 && (ext == ".jar" || !c.binary):
		return p.byExtension(file, ext, extra)
	case c.binary && !c.executable:
		return runner{}, fmt.Errorf("%s is a program but not executable; chmod +x it, or set --interpreter", base)
	case !c.binary:
		return runner{}, fmt.Errorf(`cannot tell what runs %s: it has no "#!" line and no known extension; set --interpreter, e.g. --interpreter python3`, base)
	case len(extra) > 0:
		return runner{}, fmt.Errorf("--interpreter-args %q: %s is a program and runs without an interpreter", strings.Join(extra, " "), base)
	}
	return runner{language: base}, nil
}

// byShebang obeys the file's "#!" line. Node is always called by its own name,
// so that its flags can be given and its channel reaches the script.
func (p places) byShebang(file, ext string, c content, extra []string) (runner, error) {
	s := c.shebang
	prog, ok := p.program(s.program)
	switch {
	case !ok && len(interpreters[ext]) > 0:
		return p.byExtension(file, ext, extra)
	case !ok:
		return runner{}, fmt.Errorf("%s, which the first line of %s asks for, is not there; install it or set --interpreter", s.program, filepath.Base(file))
	case c.executable && !s.broken && !isNode(prog) && len(extra) == 0:
		return runner{language: filepath.Base(prog)}, nil
	}
	return runner{interpreter: prog, args: append(s.args, extra...), env: s.env, language: filepath.Base(prog)}, nil
}

func (p places) byExtension(file, ext string, extra []string) (runner, error) {
	names := interpreters[ext]
	for _, name := range names {
		if prog, ok := p.program(name); ok {
			args := append([]string{}, interpreterFlags[ext]...)
			return runner{interpreter: prog, args: append(args, extra...), language: name, guessed: true}, nil
		}
	}
	return runner{}, fmt.Errorf("%s, which %s needs, is not on PATH; install it or set --interpreter", names[0], filepath.Base(file))
}

// isNode reports whether prog is Node.js: by its name or by where it links to.
func isNode(prog string) bool {
	name := func(file string) bool {
		base := filepath.Base(file)
		return base == "node" || base == "nodejs"
	}
	if name(prog) {
		return true
	}
	real, err := filepath.EvalSymlinks(prog)
	return err == nil && name(real)
}

var python = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(python|pypy)[0-9.]*$`) })

// isPython reports whether a program of that base name is Python, whose output
// into a pipe would be held back in blocks.
func isPython(base string) bool { return python().MatchString(base) }

// checkTypeScript returns an error when file is TypeScript and this node, given
// no loader, cannot strip its types. version is what `node --version` prints;
// one that cannot be read passes.
func checkTypeScript(file, version string) error {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "v%d.%d", &major, &minor); n < 2 {
		return nil
	}
	// Without a flag from 22.18 and 23.6 on: nodejs.org, "Running TypeScript natively".
	if major > 23 || major == 23 && minor >= 6 || major == 22 && minor >= 18 {
		return nil
	}
	return fmt.Errorf(`%s: node %s cannot run TypeScript; use node 22.18 or newer, or a loader, e.g. --node-args "--import tsx"`,
		filepath.Base(file), strings.TrimSpace(version))
}

// isTypeScript reports whether node would have to strip types.
func isTypeScript(file string) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".ts", ".mts", ".cts":
		return true
	}
	return false
}

// apply puts the runner of file into spec.
func (r runner) apply(spec *app.Spec, file string) {
	spec.Exec, spec.Interpreter, spec.InterpreterArgs = file, r.interpreter, r.args
}
