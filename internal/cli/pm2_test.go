package cli

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// pm2Commands are all of PM2 7.0.4's, aliases included, from its own help.
const pm2Commands = `start trigger deploy startOrRestart startOrReload pid create startOrGracefulReload stop restart scale
	profile:mem profile:cpu reload id inspect delete del sendSignal ping updatePM2 update install module:install module:update
	module:generate uninstall module:uninstall package publish module:publish set multiset get conf config unset report link
	unlink monitor unmonitor open plus register login logout dump save cleardump send attach resurrect unstartup startup
	logrotate ecosystem init reset describe desc info show env list ls l ps status jlist slist sysinfos prettylist monit
	imonit dashboard dash flush reloadLogs logs kill pull forward backward deepUpdate serve expose autoinstall examples
	install-otel uninstall-otel completion`

func TestEveryCommandOfPM2sIsKnown(t *testing.T) {
	guide, err := os.ReadFile("../../docs/from-pm2.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newCLI(Options{})
	root := c.root("")
	for name := range strings.FieldsSeq(pm2Commands) {
		var places []string
		if find(root, name) != nil {
			places = append(places, "a command")
		}
		if insteadOf(name) != "" {
			places = append(places, "one that there will not be")
		}
		if slices.Contains(laterCommands(), name) && len(places) == 0 {
			places = append(places, "one for later")
		}
		if len(places) != 1 {
			t.Errorf("%s is %q, want one of the three", name, places)
		}
		if !strings.Contains(string(guide), "`"+name+"`") {
			t.Errorf("%s is not in docs/from-pm2.md", name)
		}
	}
}

func TestACommandThatThereWillNotBeSaysWhatToUse(t *testing.T) {
	f := newFake(t, nil)
	for name, mention := range map[string]string{
		"inspect api":        "--node-args=--inspect",
		"install pm2-logs":   "log rotation",
		"plus":               "cloud",
		"pull api":           "git",
		"module:generate x":  "no modules",
		"deepUpdate":         "pace update",
		"install-otel":       "OpenTelemetry",
		"profile:cpu --frob": "--cpu-prof",
	} {
		f.run(strings.Fields(name)...).want(t, 1, "", mention)
	}
	f.with(t.Context(), Options{Name: "pm2"}, "deepUpdate").want(t, 1, "", "`pm2 update`")
}

func TestTheNameIsTheOneThatWasCalled(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpStop: unknown})
	r := f.with(t.Context(), Options{Name: "pm2"}, "stop", "x")
	r.want(t, 1, "", "pm2: stop: ")
	if strings.Contains(r.stderr, "pace") {
		t.Errorf("it calls itself pace: %s", r.stderr)
	}
	help := f.with(t.Context(), Options{Name: "pm2"}, "start", "--help")
	if strings.Contains(help.stdout, "pace start") || !strings.Contains(help.stdout, "  pm2 start server.js\n") {
		t.Errorf("help of pm2:\n%s", help.stdout)
	}
}

func TestPM2sTable(t *testing.T) {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd, spec.Watch = "web", "/no/such/web", "/", &app.Watch{}
	spec.User = &app.User{Name: "www", UID: 33}
	idle := spec
	idle.Name, idle.Watch, idle.Namespace = "idle-"+strings.Repeat("x", 50), nil, "night"
	infos := []api.AppInfo{
		{Spec: spec, PIDFiles: []string{"/h/pids/web-0.pid"}, Instances: []app.Status{{
			ID: 0, Name: "web", State: app.Online, PID: 4711, StartedAt: now().Add(-121 * time.Second), CPU: 12.34, MemoryBytes: 48 << 20, ErrFile: "/h/logs/web-error.log",
		}}},
		{Spec: idle, Instances: []app.Status{{ID: 1, Name: idle.Name, State: app.Waiting, Restarts: 3, MemoryBytes: 900}}},
	}
	f := newFake(t, map[string]func(*http.Request) any{api.OpApps: give(infos)})
	golden(t, "pm2_list.txt", f.with(t.Context(), Options{Name: "pm2"}, "ls").stdout)
	golden(t, "pm2_list_mini.txt", f.with(t.Context(), Options{Name: "pm2"}, "list", "-m").stdout)
	f.set(api.OpApps, give([]api.AppInfo{}))
	golden(t, "pm2_list_empty.txt", f.with(t.Context(), Options{Name: "pm2"}, "status").stdout)
}

func TestPM2Memory(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0b", 900: "900b", 48 << 20: "48.0mb", 54_945_382: "52.4mb", 3 << 30: "3.0gb"} {
		if got := pm2Memory(bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
}

func TestListIsSorted(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: give(sample())})
	for field, first := range map[string]string{"": "0  api", "name:desc": "2  worker", "memory:desc": "6  npm-app", "restarts:desc": "2  worker"} {
		var args []string
		if field != "" {
			args = []string{"--sort", field}
		}
		r := f.run(append([]string{"list"}, args...)...)
		if lines := strings.Split(r.stdout, "\n"); len(lines) < 2 || !strings.Contains(lines[1], first) {
			t.Errorf("%q: got\n%s", field, r.stdout)
		}
	}
	f.run("list", "--sort", "x").want(t, 1, "", "there is no such field")
	f.run("list", "--sort", "id:up").want(t, 1, "", "asc or desc")
}
