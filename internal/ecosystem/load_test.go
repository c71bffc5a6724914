package ecosystem

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"paceline/internal/app"
)

// loaded writes a file into a world and loads it.
func loaded(t *testing.T, name, text string, change func(*LoadOptions)) (*File, world, error) {
	t.Helper()
	w := newWorld(t, "node", "python3")
	w.write(t, "server.js", "setInterval(()=>{},1000)\n", 0o644)
	w.write(t, "app.py", "pass\n", 0o644)
	w.write(t, name, text, 0o644)
	o := w.load(name)
	if change != nil {
		change(&o)
	}
	f, err := Load(t.Context(), o)
	return f, w, err
}

// Every format says the same.
func TestFormats(t *testing.T) {
	js := `{ name: 'api', script: './server.js', instances: 2, args: '--x "a b"', maxRestarts: '5',
		env: { PORT: 3000, ON: true, LIST: [1, {a: null}] }, env_production: { PORT: 80 }, watch: ['src'], treekill: false }`
	for name, text := range map[string]string{
		"ecosystem.config.js":  "const p = require('path');\nmodule.exports = { apps: [" + js + "] }; // p",
		"ecosystem.config.cjs": "exports.apps = [" + js + "]",
		"ecosystem.config.mjs": "export default { apps: [" + js + "] }",
		"apps.json5":           "// a comment\n{ apps: " + js + ", }",
		"process.json":         "[" + js + "].slice()",
		"strict.json": `{"apps": {"name": "api", "script": "./server.js", "instances": 2, "args": "--x \"a b\"", "maxRestarts": "5",
			"env": {"PORT": 3000, "ON": true, "LIST": [1, {"a": null}]}, "env_production": {"PORT": 80}, "watch": ["src"], "treekill": false}}`,
		"package.json": `{"name": "x", "pm2": [{"name": "api", "script": "./server.js", "instances": 2, "args": "--x \"a b\"", "max_restarts": 5,
			"env": {"PORT": 3000, "ON": true, "LIST": [1, {"a": null}]}, "env_production": {"PORT": 80}, "watch": ["src"], "treekill": false}]}`,
		"apps.yml": `
x-base: &base
  instances: 2
  treekill: false
apps:
  - <<: *base
    name: api
    script: ./server.js
    args: --x "a b"
    max_restarts: 5
    env: {PORT: 3000, ON: true, LIST: [1, {a: null}]}
    env_production: {PORT: 80}
    watch: [src]
`,
		"apps.toml": `
[[apps]]
name = "api"
script = "./server.js"
instances = 2
args = '--x "a b"'
max_restarts = 5
treekill = false
watch = ["src"]
env_production = {PORT = 80}
[apps.env]
PORT = 3000
ON = true
LIST = '[1,{"a":null}]'
`,
	} {
		t.Run(name, func(t *testing.T) {
			f, w, err := loaded(t, name, text, func(o *LoadOptions) { o.EnvName = "production" })
			if err != nil || len(f.Apps) != 1 {
				t.Fatal(f, err)
			}
			want := app.Defaults()
			want.Name, want.Exec, want.Cwd, want.Source = "api", filepath.Join(w.dir, "server.js"), w.dir, filepath.Join(w.dir, name)
			want.Interpreter, want.Runtime = filepath.Join(w.bin, "node"), app.RuntimeNode
			want.Mode, want.Instances, want.MaxRestarts, want.NoTreekill = app.Cluster, 2, 5, true
			want.Args = []string{"--x", `"a b"`}
			want.EnvName, want.EnvOwn = "production", []string{"LIST", "ON", "PORT"}
			want.Env = map[string]string{
				"PORT": "80", "ON": "true", "LIST": `[1,{"a":null}]`, "HOME": "/home/x", "PATH": w.bin, "PWD": w.dir,
			}
			want.Watch = &app.Watch{Paths: []string{filepath.Join(w.dir, "src")}}
			if d := cmp.Diff(want, f.Apps[0], cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

// Each field reaches the spec, as JSON shows it.
func TestFields(t *testing.T) {
	for in, want := range map[string]string{
		`"name_prefix": "p", "name": "x"`:                              `"name":"p:x"`,
		`"namespace": "web"`:                                           `"namespace":"web"`,
		`"args": ["a b", 1]`:                                           `"args":["a b","1"]`,
		`"args": "c=\"d e\" f"`:                                        `"args":["c=\"d e\"","f"]`,
		`"exec_interpreter": "", "interpreter": "python3"`:             `/python3"`,
		`"node_args": ["--a=b c", "d"]`:                                `"interpreter_args":["--a=b c","d"]`,
		`"interpreterArgs": "--x --y=1"`:                               `"interpreter_args":["--x","--y=1"]`,
		`"exec_mode": "cluster_mode"`:                                  `"mode":"cluster","instances":1`,
		`"exec_mode": "fork", "instances": "2"`:                        `"mode":"fork","instances":2`,
		`"instances": "max"`:                                           `"instances":4`,
		`"instances": -1`:                                              `"instances":3`,
		`"balance": "ip-hash", "instances": 2`:                         `"balance":"ip-hash"`,
		`"instance_var": "N"`:                                          `"instance_var":"N"`,
		`"increment_var": "PORT"`:                                      `"increment_var":"PORT"`,
		`"sockets": ["web=127.0.0.1:80"]`:                              `"sockets":["web=127.0.0.1:80"]`,
		`"port": 3000`:                                                 `"PORT":"3000"`,
		`"port": 3000, "env": {"PORT": "1"}`:                           `"PORT":"1"`,
		`"env": "A=1 B='c d'"`:                                         `"B":"c d"`,
		`"filter_env": true, "env": {"A": 1}`:                          `"env":{"A":"1","PWD":`,
		`"filter_env": ["OM"]`:                                         `"filter_env":["OM"]`,
		`"env_file": [".env"]`:                                         `/.env"]`,
		`"autostart": false`:                                           `"no_autostart":true`,
		`"autorestart": "false"`:                                       `"no_autorestart":true`,
		`"min_uptime": "5m"`:                                           `"min_uptime":"5m0s"`,
		`"restart_delay": 200`:                                         `"restart_delay":"200ms"`,
		`"exp_backoff_restart_delay": 1e2`:                             `"exp_backoff_restart_delay":"100ms"`,
		`"stop_exit_codes": [0, 3]`:                                    `"stop_exit_codes":[0,3]`,
		`"stopExitCodes": 7`:                                           `"stop_exit_codes":[7]`,
		`"retry": false`:                                               `"no_retry":true`,
		`"max_memory_restart": "1G"`:                                   `"max_memory_restart":1073741824`,
		`"cron": "*/5 * * * *"`:                                        `"cron_restart":"*/5 * * * *"`,
		`"cron_restart": 0`:                                            `"restart"`,
		`"schedule": "0 3 * * *"`:                                      `"job":"0 3 * * *"`,
		`"watch": true, "ignore_watch": "a b", "watch_delay": 50`:      `"watch":{"ignore":["a","b"],"delay":"50ms"}`,
		`"watch": true, "ignore_watch": []`:                            `"watch":{"ignore":[]}`,
		`"kill_signal": "term", "kill_timeout": 5000`:                  `"kill_signal":"SIGTERM","kill_timeout":"5s"`,
		`"wait_ready": true, "listen_timeout": "9s"`:                   `"wait_ready":true,"listen_timeout":"9s"`,
		`"shutdown_with_message": true`:                                `"shutdown_with_message":true`,
		`"health": {"http": "http://x/"}`:                              `"health":{"readiness":{"http":"http://x/","interval":"10s"`,
		`"health": {"liveness": {"tcp": 80, "retries": 1}}`:            `"liveness":{"tcp":"127.0.0.1:80"`,
		`"health": {"startup": {"exec": "test -f x"}}`:                 `"exec":["test","-f","x"]`,
		`"out_file": "NULL", "err": "e.log"`:                           `"out_file":"/dev/null","error_file":"`,
		`"log": true, "name": "my_app"`:                                `"log_file":"/logs/my-app.log"`,
		`"combine_logs": true`:                                         `"merge_logs":true`,
		`"log_type": "json"`:                                           `"log_json":true`,
		`"log_date_format": "HH:mm"`:                                   `"time":true,"log_date_format":"HH:mm"`,
		`"disable_logs": true, "pid": "/x.pid"`:                        `"pid_file":"/x.pid"`,
		`"depends_on": ["db", {"app": "m", "condition": "completed"}]`: `"depends_on":[{"app":"db","condition":"ready"},{"app":"m","condition":"completed"}]`,
		`"depends_on": {"db": "started"}`:                              `"depends_on":[{"app":"db","condition":"started"}]`,
		`"limits": {"memory": "512M", "cpu": "50%", "pids": 9}`:        `"limits":{"memory":536870912,"cpu":0.5,"pids":9}`,
		`"hooks": {"on": "crash hang", "exec": "mail $X"}`:             `"hooks":[{"on":["crash","hang"],"exec":["/bin/sh","-c","mail $X"]}]`,
		`"hooks": [{"on": ["reload-failed"], "webhook": "http://x/", "timeout": 500, "retries": 0}]`: `"hooks":[{"on":["reload_failed"],"webhook":"http://x/","timeout":"500ms","retries":-1}]`,
		`"post_update": ["npm ci"]`:                         `"post_update":["npm ci"]`,
		`"vizion": false, "pmx": true, "windowsHide": true`: `"kill_signal":"SIGINT"`,
	} {
		f, w, err := func() (*File, world, error) {
			return loaded(t, "apps.json", `{"apps": [{"script": "server.js", `+in+`}]}`, func(o *LoadOptions) {
				if strings.Contains(in, ".env") {
					if err := os.WriteFile(filepath.Join(o.Dir, ".env"), []byte("A=1\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
		}()
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		text, err := json.Marshal(f.Apps[0])
		if err != nil {
			t.Fatal(err)
		}
		if want == `"restart"` {
			if strings.Contains(string(text), "cron") {
				t.Errorf("%s: got %s", in, text)
			}
			continue
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s, want %s in it (%s)", in, text, want, w.dir)
		}
		for _, warning := range f.Warnings {
			if !strings.Contains(warning, "increment") {
				t.Errorf("%s: warning %q", in, warning)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.yaml", "apps:\n  - script: server.js\n    max_restarts: [1]\n", "a.yaml:3: server: max_restarts: want a number, not a list"},
		{"a.yaml", "apps:\n  - script: server.js\n    min_uptime: soon\n", `a.yaml:3: server: min_uptime: "soon": want milliseconds`},
		{"a.yaml", "apps:\n  - script: server.js\n    cron_restart: x y\n", `a.yaml:3: server: cron_restart: `},
		{"a.yaml", "apps:\n  - script: server.js\n    user: no-such-user\n", `a.yaml:3: server: user: "no-such-user": there is no such user`},
		{"a.yaml", "apps:\n  - script: gone.js\n", `a.yaml:2: gone: script: no file or program named "gone.js"`},
		{"a.yaml", "apps:\n  - name: x\n", "a.yaml:2: x: script: is missing"},
		{"a.yaml", "apps:\n  - script: server.js\n    env_file: none.env\n", `env_file: "none.env": there is no such file`},
		{"a.yaml", "apps:\n  - script: server.js\n    limits: {memry: 1}\n", "limits: memry is not known; did you mean memory?"},
		{"a.yaml", "apps:\n  - script: server.js\n    health: {http: nope}\n", "health"},
		{"a.yaml", "apps:\n  - {script: server.js, name: x}\n  - {script: server.js, name: x}\n", "a.yaml:3: x: two apps have this name"},
		{"a.yaml", "apps:\n  - {script: server.js, name: x, depends_on: y}\n  - {script: server.js, name: y, depends_on: x}\n", "x -> y -> x wait for each other"},
		{"a.yaml", "jobs:\n  - script: server.js\n", "schedule: is missing"},
		{"a.yaml", "apps: [a: b", "a.yaml:"},
		{"a.yaml", "apps:\n  a: &x [*x]\n", "a.yaml"},
		{"a.yaml", "just a text", "a.yaml: holds a text where"},
		{"a.yaml", "{}", "a.yaml: names no apps"},
		{"a.toml", "[[apps]]\nscript = \n", "a.toml:2"},
		{"a.json", "{\"apps\": [\n}", "a.json:2"},
		{"a.json", strings.Repeat("[", 1000), "a.json: lists and objects stand in each other more than 64 deep"},
		{"a.toml", "a = " + strings.Repeat("[", 5000), "a.toml: lists and objects stand"},
		{"a.json", " ", "a.json is empty"},
		{"ecosystem.config.js", "module.exports = {\n  apps: [\n", "ecosystem.config.js:"},
		{"ecosystem.config.js", "module.exports = { apps: [{ name: 'a', script: 'server.js' }, { name: 'b', script: 'server.js', instances: [] }] }", "ecosystem.config.js: app 2 (b): instances: want a number"},
		{"ecosystem.config.js", "require('./gone')", "gone"},
		{"package.json", `{"name": "x"}`, "neither apps nor pm2"},
		{"a.json", `{"apps": [{"script": "server.js", "instances": [1]}, {"script": "x", "args": {}}]}`, "(and 1 more; `pace validate` lists all)"},
	} {
		_, _, err := loaded(t, c.name, c.text, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.60q: got %v, want %q", c.name, c.text, err, c.want)
		}
	}
}

func TestBillionLaughs(t *testing.T) {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	_, _, err := loaded(t, "bomb.yaml", text, nil)
	if err == nil || !strings.Contains(err.Error(), "holds more than") && !strings.Contains(err.Error(), "alias") {
		t.Error(err)
	}
}

func TestWarningsOfAFile(t *testing.T) {
	f, _, err := loaded(t, "a.yaml", "apps:\n  - script: server.js\n    instnces: 2\n    pmx: false\nexta: 1\n", func(o *LoadOptions) { o.EnvName = "prod" })
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(f.Warnings, "\n") + "\n" + strings.Join(f.Notes, "\n")
	for _, want := range []string{"a.yaml:3: server: instnces is not known; did you mean instances?", "no env_prod", "no effect here: pmx", "a.yaml:5: exta is not known"} {
		if !strings.Contains(all, want) {
			t.Errorf("got %s, want %q", all, want)
		}
	}
}

// The caller's folder is that of relative paths, not the file's; the error says so.
func TestScriptBesideTheFile(t *testing.T) {
	w := newWorld(t, "node")
	w.write(t, "deploy/server.js", "1\n", 0o644)
	w.write(t, "deploy/apps.yaml", "apps: {script: server.js}\n", 0o644)
	_, err := Load(t.Context(), w.load("deploy/apps.yaml"))
	if err == nil || !strings.Contains(err.Error(), "set cwd to "+filepath.Join(w.dir, "deploy")) {
		t.Error(err)
	}
}

func TestOnlyOverrideAndNames(t *testing.T) {
	text := "apps:\n  - {name: a, script: server.js, append_env_to_name: true}\n  - {name: b, script: gone.js}\n  - {script: app.py}\ndeploy: {prod: {host: h, env: {D: 1}}}\n"
	f, w, err := loaded(t, "a.yaml", text, func(o *LoadOptions) {
		o.EnvName, o.Only = "prod", []string{"a-prod"}
		o.Override.Instances, o.Override.Namespace = "3", "n"
	})
	if err != nil || len(f.Apps) != 1 || f.Apps[0].Name != "a-prod" || f.Apps[0].Instances != 3 || f.Apps[0].Namespace != "n" || f.Apps[0].Env["D"] != "1" {
		t.Fatalf("got %+v, %v", f, err)
	}
	if string(f.Deploy["prod"]) != `{"host":"h","env":{"D":1}}` {
		t.Errorf("deploy: %s", f.Deploy["prod"])
	}
	names, err := Names(t.Context(), w.load("a.yaml"))
	if d := cmp.Diff([]string{"a", "b", "app"}, names); d != "" || err != nil {
		t.Error(d, err)
	}
	o := w.load("a.yaml")
	o.Only = []string{"zzz"}
	if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), `no app "zzz"; it has a, b, app`) {
		t.Error(err)
	}
}

func TestStatic(t *testing.T) {
	f, w, err := loaded(t, "a.yaml", "static:\n  - {path: ., port: 8123, spa: true, basic_auth: {username: u, password: p}}\n", func(o *LoadOptions) { o.Exe = "/bin/sh" })
	if err != nil {
		t.Fatal(err)
	}
	s := f.Apps[0]
	if s.Name != "static-page-server-8123" || s.Exec != "/bin/sh" || !strings.Contains(strings.Join(s.Args, " "), "--port 8123 --path "+w.dir) || len(s.EnvOwn) != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestIsFile(t *testing.T) {
	for word, want := range map[string]bool{
		"-": true, "ecosystem.config.js": true, "x/pm2.config.cjs": true, "a.json": true, "A.JSON": true, "a.yml": true, "ecosystem.js": true,
		"api-pm2.json": true, "server.js": false, "server.json-api.js": false, "api": false, "node a.json": false, "config.js": false, "": false, "a.toml": true,
	} {
		if got := IsFile(word); got != want {
			t.Errorf("%q: got %v", word, got)
		}
	}
}

// What is written reads as what it was made of.
func TestFormatReadsBack(t *testing.T) {
	f, w, err := loaded(t, "a.yaml", `apps:
  - {name: a, script: server.js, instances: 2, args: [x, "1"], env: {A: "yes", B: "07"}, max_memory_restart: 5M, watch: [src], ignore_watch: [],
     health: {liveness: {tcp: "1:2", retries: 9}}, limits: {cpu: 0.5}, hooks: [{on: [crash, hang], exec: [a, "b c"], timeout: 5s}, {on: all, webhook: "http://x", retries: 0}], cron_restart: "0 3 * * *", out_file: "NULL", depends_on: [b], log_keep: 0}
  - {name: b, script: app.py, stop_exit_codes: [1, 2], filter_env: true, min_uptime: 2s}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := FormatYAML(f.Apps, []string{"a comment"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"b.yaml": y, "b.json": FormatJSON(f.Apps)} {
		w.write(t, name, string(text), 0o644)
		again, err := Load(t.Context(), w.load(name))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(f.Apps, again.Apps, cmpopts.IgnoreFields(app.Spec{}, "Source")); d != "" {
			t.Errorf("%s\n%s", d, text)
		}
	}
}

func TestImportDump(t *testing.T) {
	w := newWorld(t, "node")
	w.write(t, "server.js", "1\n", 0o644)
	record := func(id int) string {
		return fmt.Sprintf(`{"name":"api","pm_exec_path":%q,"pm_cwd":%q,"exec_mode":"cluster_mode","exec_interpreter":"node","instances":2,"node_args":["--harmony"],
		"args":["--x"],"max_memory_restart":1000000,"pm_out_log_path":"/home/x/.pm2/logs/api-out-%d.log","pm_err_log_path":"/var/log/api-%d.log","vizion":true,
		"env":{"PORT":"3000","HOME":"/home/x","PWD":"/","watch":"no"},"PORT":"3000","watch":"no","status":"stopped","axm_actions":[]}`,
			filepath.Join(w.dir, "server.js"), w.dir, id, id)
	}
	apps, notes, err := ImportDump(t.Context(), []byte("["+record(0)+","+record(1)+`,{"name":"gone","pm_exec_path":"/no/such.js"}]`), w.options(""))
	if err != nil || len(apps) != 1 {
		t.Fatal(apps, notes, err)
	}
	s := apps[0]
	if s.Instances != 2 || s.Mode != app.Cluster || s.MaxMemoryBytes != 1000000 || s.ErrFile != "/var/log/api.log" || s.OutFile != "" ||
		!s.NoAutostart || s.Env["PORT"] != "3000" || s.Watch != nil || strings.Join(s.InterpreterArgs, " ") != "--harmony" {
		t.Errorf("got %+v", s)
	}
	if d := cmp.Diff([]string{"PORT"}, s.EnvOwn); d != "" {
		t.Error(d)
	}
	if !strings.Contains(strings.Join(notes, "\n"), "gone: left out") {
		t.Error(notes)
	}
	for _, bad := range []string{"", "{}", "[1]", "[{", "nope"} {
		if _, _, err := ImportDump(t.Context(), []byte(bad), w.options("")); err == nil {
			t.Errorf("%q is taken for a dump", bad)
		}
	}
}

func TestChange(t *testing.T) {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd, spec.Instances, spec.MaxMemoryBytes = "a", "/x", "/", 2, 5
	spec.Env = map[string]string{"A": "1"}
	was := spec
	o := StartOptions{Dir: "/", Restart: RestartFlags{MaxMemory: "2K"}, Instances: "4"}
	if err := Change(&spec, o, []string{"max-memory-restart", "instances", "kill-timeout"}); err != nil {
		t.Fatal(err)
	}
	if spec.MaxMemoryBytes != 2048 || spec.Instances != 4 || spec.KillTimeout != was.KillTimeout {
		t.Errorf("got %+v", spec)
	}
	if err := Change(&spec, StartOptions{Dir: "/"}, []string{"max-memory-restart"}); err != nil || spec.MaxMemoryBytes != 0 {
		t.Errorf("null: %v, %d", err, spec.MaxMemoryBytes)
	}
	before := spec
	for _, name := range []string{"execute-command"} {
		if err := Change(&spec, StartOptions{Dir: "/", Name: "b"}, []string{"instances", name}); err == nil || cmp.Diff(before, spec) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Change(&spec, StartOptions{Dir: "/", Name: "b"}, []string{"name"}); err != nil || spec.Name != "b" {
		t.Errorf("name: %v, %s", err, spec.Name)
	}
	UpdateEnv(&spec, []string{"A=2", "B=3", "PWD=/z"})
	if spec.Env["A"] != "2" || spec.Env["B"] != "3" || spec.Env["PWD"] != "" || was.Env["A"] != "1" {
		t.Errorf("got %v", spec.Env)
	}
	for _, want := range []bool{true, false, true} {
		if ToggleWatch(&spec, nil); spec.Watching() != want {
			t.Errorf("watching: %v", spec.Watching())
		}
	}
}

// The schema and the tables of the docs are what the table of fields says.
// UPDATE=1 writes them.
func TestSchemaAndDocs(t *testing.T) {
	const begin, end = "<!-- fields: made by go test, UPDATE=1 -->\n", "<!-- end of fields -->\n"
	for _, c := range []struct {
		file string
		make func(old string) string
	}{
		{"../../docs/app-file.schema.json", func(string) string { return string(Schema()) }},
		{"../../docs/app-file.md", func(old string) string {
			head, rest, ok1 := strings.Cut(old, begin)
			_, tail, ok2 := strings.Cut(rest, end)
			if !ok1 || !ok2 {
				t.Fatal("docs/app-file.md has lost the marks around its tables")
			}
			return head + begin + FieldsMarkdown() + "\n" + end + tail
		}},
	} {
		old, err := os.ReadFile(c.file)
		if err != nil && os.Getenv("UPDATE") == "" {
			t.Fatal(err)
		}
		want := c.make(string(old))
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(c.file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(old) != want {
			t.Errorf("%s is not what the table of fields says; UPDATE=1 go test writes it", c.file)
		}
	}
	seen := map[string]string{}
	for _, f := range fields() {
		for _, name := range append([]string{f.name}, f.aliases...) {
			if other, twice := seen[name]; twice && other != f.name {
				t.Errorf("%s names both %s and %s", name, other, f.name)
			}
			seen[name] = f.name
		}
		if f.doc == "" || f.set == nil && f.note == "" || f.set != nil && f.def == "" {
			t.Errorf("%s: doc, default or note is missing", f.name)
		}
	}
}

// Whatever a file holds, the answer comes soon, and an error is one line.
func fuzzLoad(f *testing.F, name string, seeds ...string) {
	w := newWorld(f, "node")
	w.write(f, "server.js", "1\n", 0o644)
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w.write(t, name, text, 0o644)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		o := w.load(name)
		o.Exe = "/bin/false" // no JavaScript: that has its own tests
		file, err := Load(ctx, o)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %s", strconv.Quote(err.Error()))
			}
			return
		}
		for i := range file.Apps {
			if err := file.Apps[i].Validate(); err != nil {
				t.Errorf("an app that is not valid: %v", err)
			}
		}
	})
}

func FuzzLoadJSON(f *testing.F) {
	fuzzLoad(f, "a.json", `{"apps":[{"script":"server.js","env":{"A":[1]},"health":{"tcp":1}}]}`, `[{"script":"server.js --x"}]`, `{"static":{"path":"."}}`)
}

func FuzzLoadYAML(f *testing.F) {
	fuzzLoad(f, "a.yaml", "apps:\n- &a {script: server.js}\n- <<: *a\n  name: b\n", "a: &a [*a]", "jobs: [{script: server.js, cron: '* * * * *'}]")
}

func FuzzLoadTOML(f *testing.F) {
	fuzzLoad(f, "a.toml", "[[apps]]\nscript='server.js'\n[apps.env]\nA=1\n", "a=[[[")
}

func FuzzImportDump(f *testing.F) {
	w := newWorld(f, "node")
	f.Add(`[{"name":"a","pm_exec_path":"/bin/sh","env":{"A":"1"},"args":["x"]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		apps, _, err := ImportDump(t.Context(), []byte(text), w.options(""))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
		for i := range apps {
			if err := apps[i].Validate(); err != nil {
				t.Errorf("an app that is not valid: %v", err)
			}
		}
	})
}
