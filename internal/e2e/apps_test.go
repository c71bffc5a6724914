package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// npmApp is an app in testdata that stands on packages of npm's, unmodified, with an
// app file in which it is called app and has two instances.
type npmApp struct {
	folder, file string
	node         int    // the oldest Node that its packages support; 0: any that we do
	kept         string // the path that kept connections ask for; "" is "/"
}

var npmApps = []npmApp{
	{folder: "express", file: "ecosystem.config.js", kept: "/stream"},
	{folder: "fastify", file: "ecosystem.config.cjs", node: 20},
	{folder: "koa", file: "apps.yaml"},
	{folder: "metrics", file: "process.json"},
}

// What a user of PM2 has in the scripts of a project works on it unchanged, and nobody
// who asks meanwhile notices.
func TestApps(t *testing.T) {
	t.Parallel()
	for _, a := range npmApps {
		t.Run(a.folder, func(t *testing.T) {
			t.Parallel() // each mostly waits
			if ok, err := condition(fmt.Sprintf("node:%d", a.node)); err != nil || !ok {
				t.Skipf("needs Node %d (%v)", a.node, err)
			}
			s := startApp(t, filepath.Join("testdata/apps", a.folder), packages(), nil)
			s.goesThroughAll(a)
		})
	}
}

// Next.js: built as its documentation says for a server of one's own. The build takes
// a minute and 350 MB, so it is only done when asked for.
func TestAppNext(t *testing.T) {
	if asked, err := strconv.ParseBool(os.Getenv("PACELINE_E2E_NEXT")); err != nil || !asked {
		t.Skip("takes a minute and 350 MB: scripts/apps.sh next, then PACELINE_E2E_NEXT=1")
	}
	built, err := filepath.Abs("../../.cache/next/built")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(built, "server.js")); err != nil {
		t.Fatalf("%v; scripts/apps.sh next builds it", err)
	}
	s := startApp(t, built, "", nil)
	const file = "ecosystem.config.mjs"
	text, err := os.ReadFile(filepath.Join("testdata/next", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, file), text, 0o644); err != nil {
		t.Fatal(err)
	}
	s.path = "/who"
	s.goesThroughAll(npmApp{file: file, kept: "/who"})
}

// The figures of @pm2/io are shown and its actions can be run, of each instance of
// its present process.
func TestAppMetrics(t *testing.T) {
	t.Parallel()
	s := startApp(t, "testdata/apps/metrics", packages(), nil)
	s.pace("start", "process.json")
	s.answers(2, "development")
	s.shows("Mode: development", "Requests served: [1-9]", "Heap Usage: .* %", "actions +greeting, greet with,")
	var list []struct {
		Env struct {
			Monitor map[string]struct {
				Value any `json:"value"`
			} `json:"axm_monitor"`
			Actions []axmAction `json:"axm_actions"`
		} `json:"pm2_env"`
	}
	if err := json.Unmarshal([]byte(s.pace("jlist")), &list); err != nil {
		t.Fatal(err)
	}
	for _, in := range list { // where PM2's users look for them
		if in.Env.Monitor["Mode"].Value != "development" || !slices.Contains(in.Env.Actions, axmAction{"greeting"}) {
			t.Errorf("jlist: %+v", in)
		}
	}
	s.triggers("greeting", `{"greeting":"hello","instance":"0"}`, `{"greeting":"hello","instance":"1"}`)
	s.triggers("greet with", `{"greeting":"hi there"}`, `{"greeting":"hi there"}`, "hi", "there")
	s.triggers("greeting", `{"greeting":"hi there","instance":"0"}`, `{"greeting":"hi there","instance":"1"}`)
	if _, err := s.Pace(t.Context(), "trigger", "app", "nonsense"); err == nil || !strings.Contains(err.Error(), "there are: greeting, greet with") {
		t.Errorf("an action that nobody has: %v", err)
	}
	s.pace("reload", "process.json", "--env", "production")
	s.shows("Mode: production")
	s.triggers("greeting", `{"greeting":"hello","instance":"0"}`, `{"greeting":"hello","instance":"1"}`)
}

// axmAction is how PM2 lists an action of @pm2/io.
type axmAction struct {
	Name string `json:"action_name"`
}

// appUnderTest is an npmApp under pace.
type appUnderTest struct {
	service
	folder string // its copy
	path   string // what new connections ask for; "" is "/"
	port   int
	user   *syscall.Credential
}

// startApp makes a copy of an app's folder, with the packages beside it.
func startApp(t *testing.T, from, modules string, user *syscall.Credential) *appUnderTest {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		without(t, err, "node")
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Release() })
	s := &appUnderTest{port: port.Number, user: user}
	s.service = service{newSandboxAs(t, user, "PORT="+strconv.Itoa(port.Number), "NO_COLOR=1"), t, port.Addr()}
	s.folder = filepath.Join(s.Dir, "app")
	if err := os.CopyFS(s.folder, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if modules == "" {
		return s
	}
	if err := os.Symlink(modules, filepath.Join(s.Dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "socket.io")); err != nil {
		text := fmt.Sprintf("%v; scripts/apps.sh installs it", err)
		if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	if err := s.program("sh", "-c", `test -r "$1"`, "sh", filepath.Join(modules, "socket.io/package.json")).Run(); err != nil {
		t.Skipf("the user cannot read %s", modules)
	}
	return s
}

// program is a command of the user's in the app's folder, not started.
func (s *appUnderTest) program(words ...string) *exec.Cmd {
	cmd := s.Command(s.t.Context())
	file, err := exec.LookPath(words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Path, cmd.Args, cmd.Dir, cmd.Err = file, words, s.folder, nil
	return cmd
}

// pace runs it in the app's folder, from which the paths in an app file go.
func (s *appUnderTest) pace(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := s.Command(ctx, args...)
	cmd.Dir = s.folder
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("pace %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// goesThroughAll takes an app through what an app file is used for.
func (s *appUnderTest) goesThroughAll(a npmApp) {
	s.t.Helper()
	s.pace("start", a.file)
	s.answers(2, "development")
	s.holds(a, "reload", func() {
		before := s.pids()
		s.pace("reload", a.file)
		s.replaced(before, 2)
	})
	s.answers(2, "development")
	s.holds(a, "startOrReload", func() {
		before := s.pids()
		s.pace("startOrReload", a.file, "--env", "production")
		s.replaced(before, 2)
	})
	s.answers(2, "production")
	s.holds(a, "scale", func() {
		s.pace("scale", "app", "3")
		s.answers(3, "production")
		s.pace("scale", "app", "2")
	})
	s.answers(2, "production")
	if n := len(s.pids()); n != 2 {
		s.t.Errorf("%d instances after all, want 2", n)
	}
}

// replaced fails unless there are so many processes, none of which was there before.
func (s *appUnderTest) replaced(before []int, count int) {
	s.t.Helper()
	pids := s.pids()
	if len(pids) != count {
		s.t.Errorf("pids %v, want %d", pids, count)
	}
	for _, pid := range pids {
		if pid == 0 || slices.Contains(before, pid) {
			s.t.Errorf("pids %v, were %v; want a new one for each", pids, before)
		}
	}
}

var appAnswer = regexp.MustCompile(`^instance (\d+) process (\d+) mode (\w+)\n$`)

// wholeAnswer tells an answer of the app's from one that was cut off.
func wholeAnswer(body []byte) error {
	if !appAnswer.Match(body) {
		return errors.New("not the app's answer")
	}
	return nil
}

// answers asks until so many instances have answered, all in that mode and all by
// the processes that they have.
func (s *appUnderTest) answers(instances int, mode string) {
	s.t.Helper()
	seen, pids := map[string]bool{}, s.pids()
	for made := 0; made < 2000 && (made < 50 || len(seen) < instances); {
		r := load.Run(s.t.Context(), load.Config{Addr: s.addr, Path: s.path, Clients: 4, Requests: 25, Check: wholeAnswer})
		made += r.Requests
		if r.Failed > 0 {
			s.t.Fatalf("%v", r)
		}
		for body := range r.Bodies {
			m := appAnswer.FindStringSubmatch(body)
			seen[m[1]] = true
			if pid, err := strconv.Atoi(m[2]); err != nil || !slices.Contains(pids, pid) || m[3] != mode {
				s.t.Errorf("%q answers, want mode %s and one of %v", body, mode, pids)
			}
		}
	}
	if len(seen) != instances {
		s.t.Errorf("of %d instances %v have answered", instances, seen)
	}
}

// holds has clients with a connection per request and others with a kept one ask
// while act works: none of them fails.
func (s *appUnderTest) holds(a npmApp, name string, act func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	var made [2]atomic.Int64
	var results [2]load.Result
	var wg sync.WaitGroup
	for i, path := range []string{s.path, a.kept} {
		c := load.Config{Addr: s.addr, Path: path, KeepAlive: i == 1, Clients: 4, Pause: 5 * time.Millisecond, Check: wholeAnswer}
		c.Each = func(load.Request) { made[i].Add(1) }
		wg.Go(func() { results[i] = load.Run(ctx, c) })
	}
	more := func(n int64) {
		s.t.Helper()
		want := [2]int64{made[0].Load() + n, made[1].Load() + n}
		if err := proc.Poll(ctx, 5*time.Millisecond, func() (bool, error) {
			return made[0].Load() >= want[0] && made[1].Load() >= want[1], nil
		}); err != nil {
			s.t.Fatalf("%s: the requests do not get on: %v", name, err)
		}
	}
	more(10)
	act()
	more(50)
	cancel()
	wg.Wait()
	s.t.Logf("%s: new connections: %v; kept: %v, %d orderly reconnects", name, results[0], results[1], results[1].Reconnects)
	if results[0].Failed+results[1].Failed > 0 {
		s.t.Errorf("%s: new connections: %v; kept: %v; want none failed", name, results[0], results[1])
	}
}

// shows waits until `pace show` has a line for each pattern and instance.
func (s *appUnderTest) shows(patterns ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	missing, out := "", ""
	err := proc.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		missing = ""
		text, err := s.Pace(ctx, "show", "app")
		if err != nil {
			return false, err
		}
		out = text
		for _, p := range patterns {
			if len(regexp.MustCompile(p).FindAllString(out, -1)) != 2 {
				missing = p
			}
		}
		return missing == "", nil
	})
	if err != nil {
		s.t.Fatalf("show has no %q for each instance: %v\n%s", missing, err, out)
	}
}

// triggers runs an action, which returns this in the two instances.
func (s *appUnderTest) triggers(action, first, second string, params ...string) {
	s.t.Helper()
	out := s.pace(append([]string{"trigger", "app", action}, params...)...)
	want := fmt.Sprintf("[app:0:default]=%s\n[app:1:default]=%s\n", first, second)
	if !strings.HasSuffix(out, want) {
		s.t.Errorf("trigger %q: got\n%swant\n%s", action, out, want)
	}
}
