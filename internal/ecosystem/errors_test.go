package ecosystem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorsSayWhatIsWrongAndWhatToDo(t *testing.T) {
	w := scripts(t)
	if err := os.Mkdir(filepath.Join(w.dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target string
		set    func(*StartOptions)
		want   string
	}{
		{"", nil, "nothing to start: name a script, a program or a command line"},
		{"nope", nil, `no file or program named "nope" in DIR or PATH`},
		{"server", nil, `no file or program named "server" in DIR or PATH; did you mean server.js?`},
		{"./nope.js", nil, `no file named "./nope.js" in DIR`},
		{"nope x", nil, `command line "nope x": no file or program named "nope" in DIR or PATH`},
		{"tool 'x", nil, `command line "tool 'x": a quote is not closed`},
		{"A=1 B=2", nil, `command line "A=1 B=2" has no program`},
		{"sub", nil, `"sub" is a folder; name a file in it, e.g. sub/server.js`},
		{"/dev/null", nil, `"/dev/null" is not a regular file`},
		{"plain", nil, `cannot tell what runs plain: it has no "#!" line and no known extension; set --interpreter, e.g. --interpreter python3`},
		{"exe-plain", nil, `cannot tell what runs exe-plain: it has no "#!" line and no known extension; set --interpreter, e.g. --interpreter python3`},
		{"empty", nil, `cannot tell what runs empty: it has no "#!" line and no known extension; set --interpreter, e.g. --interpreter python3`},
		{"data", nil, "data is a program but not executable; chmod +x it, or set --interpreter"},
		{"nobang", nil, `/nowhere/perl6, which the first line of nobang asks for, is not there; install it or set --interpreter`},
		{"server.js", func(o *StartOptions) { o.Environ = nil }, "node, which server.js needs, is not on PATH; install it or set --interpreter"},
		{"server.js", func(o *StartOptions) { o.Interpreter = "nope" }, `--interpreter "nope": no program of that name on PATH`},
		{"server.js", func(o *StartOptions) { o.Interpreter = "node@22" }, `--interpreter "node@22": no program of that name on PATH; versions such as node@22 are not looked up: give the path of that version's program`},
		{"plain", func(o *StartOptions) { o.Interpreter = "none" }, "--interpreter none: DIR/plain is not executable; chmod +x it"},
		{"prog", func(o *StartOptions) { o.InterpreterArgs = "-x" }, `--interpreter-args "-x": prog is a program and runs without an interpreter`},
		{"server.js", func(o *StartOptions) { o.InterpreterArgs = "'x" }, `--interpreter-args "'x": want words with every quote closed`},
		{"a | b", func(o *StartOptions) { o.Interpreter = "python3" }, `--interpreter python3 cannot run the command line "a | b", which needs a shell`},
		{"node", nil, "node needs a script to run; e.g. pace start server.js"},
		{"node nope.js", nil, `no script named "nope.js" in DIR`},
		{"node index.ts", nil, `index.ts: node v20.20.2 cannot run TypeScript; use node 22.18 or newer, or a loader, e.g. --node-args "--import tsx"`},
		{"server.js", func(o *StartOptions) { o.Dir = "/nowhere/at/all" }, "the current folder has been deleted; cd to one that exists"},
		{"server.js", func(o *StartOptions) { o.Cwd = "nope" }, `--cwd "nope": there is no such folder`},
		{"server.js", func(o *StartOptions) { o.Cwd = "server.js" }, `--cwd "server.js" is not a folder`},
		{"server.js", func(o *StartOptions) { o.Name = "a/b" }, `--name: invalid app: name "a/b" holds a slash or an unprintable character`},
		{"server.js", func(o *StartOptions) { o.Instances = "many" }, `-i "many": want a number from 1 to 4096, max, or -1 for all CPUs but one`},
		{"server.js", func(o *StartOptions) { o.Instances = "5000" }, `-i "5000": want a number from 1 to 4096, max, or -1 for all CPUs but one`},
		{"server.js", func(o *StartOptions) { o.Balance = "fair" }, `--balance "fair": want round-robin, shared, ip-hash or none`},
		{"server.js", func(o *StartOptions) { o.Sockets = []string{"web"} }, `--socket "web": want a port, ADDRESS:PORT, [IPV6]:PORT, an absolute path or @name`},
		{"server.js", func(o *StartOptions) { o.Sockets = []string{"80", "*:80"} }, `--socket "*:80": the address is given twice`},
		{
			"server.js", func(o *StartOptions) { o.Sockets, o.Instances, o.Balance = []string{"80"}, "2", "none" },
			"invalid app: 2 instances that share nothing cannot have the same sockets; let them share: mode cluster",
		},
		{"server.js", func(o *StartOptions) { o.Restart.MaxRestarts = "-1" }, `--max-restarts "-1": want a number from 0 up`},
		{"server.js", func(o *StartOptions) { o.Restart.MinUptime = "soon" }, `--min-uptime "soon": want milliseconds or a duration such as 1.6s, 5m or 1h`},
		{"server.js", func(o *StartOptions) { o.Stop.KillTimeout = "-1s" }, `--kill-timeout "-1s": want milliseconds or a duration such as 1.6s, 5m or 1h`},
		{"server.js", func(o *StartOptions) { o.Stop.KillSignal = "SIGFOO" }, `--kill-signal "SIGFOO": want a signal such as SIGINT, TERM or 15`},
		{"server.js", func(o *StartOptions) { o.Restart.StopExitCodes = "0 300" }, `--stop-exit-codes "0 300": want codes from 0 to 255, e.g. "0 130,143"`},
		{"server.js", func(o *StartOptions) { o.Log.MaxSize = "10X" }, `--log-max-size "10X": want a size such as 10M, 512K or 1G, or "off"`},
		{"server.js", func(o *StartOptions) { o.Log.Out = "logs" }, `--output "logs" is a folder; name a file in it, e.g. logs/app.log`},
		{"server.js", func(o *StartOptions) { o.Log.Err = "new/" }, `--error "new/" is a folder; name a file in it, e.g. new/app.log`},
		{"x\xff.js", nil, `"x\xff.js" is not UTF-8`},
	} {
		o := w.options(c.target)
		if c.set != nil {
			c.set(&o)
		}
		_, _, err := FromArgs(t.Context(), o)
		if err == nil {
			t.Errorf("start %q: no error, want %s", c.target, c.want)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), w.dir, "DIR"); got != c.want {
			t.Errorf("start %q:\n got %s\nwant %s", c.target, got, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	w := scripts(t)
	w.write(t, "package.json", `{"scripts":{"start":"node dist/main.js","dev":"node --harmony dist/main.js x","sh":"a && b"}}`, 0o644)
	for _, c := range []struct {
		target string
		set    func(*StartOptions)
		want   []string
	}{
		{"server.js", func(o *StartOptions) { o.Instances, o.Stop.WaitReady = "4", true }, nil},
		{"npm start", nil, nil},
		{"npm start", func(o *StartOptions) { o.Instances = "4" }, nil},
		{"app.py", func(o *StartOptions) { o.Instances, o.Balance, o.ForkMode = "2", "none", true }, nil},
		{
			"app.py", func(o *StartOptions) { o.Instances, o.Balance, o.ForkMode = "2", "shared", true },
			[]string{"--balance shared: with -x each instance is on its own, so there is nothing to deal"},
		},
		{
			"npm start", func(o *StartOptions) { o.Instances, o.Stop.WaitReady = "4", true },
			[]string{"npm runs the program as its own child, so its 'ready' message does not arrive; start the script itself: pace start dist/main.js -i 4"},
		},
		{
			"npm run dev", func(o *StartOptions) { o.Instances, o.Stop.WaitReady = "max", true },
			[]string{`npm runs the program as its own child, so its 'ready' message does not arrive; start the script itself: pace start "node --harmony dist/main.js x" -i max`},
		},
		{
			"npm run sh", func(o *StartOptions) { o.Instances, o.Stop.WaitReady = "4", true },
			[]string{"npm runs the program as its own child, so its 'ready' message does not arrive; start the script itself, e.g. pace start dist/main.js -i 4"},
		},
		{
			"tsx index.ts", func(o *StartOptions) { o.Instances, o.Stop.WaitReady = "2", true },
			[]string{`tsx runs the program as its own child, so its 'ready' message does not arrive; start the script itself: pace start index.ts --node-args "--import tsx" -i 2`},
		},
		{
			"node --watch server.js", func(o *StartOptions) { o.Stop.WaitReady = true },
			[]string{"node --watch runs the program as its own child, so its 'ready' message does not arrive; start the script itself: pace start server.js"},
		},
		{"app.py", func(o *StartOptions) { o.Stop.WaitReady, o.Stop.ShutdownWithMessage = true, true }, []string{
			"--wait-ready: only a Node program has the channel on which to say 'ready'",
			"--shutdown-with-message: only a Node program has the channel for it; others get SIGINT",
		}},
		{
			"app.py", func(o *StartOptions) { o.Environ = append(o.Environ, "BAD=\xff") },
			[]string{"left out of the environment, because not UTF-8: BAD"},
		},
	} {
		o := w.options(c.target)
		if c.set != nil {
			c.set(&o)
		}
		_, got, err := FromArgs(t.Context(), o)
		if err != nil {
			t.Errorf("start %q: %v", c.target, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("start %q (-want +got):\n%s", c.target, diff)
		}
	}
}
