// Package paceline holds the tests of the tree as a whole: which package may
// import which, and what a start of the binary may cost.
package paceline

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const module = "paceline/"

// imports says which packages of this module each package may import. Imports
// go down, never sideways. A package that is missing here fails the test: decide
// where it stands before adding it.
var imports = map[string][]string{
	"cmd/pace": {
		"internal/api", "internal/cli", "internal/daemon", "internal/jseval", "internal/keeper", "internal/kernel", "internal/logsearch", "internal/serve", "internal/web",
	},

	"internal/jseval":   {"internal/jsengine", "internal/nodelib"},
	"internal/jsengine": nil,
	"internal/nodelib":  nil,
	// The SDK: what its users have to take with it is in sdk.
	"cluster": {"internal/kernel", "internal/nodechild", "internal/nodeipc"},

	"internal/cli": {
		"internal/api", "internal/app", "internal/dayjs", "internal/deploy", "internal/ecosystem", "internal/hooks", "internal/hostinfo", "internal/inspect",
		"internal/monit", "internal/pm2", "internal/probe", "internal/schedule", "internal/serve", "internal/settings", "internal/startup", "internal/state", "internal/web",
	},
	"internal/deploy":    nil,
	"internal/monit":     {"internal/api", "internal/app"},
	"internal/serve":     {"internal/app", "internal/ready"},
	"internal/ready":     nil,
	"internal/web":       {"internal/api", "internal/app", "internal/ready"},
	"internal/startup":   nil,
	"internal/probe":     nil,
	"internal/pm2":       {"internal/app", "internal/inspect"},
	"internal/inspect":   nil,
	"internal/hostinfo":  nil,
	"internal/settings":  {"internal/state"},
	"internal/api":       {"internal/app"},
	"internal/ecosystem": {"internal/app", "internal/dayjs", "internal/dotenv", "internal/jseval", "internal/schedule", "internal/serve"},

	"internal/daemon": {
		"internal/adopt", "internal/api", "internal/app", "internal/axm", "internal/cgroup", "internal/dotenv", "internal/drain", "internal/events", "internal/forward", "internal/freeze", "internal/health",
		"internal/history", "internal/hooks", "internal/keeper", "internal/kernel",
		"internal/logs", "internal/logs/search", "internal/logsearch", "internal/metrics", "internal/nodeipc", "internal/pm2", "internal/port", "internal/proctree", "internal/redact", "internal/reportdir", "internal/revision", "internal/schedule", "internal/settings", "internal/stacks", "internal/state",
		"internal/stats", "internal/supervisor", "internal/watch", "internal/why",
	},
	"internal/supervisor":  {"internal/app"},
	"internal/logs":        {"internal/app", "internal/dayjs"},
	"internal/stats":       {"internal/app", "internal/proctree"},
	"internal/health":      {"internal/app"},
	"internal/events":      {"internal/app"},
	"internal/hooks":       {"internal/app"},
	"internal/why":         {"internal/api", "internal/app", "internal/redact"},
	"internal/redact":      nil,
	"internal/history":     nil,
	"internal/metrics":     nil,
	"internal/state":       {"internal/app"},
	"internal/watch":       nil,
	"internal/revision":    nil,
	"internal/schedule":    nil,
	"internal/reportdir":   nil,
	"internal/stacks":      nil,
	"internal/dotenv":      nil,
	"internal/logs/search": {"internal/app", "internal/dayjs", "internal/logs"},
	"internal/logsearch":   {"internal/api", "internal/app", "internal/logs", "internal/logs/search"},
	"internal/forward":     {"internal/app", "internal/logs", "internal/logs/search"},

	"internal/adopt":         {"internal/kernel"},
	"internal/keeper":        {"internal/kernel"},
	"internal/nodeipc":       {"internal/kernel", "internal/nodewire"},
	"internal/nodechild":     {"internal/nodewire"},
	"internal/nodewire":      nil,
	"internal/port":          {"internal/kernel", "internal/port/dispatch"},
	"internal/port/dispatch": {"internal/kernel"},
	"internal/drain":         {"internal/kernel", "internal/proctree"},
	"internal/freeze":        {"internal/kernel", "internal/proctree"},
	"internal/proctree":      nil,
	"internal/cgroup":        {"internal/kernel"},
	"internal/kernel":        nil,
	"internal/app":           nil,
	"internal/dayjs":         nil,
	"internal/axm":           {"internal/app"},

	"client": {"internal/api", "internal/app"},

	"worker":       {"worker/clone"},
	"worker/clone": nil,
	// What worker needs of other modules is in packages of its own.
	"worker/engine":     {"worker"},
	"worker/wasm":       {"worker", "worker/clone", "worker/engine"},
	"worker/wasm/guest": {"worker/clone"},
	"worker/js":         {"internal/jsengine", "internal/nodelib", "worker", "worker/clone", "worker/engine"},

	"examples/go":          nil,
	"examples/sdk-cluster": {"cluster"},
	"examples/sdk-mixed":   {"cluster"},
	"examples/sdk-worker":  {"worker"},
	"examples/sdk-pool":    {"worker"},
	"examples/sdk-js":      {"worker/js"},
	"examples/sdk-wasm":    {"worker/wasm"},
}

// outside says which packages may import which module that is not ours, so that
// each stays replaceable in one place. "*" means any, in files for Linux alone.
var outside = map[string][]string{
	"charm.land/bubbletea":                  {"internal/monit"},
	"github.com/charmbracelet/colorprofile": {"internal/monit"},
	"github.com/charmbracelet/x/ansi":       {"internal/monit"},
	"github.com/bmatcuk/doublestar":         {"internal/watch"},
	"github.com/cilium/ebpf":                {"internal/port/dispatch"},
	"github.com/fsnotify/fsnotify":          {"internal/watch"},
	"github.com/google/renameio":            {"internal/startup", "internal/state"},
	"github.com/jedib0t/go-pretty":          {"internal/cli"},
	"github.com/netresearch/go-cron":        {"internal/schedule"},
	"github.com/spf13/cobra":                {"internal/cli"},
	"github.com/tetratelabs/wazero":         {"worker/wasm"},
	"github.com/spf13/pflag":                {"internal/cli"},
	"github.com/BurntSushi/toml":            {"internal/ecosystem"},
	"go.yaml.in/yaml":                       {"internal/ecosystem"},
	"golang.org/x/term":                     {"cmd/pace", "internal/cli"},
	"golang.org/x/sys":                      {"*"},
	"modernc.org/libc":                      {"internal/jsengine"},
	"modernc.org/libquickjs":                {"internal/jsengine"},
	"modernc.org/quickjs":                   {"internal/jseval", "internal/jsengine", "worker/js"},
	"golang.org/x/time":                     {"internal/web"},
}

// source is one file of ours that is not a test.
type source struct {
	name string // with forward slashes, from the root
	pkg  string // its folder
	file *ast.File
}

// sources parses the tree itself rather than ask `go list`: go test's cache sees
// the files that a test opens, not what a command run by it reads.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name()[0] == '.' || d.Name() == "testdata" || d.Name() == "bin" || name == "internal/e2e" || name == "worker/bench"):
			return filepath.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		list = append(list, source{name: name, pkg: path.Dir(name), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s source) imports() []string {
	var list []string
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			list = append(list, name)
		}
	}
	return list
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		may, listed := imports[s.pkg]
		if !listed && !seen[s.pkg] {
			t.Errorf("%s: not in the table; add it with the packages it may import", s.pkg)
		}
		seen[s.pkg] = true
		for _, name := range s.imports() {
			if dep, ours := strings.CutPrefix(name, module); ours && !slices.Contains(may, dep) {
				t.Errorf("%s: %s must not import %s", s.name, s.pkg, dep)
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if !seen[pkg] {
			t.Errorf("%s: in the table but not in the tree", pkg)
		}
	}
}

func TestOutsideModules(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, name := range s.imports() {
			if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
				continue // the standard library or ours
			}
			owner := ""
			for mod := range outside {
				if name == mod || strings.HasPrefix(name, mod+"/") {
					owner = mod
				}
			}
			may := outside[owner]
			used[owner] = true
			switch {
			case owner == "":
				t.Errorf("%s: imports %s, whose module is not in the table", s.name, name)
			case slices.Equal(may, []string{"*"}):
				if !linuxOnly(s) {
					t.Errorf("%s: %s belongs into a file for Linux alone", s.name, name)
				}
			case !slices.Contains(may, s.pkg):
				t.Errorf("%s: only %s may import %s", s.name, strings.Join(may, ", "), name)
			}
		}
	}
	for _, mod := range slices.Sorted(maps.Keys(outside)) {
		if !used[mod] {
			t.Errorf("%s: in the table but nobody imports it", mod)
		}
	}
}

// linuxOnly reports whether a file is built for Linux and nothing else.
func linuxOnly(s source) bool {
	base := strings.TrimSuffix(path.Base(s.name), ".go")
	if strings.HasSuffix(base, "_linux") || strings.Contains(base, "_linux_") {
		return true
	}
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			return err == nil && !expr.Eval(func(tag string) bool { return tag != "linux" })
		}
	}
	return false
}

// sdk are the packages that others import. They bring nothing but the standard library
// and x/sys along.
var sdk = []string{"cluster", "worker", "worker/clone"}

func TestSDKNeedsLittle(t *testing.T) {
	of := map[string][]source{}
	for _, s := range sources(t) {
		of[s.pkg] = append(of[s.pkg], s)
	}
	for _, pkg := range sdk {
		seen := map[string]bool{}
		var follow func(pkg, by string)
		follow = func(pkg, by string) {
			if seen[pkg] {
				return
			}
			seen[pkg] = true
			if len(of[pkg]) == 0 {
				t.Errorf("%s: by %s, is not in the tree", pkg, by)
			}
			for _, s := range of[pkg] {
				for _, name := range s.imports() {
					first, _, _ := strings.Cut(name, "/")
					if dep, ours := strings.CutPrefix(name, module); ours {
						follow(dep, pkg)
					} else if strings.Contains(first, ".") && name != "golang.org/x/sys/unix" {
						t.Errorf("%s: a user of the SDK would need %s", s.name, name)
					}
				}
			}
		}
		follow(pkg, "the list")
		// The same as the go command sees it, for this system.
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if dep, ours := strings.CutPrefix(name, module); ours && !seen[dep] || !ours && name != "golang.org/x/sys/unix" {
				t.Errorf("%s: go list says that it needs %s", pkg, name)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if _, ok := comments[s.pkg]; !ok {
			comments[s.pkg] = nil
		}
		if s.file.Doc == nil {
			continue
		}
		comments[s.pkg] = append(comments[s.pkg], s.name)
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command " + command(s) + " "
		}
		if text := s.file.Doc.Text(); !strings.HasPrefix(text, want) {
			t.Errorf("%s: package comment begins %.30q, want %q", s.name, text, want)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(comments)) {
		if files := comments[pkg]; len(files) != 1 {
			t.Errorf("%s: %d package comments %v, want one", pkg, len(files), files)
		}
	}
}

// command is what a main package is called: by its folder, and an example, whose
// folder is a language, by its file.
func command(s source) string {
	if strings.HasPrefix(s.pkg, "examples/") {
		return strings.TrimSuffix(path.Base(s.name), ".go")
	}
	return path.Base(s.pkg)
}

// One binary plays every role, so whatever is linked is initialised before
// `pace list` can begin.
func TestInitialisersAreQuick(t *testing.T) {
	const budget = 3 * time.Millisecond
	bin := filepath.Join(t.TempDir(), "pace")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", bin, "./cmd/pace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The best of many: the sum is of wall times, and the machine has other work.
	best, slowest := time.Hour, ""
	for n, began := 0, time.Now(); n < 10 || best > budget && time.Since(began) < time.Minute; n++ {
		run := exec.CommandContext(t.Context(), bin, "--version")
		run.Env = append(os.Environ(), "GODEBUG=inittrace=1", "PACELINE_HOME="+t.TempDir())
		var trace bytes.Buffer
		run.Stderr = &trace
		if err := run.Run(); err != nil {
			t.Fatalf("pace --version: %v\n%s", err, trace.Bytes())
		}
		if sum, top := initTimes(t, &trace); sum < best {
			best, slowest = sum, top
		}
	}
	t.Logf("package initialisers: %v at best; the slowest: %s", best, slowest)
	if best > budget {
		t.Errorf("package initialisers take %v, want at most %v; the slowest: %s", best, budget, slowest)
	}
}

// initTimes adds up lines such as
//
//	init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
func initTimes(t *testing.T, trace *bytes.Buffer) (sum time.Duration, slowest string) {
	t.Helper()
	type line struct {
		pkg  string
		took time.Duration
	}
	var lines []line
	for s := bufio.NewScanner(trace); s.Scan(); {
		var pkg string
		var at, ms float64
		if n, _ := fmt.Sscanf(s.Text(), "init %s @%g ms, %g ms clock", &pkg, &at, &ms); n == 3 {
			took := time.Duration(ms * float64(time.Millisecond))
			lines = append(lines, line{pkg, took})
			sum += took
		}
	}
	if len(lines) < 10 {
		t.Fatalf("only %d packages are traced", len(lines))
	}
	slices.SortFunc(lines, func(a, b line) int { return int(b.took - a.took) })
	var top []string
	for _, l := range lines[:5] {
		top = append(top, fmt.Sprintf("%s %v", l.pkg, l.took))
	}
	return sum, strings.Join(top, ", ")
}

// Compiling one takes ten to fifty microseconds, at each start of every role, so it is
// done at first use: sync.OnceValue.
func TestNoRegularExpressionIsCompiledAtStart(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			ast.Inspect(gen, func(n ast.Node) bool {
				if _, ok := n.(*ast.FuncLit); ok {
					return false // runs later
				}
				if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "MustCompile") {
					t.Errorf("%s: %s at the start of the program", s.name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}
