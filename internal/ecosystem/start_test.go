package ecosystem

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world is a folder with scripts, and a PATH of fake programs beside it.
type world struct {
	dir, bin string
}

const elf = "\x7fELF\x02\x01\x01\x00\x00"

// fakeNode answers the one question that a start may ask it.
const fakeNode = "#!/bin/sh\necho v20.20.2\n"

func newWorld(t testing.TB, programs ...string) world {
	t.Helper()
	root := t.TempDir()
	w := world{dir: filepath.Join(root, "app"), bin: filepath.Join(root, "bin")}
	for _, p := range programs {
		content := elf
		if p == "node" {
			content = fakeNode
		}
		w.write(t, filepath.Join(w.bin, p), content, 0o755)
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) write(t testing.TB, file, content string, mode os.FileMode) string {
	t.Helper()
	file = join(w.dir, file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// options are those of a user who types in the world's folder.
func (w world) options(target string, args ...string) StartOptions {
	return StartOptions{
		Target: target, Args: args, Dir: w.dir,
		Environ: []string{"PATH=" + w.bin, "HOME=/home/x"},
		CPUs:    func() int { return 4 },
	}
}

// run is how a spec runs: what the tables below compare.
type run struct {
	Name, Exec, Interpreter string
	InterpreterArgs, Args   []string
	Runtime, Wrapper        string
	Mode                    app.Mode
	Instances               int
}

func runOf(s app.Spec, w world) run {
	short := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, w.dir, "DIR"), w.bin, "BIN")
	}
	r := run{
		Name: s.Name, Exec: short(s.Exec), Interpreter: short(s.Interpreter), Runtime: s.Runtime,
		Wrapper: s.Wrapper, Mode: s.Mode, Instances: s.Instances,
	}
	for _, a := range s.InterpreterArgs {
		r.InterpreterArgs = append(r.InterpreterArgs, short(a))
	}
	for _, a := range s.Args {
		r.Args = append(r.Args, short(a))
	}
	return r
}

// scripts fills the world with one file of each kind.
func scripts(t testing.TB) world {
	w := newWorld(t, "node", "python3", "bash", "ruby", "java", "npm", "tool", "tsx", "nodemon", "yarn", "bun")
	for name, content := range map[string]string{
		"server.js": "x", "my app.js": "x", "sub/main.mjs": "x", "app.py": "x", "run.sh": "x", "x.rb": "x",
		"lib.jar": "PK\x00", "plain": "hello", "2048.js": "x", "all.js": "x", "pkg/index.js": "x", "pkg/node_modules/.x": "",
		"pybang": "#!/usr/bin/env python3\n", "crlf": "#!/usr/bin/env python3\r\n", "nobang": "#!/nowhere/perl6 -w\n",
		"nobang.py": "#!/nowhere/python\n", "data": "a\x00b", "empty": "", "UP.JS": "x",
		"env-s": "#!/usr/bin/env -S A=1 node --harmony\n", "index.ts": "x",
		"node_modules/tsx/dist/cli.mjs": "x", "node_modules/left-pad/x.js": "x",
	} {
		w.write(t, name, content, 0o644)
	}
	for name, content := range map[string]string{
		"nodebang": "#!/usr/bin/env node\n", "exe.py": "#!/usr/bin/env python3\n", "prog": elf, "exe-text.py": "x",
		"exe-plain": "echo", "python3dir/prog": elf, "tsbang": "#!/usr/bin/env tsx\n", "v1.2": elf, "-dash": elf,
	} {
		w.write(t, name, content, 0o755)
	}
	return w
}

func TestWhatRuns(t *testing.T) {
	w := scripts(t)
	self := func(name, exec string, args ...string) run {
		return run{Name: name, Exec: exec, Args: args, Mode: app.Fork, Instances: 1}
	}
	by := func(interp string, r run, flags ...string) run {
		r.Interpreter, r.InterpreterArgs = "BIN/"+interp, flags
		if interp == "node" {
			r.Runtime = app.RuntimeNode
		}
		return r
	}
	wrapped := func(name string, r run) run {
		r.Wrapper, r.Runtime = name, ""
		return r
	}
	for _, c := range []struct {
		target string
		args   []string
		set    func(*StartOptions)
		want   run
	}{
		{"server.js", []string{"-p", "1"}, nil, by("node", self("server", "DIR/server.js", "-p", "1"))},
		{"./server.js", nil, nil, by("node", self("server", "DIR/server.js"))},
		{w.dir + "/server.js", nil, nil, by("node", self("server", "DIR/server.js"))},
		{"my app.js", nil, nil, by("node", self("my app", "DIR/my app.js"))},
		{"sub/main.mjs", nil, nil, by("node", self("main", "DIR/sub/main.mjs"))},
		{"UP.JS", nil, nil, by("node", self("UP", "DIR/UP.JS"))},
		{"app.py", nil, nil, by("python3", self("app", "DIR/app.py"))},
		{"exe-text.py", nil, nil, by("python3", self("exe-text", "DIR/exe-text.py"))},
		{"run.sh", nil, nil, by("bash", self("run", "DIR/run.sh"))},
		{"x.rb", nil, nil, by("ruby", self("x", "DIR/x.rb"))},
		{"lib.jar", nil, nil, by("java", self("lib", "DIR/lib.jar"), "-jar")},
		{"2048.js", nil, nil, by("node", self("2048", "DIR/2048.js"))},
		{"all.js", nil, nil, by("node", self("all.js", "DIR/all.js"))},
		{"pybang", nil, nil, by("python3", self("pybang", "DIR/pybang"))},
		{"crlf", nil, nil, by("python3", self("crlf", "DIR/crlf"))},
		{"nobang.py", nil, nil, by("python3", self("nobang", "DIR/nobang.py"))},
		{"exe.py", nil, nil, self("exe", "DIR/exe.py")},
		{"exe.py", nil, func(o *StartOptions) { o.InterpreterArgs = "-O" }, by("python3", self("exe", "DIR/exe.py"), "-O")},
		{"nodebang", nil, nil, by("node", self("nodebang", "DIR/nodebang"))},
		{"env-s", nil, nil, by("node", self("env-s", "DIR/env-s"), "--harmony")},
		{"prog", nil, nil, self("prog", "DIR/prog")},
		{"v1.2", nil, nil, self("v1.2", "DIR/v1.2")},
		{"./-dash", nil, nil, self("dash", "DIR/-dash")},
		{"python3dir/prog", nil, nil, self("prog", "DIR/python3dir/prog")},
		{"tool", []string{"a b"}, nil, self("tool", "BIN/tool", "a b")},
		{"server.js", nil, func(o *StartOptions) { o.Interpreter = "bun" }, by("bun", self("server", "DIR/server.js"))},
		{
			"plain", nil, func(o *StartOptions) { o.Interpreter, o.InterpreterArgs = "python3 -u", "-W 'a b'" },
			by("python3", self("plain", "DIR/plain"), "-u", "-W", "a b"),
		},
		{"exe-plain", nil, func(o *StartOptions) { o.Interpreter = "none" }, self("exe-plain", "DIR/exe-plain")},
		{
			"server.js", nil, func(o *StartOptions) { o.InterpreterArgs = "--max-old-space-size=50 -r x" },
			by("node", self("server", "DIR/server.js"), "--max-old-space-size=50", "-r", "x"),
		},

		// command lines
		{"node server.js --port 80", nil, nil, by("node", self("server", "DIR/server.js", "--port", "80"))},
		{"node", []string{"server.js", "a b"}, nil, by("node", self("server", "DIR/server.js", "a b"))},
		{
			"node -r ./a.js --title 'x y' server.js",
			[]string{"b"},
			nil,
			by("node", self("server", "DIR/server.js", "b"), "-r", "./a.js", "--title", "x y"),
		},
		{"node server", nil, nil, by("node", self("server", "DIR/server.js"))},
		{"node pkg", nil, nil, by("node", self("pkg", "DIR/pkg"))},
		{"node -- server.js -x", nil, nil, by("node", self("server", "DIR/server.js", "-x"))},
		{"exec env A=1 B='2 3' node server.js", nil, nil, by("node", self("server", "DIR/server.js"))},
		{"server.js --port 80", nil, nil, by("node", self("server", "DIR/server.js", "--port", "80"))},
		{"python3 -m http.server 8000", nil, nil, self("http.server", "BIN/python3", "-m", "http.server", "8000")},
		{"python3 app.py", nil, nil, self("app", "BIN/python3", "app.py")},
		{"tool 'a  b' c", []string{"$d"}, nil, self("tool", "BIN/tool", "a  b", "c", "$d")},
		{"./prog x", nil, nil, self("prog", "DIR/prog", "x")},
		{"tool a | tool b", nil, nil, self("tool", "/bin/sh", "-c", "tool a | tool b")},
		{"cd sub && node main.mjs", []string{"a b"}, nil, self("main", "/bin/sh", "-c", "cd sub && node main.mjs 'a b'")},
		{"echo $HOME", nil, nil, self("sh", "/bin/sh", "-c", "echo $HOME")},
		{"a && b", nil, func(o *StartOptions) { o.Interpreter = "bash" }, self("sh", "BIN/bash", "-c", "a && b")},

		// wrappers
		{"npm", []string{"start"}, nil, wrapped("npm", self("npm", "BIN/npm", "start"))},
		{"npm start", nil, nil, wrapped("npm", self("npm", "BIN/npm", "start"))},
		{"cd x; A=1 npm start", nil, nil, wrapped("npm", self("npm", "/bin/sh", "-c", "cd x; A=1 npm start"))},
		{"echo npm | tool x", nil, nil, self("npm", "/bin/sh", "-c", "echo npm | tool x")},
		{"tsx index.ts", nil, nil, wrapped("tsx", self("index", "BIN/tsx", "index.ts"))},
		{"tsbang", nil, nil, wrapped("tsx", self("tsbang", "DIR/tsbang"))},
		{"server.js", nil, func(o *StartOptions) { o.Interpreter = "tsx" }, wrapped("tsx", by("tsx", self("server", "DIR/server.js")))},
		{
			"node node_modules/tsx/dist/cli.mjs x.ts", nil, nil,
			wrapped("tsx", by("node", self("cli", "DIR/node_modules/tsx/dist/cli.mjs", "x.ts"))),
		},
		{"node node_modules/left-pad/x.js", nil, nil, by("node", self("x", "DIR/node_modules/left-pad/x.js"))},
		{
			"node --watch server.js", nil, nil,
			wrapped("node --watch", run{Name: "server", Exec: "BIN/node", Interpreter: "BIN/node", Args: []string{"--watch", "server.js"}, Mode: app.Fork, Instances: 1}),
		},
		{
			"server.js", nil, func(o *StartOptions) { o.InterpreterArgs = "--watch" },
			wrapped("node --watch", by("node", self("server", "DIR/server.js"), "--watch")),
		},
		{
			"node -e 'x()'", nil, func(o *StartOptions) { o.InterpreterArgs = "--harmony" },
			wrapped("node -e", run{Name: "node", Exec: "BIN/node", Interpreter: "BIN/node", InterpreterArgs: []string{"--harmony"}, Args: []string{"-e", "x()"}, Mode: app.Fork, Instances: 1}),
		},
		{"bun run dev", nil, nil, wrapped("bun run", self("bun", "BIN/bun", "run", "dev"))},
		{"bun run index.ts", nil, nil, self("index", "BIN/bun", "run", "index.ts")},
		{"bun index.ts", nil, nil, self("index", "BIN/bun", "index.ts")},

		// TypeScript: the fake node is too old for it, bun is not
		{"index.ts", nil, nil, by("bun", self("index", "DIR/index.ts"))},
		{"index.ts", nil, func(o *StartOptions) { o.InterpreterArgs = "--import tsx" }, by("node", self("index", "DIR/index.ts"), "--import", "tsx")},
		{"index.ts", nil, func(o *StartOptions) { o.Environ = append(o.Environ, "NODE_OPTIONS=--import tsx") }, by("node", self("index", "DIR/index.ts"))},

		// mode and instances
		{"server.js", nil, func(o *StartOptions) { o.Instances = "1" }, func() run {
			r := by("node", self("server", "DIR/server.js"))
			r.Mode = app.Cluster
			return r
		}()},
		{"node server.js", nil, func(o *StartOptions) { o.Instances, o.Name = "-1", "web" }, func() run {
			r := by("node", self("web", "DIR/server.js"))
			r.Mode, r.Instances = app.Cluster, 3
			return r
		}()},
		{"server.js", nil, func(o *StartOptions) { o.Instances, o.ForkMode = "2", true }, func() run {
			r := by("node", self("server", "DIR/server.js"))
			r.Instances = 2
			return r
		}()},
		{"app.py", nil, func(o *StartOptions) { o.Instances = "max" }, func() run {
			r := by("python3", self("app", "DIR/app.py"))
			r.Mode, r.Instances = app.Cluster, 4
			return r
		}()},
		{"app.py", nil, func(o *StartOptions) { o.Instances = "1" }, func() run {
			r := by("python3", self("app", "DIR/app.py"))
			r.Mode = app.Cluster
			return r
		}()},
		{"app.py", nil, func(o *StartOptions) { o.Balance = "shared" }, by("python3", self("app", "DIR/app.py"))},
		{"server.js", nil, func(o *StartOptions) { o.Instances, o.Balance = "2", "none" }, func() run {
			r := by("node", self("server", "DIR/server.js"))
			r.Instances = 2
			return r
		}()},
		{"prog", nil, func(o *StartOptions) { o.Instances, o.ForkMode = "2", true }, func() run {
			r := self("prog", "DIR/prog")
			r.Instances = 2
			return r
		}()},
		{"npm start", nil, func(o *StartOptions) { o.Instances = "2" }, func() run {
			r := wrapped("npm", self("npm", "BIN/npm", "start"))
			r.Mode, r.Instances = app.Cluster, 2
			return r
		}()},
	} {
		o := w.options(c.target, c.args...)
		if c.set != nil {
			c.set(&o)
		}
		spec, _, err := FromArgs(t.Context(), o)
		if err != nil {
			t.Errorf("start %q %q: %v", c.target, c.args, err)
			continue
		}
		if diff := cmp.Diff(c.want, runOf(spec, w), cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\x00") })); diff != "" {
			t.Errorf("start %q %q (-want +got):\n%s", c.target, c.args, diff)
		}
	}
}

func TestDeletedCurrentFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	_, _, err := FromArgs(t.Context(), StartOptions{Target: "./server.js"})
	if !errors.Is(err, errDeletedDir) {
		t.Errorf("got %v, want errDeletedDir", err)
	}
}

func TestFlagsReachTheSpec(t *testing.T) {
	w := scripts(t)
	o := w.options("main.mjs", "a")
	o.Cwd, o.Namespace, o.InstanceVar, o.Balance = "sub", "web", "WORKER", "shared"
	o.Sockets = []string{"web=:8080", "./x.sock", "[::1]:80"}
	o.Restart = RestartFlags{
		NoAutorestart: true, MaxRestarts: "3", MinUptime: "10s", Delay: "100", ExpBackoff: "1.5s", StopExitCodes: "0 130,143",
	}
	o.Stop = StopFlags{
		KillSignal: "term", KillTimeout: "5m", NoTreekill: true, ShutdownWithMessage: true, WaitReady: true, ListenTimeout: "8000",
	}
	o.Log = LogFlags{Out: "o.log", Err: "NULL", Both: "/var/x.log", Merge: true, Time: true, MaxSize: "512K", Keep: "0"}
	got, warnings, err := FromArgs(t.Context(), o)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	sub := filepath.Join(w.dir, "sub")
	want := app.Spec{
		Name: "main", Namespace: "web", Exec: filepath.Join(sub, "main.mjs"), Args: []string{"a"},
		Interpreter: filepath.Join(w.bin, "node"), Runtime: app.RuntimeNode, Cwd: sub,
		Env:  map[string]string{"PATH": w.bin, "HOME": "/home/x", "PWD": sub},
		Mode: app.Fork, Instances: 1, Balance: app.Shared, InstanceVar: "WORKER",
		Sockets:       []string{"web=*:8080", filepath.Join(sub, "x.sock"), "[::1]:80"},
		NoAutorestart: true, MaxRestarts: 3, MinUptime: app.Duration(10 * time.Second),
		RestartDelay: app.Duration(100 * time.Millisecond), ExpBackoff: app.Duration(1500 * time.Millisecond),
		StopExitCodes: []int{0, 130, 143}, KillSignal: "SIGTERM", KillTimeout: app.Duration(5 * time.Minute), NoTreekill: true,
		ShutdownWithMessage: true, WaitReady: true, ListenTimeout: app.Duration(8 * time.Second),
		OutFile: filepath.Join(sub, "o.log"), ErrFile: os.DevNull, LogFile: "/var/x.log", MergeLogs: true, LogTime: true,
		LogMaxBytes: 512 << 10, LogKeep: -1,
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\x00") })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var back app.Spec
	if raw, err := json.Marshal(got); err != nil || json.Unmarshal(raw, &back) != nil {
		t.Fatal("the spec does not survive JSON", err)
	}
}

func TestCwdIsLookedInFirst(t *testing.T) {
	w := scripts(t)
	other := w.write(t, "other/server.js", "x", 0o644)
	o := w.options("server.js")
	o.Cwd = "other"
	if spec, _, err := FromArgs(t.Context(), o); err != nil || spec.Exec != other {
		t.Errorf("exec %s, %v; want %s", spec.Exec, err, other)
	}
	o.Target = "app.py" // only in the caller's folder
	if spec, _, err := FromArgs(t.Context(), o); err != nil || spec.Exec != filepath.Join(w.dir, "app.py") || spec.Cwd != filepath.Dir(other) {
		t.Errorf("exec %s in %s, %v", spec.Exec, spec.Cwd, err)
	}
}

func TestEnvironment(t *testing.T) {
	w := scripts(t)
	get := func(target string, environ ...string) map[string]string {
		t.Helper()
		o := w.options(target)
		o.Environ = append(o.Environ, environ...)
		spec, _, err := FromArgs(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		delete(spec.Env, "PATH")
		delete(spec.Env, "HOME")
		delete(spec.Env, "PWD")
		return spec.Env
	}
	for _, c := range []struct {
		target  string
		environ []string
		want    map[string]string
	}{
		{"server.js", []string{
			"NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=1", "NODE_APP_INSTANCE=0", "LISTEN_FDS=1", "LISTEN_PID=1",
			"NOTIFY_SOCKET=/x", "PACELINE_HOME=/h", "PACELINE_KEY=k", "_=/usr/bin/pace", "=x", "junk", "A=1=2", "B=", "PM2_HOME=/p", "name=n",
		}, map[string]string{"A": "1=2", "B": "", "PM2_HOME": "/p", "name": "n"}},
		{"server.js", []string{"pm_id=0", "name=n", "status=launching", "PM2_HOME=/p", "A=1"}, map[string]string{"A": "1"}},
		{"app.py", nil, map[string]string{"PYTHONUNBUFFERED": "1"}},
		{"exe.py", nil, map[string]string{"PYTHONUNBUFFERED": "1"}},
		{"python3 -m http.server", []string{"PYTHONUNBUFFERED="}, map[string]string{"PYTHONUNBUFFERED": ""}},
		{"PORT=80 'A'=2 node server.js", nil, map[string]string{}},
		{"PORT=80 A='x y' node server.js", []string{"A=0"}, map[string]string{"PORT": "80", "A": "x y"}},
		{"env-s", nil, map[string]string{"A": "1"}},
	} {
		if c.target == "PORT=80 'A'=2 node server.js" { // 'A'=2 is a program's name, as in a shell
			if _, _, err := FromArgs(t.Context(), w.options(c.target)); err == nil {
				t.Errorf("start %q: no error", c.target)
			}
			continue
		}
		if diff := cmp.Diff(c.want, get(c.target, c.environ...)); diff != "" {
			t.Errorf("start %q (-want +got):\n%s", c.target, diff)
		}
	}
}

// TestRealProgramsRun runs the commands of specs, to see that what was resolved
// is what the user would have got from a shell.
func TestRealProgramsRun(t *testing.T) {
	w := newWorld(t)
	w.write(t, "argv.js", "console.log(JSON.stringify([process.execArgv, process.argv.slice(2)]))", 0o644)
	w.write(t, "argv.py", "import sys, json; print(json.dumps(sys.argv[1:]))", 0o644)
	w.write(t, "bang", "#!/bin/sh\necho \"$1\"\n", 0o755)
	for _, c := range []struct {
		need, target string
		args         []string
		want         string
	}{
		{"node", "node --max-http-header-size 9000 --title 'a b' argv --x 1", []string{"c d"}, `[["--max-http-header-size","9000","--title","a b"],["--x","1","c d"]]`},
		{"node", "node -C foo --stack-trace-limit=3 -- argv.js -- y", nil, `[["-C","foo","--stack-trace-limit=3"],["--","y"]]`},
		{"node", `node -p "1 + 1"`, nil, "2"},
		{"node", "argv.js", []string{"--z"}, `[[],["--z"]]`},
		{"python3", "argv.py", []string{"a b"}, `["a b"]`},
		{"python3", `python3 -c 'import os; print(os.environ["X"])'`, nil, ""},
		{"sh", "bang 'x  y'", nil, "x  y"},
		{"sh", "X=1; echo $X", []string{"it's"}, "1 it's"},
	} {
		if _, err := exec.LookPath(c.need); err != nil {
			t.Logf("%s is not installed: %q not tried", c.need, c.target)
			continue
		}
		target := c.target
		if strings.Contains(target, "environ") {
			target, c.want = "X=7 "+target, "7"
		}
		o := w.options(target, c.args...)
		o.Environ = os.Environ()
		spec, _, err := FromArgs(t.Context(), o)
		if err != nil {
			t.Errorf("start %q: %v", target, err)
			continue
		}
		path, argv := spec.Command()
		cmd := exec.CommandContext(t.Context(), path)
		cmd.Args, cmd.Dir = argv, spec.Cwd
		for k, v := range spec.Env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("start %q: ran %q: %q, %v; want %q", target, argv, got, err, c.want)
		}
	}
}

func TestTypeScriptByVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"v18.20.8": false, "v20.20.2": false, "v22.17.1": false, "v22.18.0": true, "v22.23.3": true, "v23.5.0": false,
		"v23.6.0": true, "v24.21.0": true, "v26.0.0": true, "": true, "weird": true,
	} {
		if err := checkTypeScript("x.ts", version+"\n"); (err == nil) != ok {
			t.Errorf("node %s: %v, want ok %v", version, err, ok)
		}
	}
}

func TestFromArgsNeverPanics(t *testing.T) {
	w := scripts(t)
	piece := rapid.SampledFrom([]string{
		"node", "server.js", " ", "'", `"`, `\`, "--watch", "-e", "-r", "npm", "run", "python3", "-m", "$X", "|", "A=1", "env",
		"sub", "..", "/", "\x00", "\n", "pkg", "none", "max", "-1", "0", "10s", "index.ts", "bun", "-", "--", "\xff", "env-s",
	})
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "sep"))
	})
	flag := rapid.OneOf(rapid.Just(""), rapid.Just(""), rapid.Just(""), text)
	rapid.Check(t, func(t *rapid.T) {
		o := w.options(text.Draw(t, "target"), rapid.SliceOf(text).Draw(t, "args")...)
		for _, f := range []*string{
			&o.Name, &o.Namespace, &o.Cwd, &o.Interpreter, &o.InterpreterArgs, &o.Instances, &o.InstanceVar, &o.Balance,
			&o.Restart.MaxRestarts, &o.Restart.MinUptime, &o.Restart.StopExitCodes, &o.Stop.KillSignal, &o.Log.Out, &o.Log.MaxSize,
		} {
			*f = flag.Draw(t, "flag")
		}
		o.Sockets = rapid.SliceOfN(text, 0, 2).Draw(t, "sockets")
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no process: it would only be slow
		spec, _, err := FromArgs(ctx, o)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Fatalf("an error of several lines: %v", err)
			}
			return
		}
		if err := spec.Validate(); err != nil {
			t.Fatalf("an invalid spec: %v", err)
		}
		if _, argv := spec.Command(); len(argv) == 0 || !filepath.IsAbs(argv[0]) {
			t.Fatalf("argv %q", argv)
		}
	})
}
