package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"list", "list"},
		{"log api", "log api"},
		{"start app.js", "start app.js"},
		{"start -i -1 app.js", "start -i -1 app.js"},
		{"start app.js -imax -- -i 4", "start app.js -imax -- -i 4"},
		{"-i 4 start app.js", "start -i 4 app.js"},
		{"-i4 start app.js", "start -i4 app.js"},
		{"-fi 4 start app.js", "start -fi 4 app.js"},
		{"--name start start app.js", "start --name start app.js"},
		{"--name=start start app.js", "start --name=start app.js"},
		{"--no-autorestart -x start app.py -- --list", "start --no-autorestart -x app.py -- --list"},
		{"--no-color list", "list --no-color"},
		{"-s stop 0", "stop -s 0"},
		{"scale api -1", "scale -- api -1"},
		{"scale api +2 --silent", "scale --silent -- api +2"},
		{"scale -1 api", "scale -- -1 api"},
		{"start app.js --watch", "start app.js --watch"},
		{"start --watch app.js", "start --watch app.js"},
		{"start app.js --watch src", "start app.js --watch=src"},
		{"start --watch src app.js", "start --watch=src app.js"},
		{"start app.js --watch --ignore-watch logs", "start app.js --watch --ignore-watch logs"},
		{"start app.js --watch src --watch lib -- --watch x", "start app.js --watch=src --watch=lib -- --watch x"},
		{"start --name x --watch app.js", "start --name x --watch app.js"},
		{"start app.js -l all.log", "start app.js -l=all.log"},
		{"start app.js -l", "start app.js -l"},
		{"-l all.log start app.js", "start -l=all.log app.js"},
		{"restart api --watch", "restart api --watch"},
		{"restart --watch api", "restart --watch api"},
		{"scale app +2", "scale -- app +2"},
		{"scale -s api -- -2", "scale -s -- api -2"},
		{"scale api -x", "scale -x -- api"},
		{"help", "--help"},
		{"help start", "start --help"},
		{"-v", "-v"},
		{"--version", "--version"},
		{"-- list", "-- list"},
		{"__complete start ap", "__complete start ap"},
		{"start -", "start -"},
	} {
		got, err := normalise(newCLI(Options{}).root(""), strings.Fields(c.in))
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, strings.Join(got, " "), err, c.want)
		}
		first, _, _ := strings.Cut(c.in, " ")
		alone, err := normalise(newCLI(Options{}).root(first), strings.Fields(c.in))
		if err != nil || !slices.Equal(alone, got) {
			t.Errorf("%q with that command alone: got %q, %v; want %q", c.in, strings.Join(alone, " "), err, c.want)
		}
	}
}

func TestUnknownCommands(t *testing.T) {
	f := newFake(t, nil)
	for args, mention := range map[string]string{
		"lst":                        `did you mean ` + "`pace list`",
		"strat app.js":               "`pace start`",
		"relod all":                  "`pace reload`",
		"desrcibe 0":                 "`pace describe`",
		"startup upstart":            "only systemd, openrc, launchd",
		"server.js":                  "`pace start server.js`",
		"frobnicate":                 "`pace help`",
		"--no-color xyzzy":           "`pace help`",
		"start a.js --attach":        "--attach is an option of PM2's that is not there yet",
		"start a.js --env x":         "--env x needs an app file",
		"start a.js --only x":        "--only x needs an app file",
		"restart api --env x":        "--env x needs an app file",
		"stop api --only x":          "--only x needs an app file",
		"startOrRestart api":         "no app file by its name",
		"start a.js --frob":          "unknown option --frob",
		"start a.js -Z":              "unknown option -Z",
		"start --name":               "--name needs a value",
		"start a.js -i":              "-i needs a value",
		"stop -1":                    "unknown option -1",
		"logs --lines x":             "--lines",
		"logs --out --err":           "err out",
		"logs --lines -5":            "--lines -5",
		"start":                      "there is no app file in",
		"start -- x":                 "name what to start",
		"stop":                       "name one target",
		"scale api":                  "pace scale api 4",
		"ping x":                     "takes no arguments",
		"wait api asleep":            "none of online",
		"wait api ready --timeout 0": "above zero",
		"completion tcsh":            "bash, zsh, fish",
		"start - ":                   "standard input",
		"start ecosystem.config.js":  "there is no such file",
		"start apps.json":            "there is no such file",
		"start a.js b.js --name x":   "one by one",
	} {
		f.run(strings.Fields(args)...).want(t, 1, "", mention)
	}
	if got := f.requests(); got != "" {
		t.Errorf("the daemon was asked for %s", got)
	}
}

// The options of PM2 that are not there yet must not hide one that is.
func TestLaterFlagsAreNotThere(t *testing.T) {
	root := newCLI(Options{}).root("")
	start := find(root, "start").Flags()
	for _, name := range laterFlags() {
		if start.Lookup(name) != nil {
			t.Errorf("--%s is there", name)
		}
	}
}

// normalise finds the command by knowing which options take a value, whatever
// the command.
func TestOptionsTakeAValueInAllCommandsOrNone(t *testing.T) {
	root := newCLI(Options{}).root("")
	takes := map[string]bool{}
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, name := range []string{"--" + f.Name, "-" + f.Shorthand} {
				known, ok := takes[name]
				if name == "--format" {
					continue
				}
				if now := f.NoOptDefVal == ""; ok && name != "-" && known != now {
					t.Errorf("%s: %s takes a value: %v, elsewhere %v", cmd.Name(), name, now, known)
				} else {
					takes[name] = now
				}
			}
		})
	}
}

// A command is found by its declared words before it is built.
func TestCommandsAreDeclaredByTheirWords(t *testing.T) {
	c := newCLI(Options{})
	all := map[string]bool{}
	for _, g := range commandGroups() {
		for _, d := range g.commands {
			cmd := d.build(c)
			if want := strings.Join(append([]string{cmd.Name()}, cmd.Aliases...), " "); d.words != want {
				t.Errorf("declared as %q, is %q", d.words, want)
			}
			for word := range strings.FieldsSeq(d.words) {
				if all[word] {
					t.Errorf("two commands are called %s", word)
				}
				all[word] = true
				if list := c.root(word).Commands(); len(list) != 1 || list[0].Name() != cmd.Name() {
					t.Errorf("%s alone builds %d commands", word, len(list))
				}
			}
		}
	}
	for _, word := range []string{"", "help", "-v", "lst"} {
		if n := len(c.root(word).Commands()); n < 50 {
			t.Errorf("%q builds %d commands, want all", word, n)
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	root := newCLI(Options{}).root("")
	for _, cmd := range root.Commands() {
		if cmd.Hidden {
			continue
		}
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" || cmd.ValidArgsFunction == nil {
			t.Errorf("%s: help is incomplete", cmd.Name())
		}
		for line := range strings.SplitSeq(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 90 {
				t.Errorf("%s: a line of help is longer than 90: %q", cmd.Name(), line)
			}
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.Contains(line, "pace "+cmd.Name()) {
				t.Errorf("%s: an example of something else: %q", cmd.Name(), line)
			}
		}
		for _, word := range []string{cmd.Name(), "help " + cmd.Name()} {
			args := append(strings.Fields(word), "--help")
			r := execute(t.Context(), Options{Version: "1"}, args...)
			r.want(t, 0, "Examples:", "")
			if !strings.Contains(r.stdout, cmd.Long) {
				t.Errorf("%q: the help has not its text", args)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Name == "help" {
				return
			}
			name, usage := pflag.UnquoteUsage(f)
			if name == "" || name == "string" || !strings.Contains(usage, "default") && f.DefValue == "" && f.Name != "name" {
				optional := []string{"interpreter-args", "node-args", "namespace"}
				if !slices.Contains(optional, f.Name) {
					t.Errorf("%s --%s: shape %q or default missing: %q", cmd.Name(), f.Name, name, usage)
				}
			}
		})
	}
	golden(t, "help.txt", execute(t.Context(), Options{Version: "1"}, "help").stdout)
	golden(t, "help_start.txt", execute(t.Context(), Options{Version: "1"}, "start", "-h").stdout)
}

func TestNoCommandPrintsUsage(t *testing.T) {
	r := execute(t.Context(), Options{Version: "1"})
	r.want(t, 1, "Usage:", "")
	execute(t.Context(), Options{Version: "1.2"}, "--version").want(t, 0, "1.2\n", "")
	execute(t.Context(), Options{Version: "1.2"}, "-v").want(t, 0, "1.2\n", "")
	execute(t.Context(), Options{Version: "1.2"}, "version").want(t, 0, "1.2\n", "")
}

func FuzzNormalise(f *testing.F) {
	f.Add("-i 4 start a.js -- -x")
	f.Add("scale api -1 -- 2")
	f.Add("-l x start app.js --watch src --watch -- --watch y")
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Fields(line)
		root := newCLI(Options{}).root("")
		got, err := normalise(root, in)
		if err != nil {
			if strings.Contains(oneLine(err.Error()), "\n") {
				t.Errorf("%q: %v", in, err)
			}
			return
		}
		if len(in) > 0 && in[0] == "help" || strings.HasPrefix(line, cobra.ShellCompRequestCmd) {
			return
		}
		// No word is lost or made, but for a "--".
		count := func(words []string) map[string]int {
			n := map[string]int{}
			for _, w := range words {
				option, value, joined := strings.Cut(w, "=") // "--watch src" has become "--watch=src"
				if joined && mayTakeNext(root, option) {
					n[option]++
					w = value
				}
				if w != "--" {
					n[w]++
				}
			}
			return n
		}
		before, after := count(in), count(got)
		for w, n := range before {
			if after[w] != n {
				t.Errorf("%q became %q", in, got)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
