package jseval

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// asNode prints what Node makes of a config.
const asNode = `
const [, kind, file] = process.argv;
console.log = console.error;
const show = (v) => { process.stdout.write(JSON.stringify(v)); };
if (kind === 'expression') show((0, eval)('(' + require('fs').readFileSync(file, 'utf8') + '\n)'));
else if (kind === 'module') import(file).then((ns) => ('default' in ns ? ns.default : ns)).then(show);
else Promise.resolve(require(file)).then(show);
`

// lay writes files, each a name and a text, into a new folder.
func lay(t *testing.T, files ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func environ(dir string) []string {
	return []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TZ=UTC", "PORT=3000", "EMPTY=", "UML=ä€😀", "EQ=a=b"}
}

// roomy is a limit that a loaded machine keeps.
const roomy = time.Minute

func eval(t *testing.T, dir, file string, o Options) (string, error) {
	t.Helper()
	file = filepath.Join(dir, file)
	if o.Timeout == 0 {
		o.Timeout = roomy
	}
	v, err := Eval(t.Context(), Source{File: file, Kind: KindOf(file), Dir: dir, Environ: environ(dir)}, o)
	return string(v), err
}

// quickChild is pace itself where this test program, which else is the child, has the
// race detector: that makes the engine, which is C in Go's clothes and of one thread,
// some ten times as slow. The tests of what parent and child do together go without.
func quickChild(t *testing.T) string {
	t.Helper()
	if !raceDetector {
		return ""
	}
	exe := filepath.Join(t.TempDir(), "pace")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", exe, "paceline/cmd/pace")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as deps_test.go builds it
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build pace: %v\n%s", err, out)
	}
	return exe
}

func TestSameAsNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("install node to compare with it")
	}
	exe := quickChild(t)
	for name, files := range nodeCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, files...)
			kind := map[Kind]string{CommonJS: "commonjs", Module: "module", Expression: "expression"}[KindOf(filepath.Join(dir, files[0]))]
			cmd := exec.CommandContext(t.Context(), node, "-e", asNode, kind, filepath.Join(dir, files[0]))
			cmd.Dir, cmd.Env = dir, environ(dir)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			want, err := cmd.Output()
			if err != nil {
				t.Fatalf("node: %v\n%s", err, stderr.Bytes())
			}
			got, err := eval(t, dir, files[0], Options{Exe: exe})
			if err != nil {
				t.Fatalf("%v\nnode: %s", err, want)
			}
			if got != string(want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				at = max(0, at-40)
				t.Errorf("from byte %d\ngot  %.400s\nnode %.400s", at, got[min(at, len(got)):], want[min(at, len(want)):])
			}
		})
	}
}

// The place is that of the user's text, and the message one line.
func TestErrors(t *testing.T) {
	exe := quickChild(t)
	for name, c := range errorCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := lay(t, c.files...)
			o := c.options
			o.Exe = exe
			got, err := eval(t, dir, c.files[0], o)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %.200s, %v; want an *Error", got, err)
			}
			text := strings.ReplaceAll(e.Error(), dir+"/", "")
			pattern := strings.ReplaceAll(regexp.QuoteMeta(c.want), `\*`, ".*")
			if !regexp.MustCompile("^" + pattern + "$").MatchString(text) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
			if strings.ContainsAny(text, "\n\r") {
				t.Errorf("more than one line: %q", text)
			}
		})
	}
}

func TestConsoleGoesToTheLog(t *testing.T) {
	dir := lay(t, "a.config.js", `console.log('port %d', 80, { a: [1, 'x'] }); process.stdout.write('raw\n'); module.exports = {}`,
		"b.config.js", `for (let i = 0; i < 3000; i++) console.error('x'.repeat(99)); module.exports = []`)
	exe := quickChild(t)
	var log bytes.Buffer
	got, err := eval(t, dir, "a.config.js", Options{Log: &log, Exe: exe})
	if err != nil || got != "{}" {
		t.Fatalf("got %s, %v", got, err)
	}
	if want := "port 80 { a: [ 1, 'x' ] }\nraw\n"; log.String() != want {
		t.Errorf("got %q, want %q", log.String(), want)
	}
	log.Reset()
	if got, err = eval(t, dir, "b.config.js", Options{Log: &log, Exe: exe}); err != nil || got != "[]" {
		t.Fatalf("got %s, %v", got, err)
	}
	if log.Len() < maxLog || log.Len() > maxLog+200 || !strings.Contains(log.String(), "is not shown") {
		t.Errorf("%d bytes were passed on, ending in %q", log.Len(), log.String()[log.Len()-80:])
	}
}

func TestStdin(t *testing.T) {
	dir := lay(t)
	src := Source{File: "-", Text: []byte(`{ apps: [{ name: "a" + 1, cwd: process.cwd(), }] } // done`), Kind: Expression, Dir: dir}
	got, err := Eval(t.Context(), src, Options{Timeout: roomy})
	if want := `{"apps":[{"name":"a1","cwd":"` + dir + `"}]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	src.Text = []byte("{\n  apps: [}\n")
	_, err = Eval(t.Context(), src, Options{Timeout: roomy})
	if err == nil || !strings.HasPrefix(err.Error(), "stdin:2:10: SyntaxError: ") {
		t.Errorf("got %v", err)
	}
}

// The engine looks at the clock between calls only; a loop of slow builtins ends by
// SIGKILL.
func TestSlowBuiltinsAreKilled(t *testing.T) {
	dir := lay(t, "a.config.js", `let s = 'a'.repeat(1 << 20); for (;;) s.split('').join('b')`)
	_, err := eval(t, dir, "a.config.js", Options{Timeout: time.Second}) // it would never return
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "not done after 1s") {
		t.Errorf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	dir := lay(t, "a.config.js", `console.log('here'); for (;;);`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	file := filepath.Join(dir, "a.config.js")
	_, err := Eval(ctx, Source{File: file, Dir: dir}, Options{Timeout: roomy, Log: writer(func(b []byte) { cancel() })})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestKindOf(t *testing.T) {
	dir := lay(t, "package.json", `{"type":"module"}`, "sub/package.json", `{}`)
	for name, want := range map[string]Kind{
		"a.mjs": Module, "a.cjs": CommonJS, "a.json": Expression, "a.js": Module, "sub/a.js": CommonJS, "sub/deep/a.js": CommonJS,
	} {
		if got := KindOf(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		`{"apps":[]}`, `{apps:[{name:'a',},],} // x`, `["a","b"].join('')`, `process.env`, `(`, "`${1}`", `/a/`, `)`, "\x00", "{a:1n}", `new Proxy({}, {})`,
		`(()=>{throw 1})()`, `import('fs')`, `eval("1")`, `[...Array(9)]`, `{toJSON(){return this}}`, "\ufeff1", `function(){}`, `new Promise(()=>{})`, `process.exit(3)`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		req := request{
			File: "/fuzz/" + stdinName, Text: &text, Kind: Expression, Dir: "/fuzz", Interrupt: time.Second, Timeout: time.Second,
			MemoryBytes: 32 << 20, MaxFile: 1 << 20,
		}
		e := newEngine(req, func(answer) {})
		last := e.evaluate()
		if e.vm != nil {
			if err := e.vm.Close(); err != nil {
				t.Error(err)
			}
		}
		if (last.Error == nil) == (last.Value == nil) {
			t.Fatalf("%q: %+v", text, last)
		}
		if last.Error != nil && strings.Contains(last.Error.Message, "engine failed") {
			t.Fatalf("%q: %v", text, last.Error)
		}
	})
}
