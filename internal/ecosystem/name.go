package ecosystem

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"paceline/internal/app"
)

// nameOf makes a valid app name of a script's or program's path: its base name
// without the extension, unless that leaves a word with a meaning of its own.
func nameOf(file string) string {
	base := filepath.Base(file)
	for _, name := range []string{stem(base), base} {
		if name = printable(name); app.ValidName(name) == nil {
			return name
		}
	}
	return printable("app-" + base)
}

// extension is a dot and letters at a name's end; "python3.11" has none.
var extension = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.+)\.[A-Za-z]{1,5}$`) })

func stem(base string) string {
	if m := extension().FindStringSubmatch(base); m != nil {
		return m[1]
	}
	return base
}

// printable replaces what a name may not hold and cuts it to a name's length.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == utf8.RuneError {
			return '-'
		}
		return r
	}, strings.TrimLeft(text, "-"))
	for len(text) > 128 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// languages are programs whose first file argument is what the user means.
var languages = []string{
	"node", "nodejs", "bun", "deno", "ruby", "perl", "php", "bash", "sh", "dash", "zsh", "fish", "lua", "luajit",
	"java", "Rscript", "julia", "elixir", "tclsh", "tsx", "ts-node", "nodemon", "dotnet",
}

// lineName names the app that runs prog with args: after the script or module
// that an interpreter is given, else after the program.
func (p places) lineName(prog string, args []string) string {
	base := filepath.Base(prog)
	if !isPython(base) && !slices.Contains(languages, base) {
		return nameOf(prog)
	}
	for i, arg := range args {
		if isPython(base) && arg == "-m" && i+1 < len(args) {
			return nameOf(args[i+1] + ".py") // a module's dots are no extension
		}
		if arg == "-c" || arg == "-e" { // code follows
			break
		}
		if strings.HasPrefix(arg, "-") {
			continue
		}
		if _, err := p.file(arg); err == nil || scriptName(arg) {
			return nameOf(arg)
		}
	}
	return nameOf(prog)
}

// shellName names a command line that a shell runs: after the first program in it.
func (p places) shellName(words []word) string {
	for i, w := range words {
		if prog, ok := p.program(w.text); ok {
			return p.lineName(prog, texts(words[i+1:]))
		}
	}
	return "sh"
}
