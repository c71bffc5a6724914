package watch

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// fire is one call of Options.Fire.
type fire struct {
	name    string
	changed []string
}

type bench struct {
	t     testing.TB
	dir   string // real, with an empty folder app in it
	app   string
	fires chan fire
	log   *logBuffer
	w     *Watcher
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, app: filepath.Join(dir, "app"), fires: make(chan fire, 1000), log: &logBuffer{}}
	b.mkdir("app")
	o.Log = slog.New(slog.NewTextHandler(b.log, nil))
	if o.Fire == nil {
		o.Fire = func(name string, changed []string) { b.fires <- fire{name, changed} }
	}
	b.w = New(o)
	t.Cleanup(func() {
		if err := b.w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func (b *bench) watch(r Rule) {
	b.t.Helper()
	if r.Paths == nil {
		r.Paths = []string{b.app}
	}
	if r.Base == "" {
		r.Base = b.app
	}
	if err := r.Validate(); err != nil {
		b.t.Fatal(err)
	}
	b.w.Sync(map[string]Rule{"api": r})
}

func (b *bench) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.dir, name)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) mkdir(name string) { b.t.Helper(); b.must(os.MkdirAll(b.path(name), 0o755)) }
func (b *bench) remove(name string) {
	b.t.Helper()
	b.must(os.RemoveAll(b.path(name)))
}

func (b *bench) write(name string) {
	b.t.Helper()
	b.must(os.WriteFile(b.path(name), []byte(time.Now().String()), 0o644))
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	b.must(os.Rename(b.path(from), b.path(to)))
}

func (b *bench) link(to, name string) { b.t.Helper(); b.must(os.Symlink(to, b.path(name))) }

// next waits for a call and returns its paths, relative to the folder.
func (b *bench) next() []string {
	b.t.Helper()
	select {
	case f := <-b.fires:
		for i, p := range f.changed {
			f.changed[i] = strings.TrimPrefix(p, b.dir+"/")
		}
		return f.changed
	case <-time.After(patience):
		b.t.Fatalf("no call of Fire within %v\n%s", patience, b.log)
		return nil
	}
}

// until waits for calls until one of them names path.
func (b *bench) until(path string) {
	b.t.Helper()
	for !slices.Contains(b.next(), path) {
	}
}

// only holds that nothing but path was told since the last call: what was done
// before must not count.
func (b *bench) only(path string) {
	b.t.Helper()
	b.write(path)
	if got := b.next(); !slices.Equal(got, []string{path}) {
		b.t.Fatalf("changed: %v, want %s alone", got, path)
	}
}

func TestChangesOfEveryKind(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(b *bench)
		change func(b *bench)
		want   string
	}{
		{"a write", func(b *bench) { b.write("app/a.js") }, func(b *bench) { b.write("app/a.js") }, "app/a.js"},
		{"a new file", nil, func(b *bench) { b.write("app/a.js") }, "app/a.js"},
		{"a removed file", func(b *bench) { b.write("app/a.js") }, func(b *bench) { b.remove("app/a.js") }, "app/a.js"},
		{
			"an atomic save", func(b *bench) { b.write("app/a.js") },
			func(b *bench) { b.write("other"); b.rename("other", "app/a.js") }, "app/a.js",
		},
		{
			"a save by delete and create", func(b *bench) { b.write("app/a.js") },
			func(b *bench) { b.remove("app/a.js"); b.write("app/a.js") }, "app/a.js",
		},
		{
			"a touch", func(b *bench) { b.write("app/a.js") },
			func(b *bench) {
				now := time.Now().Add(10 * time.Millisecond)
				b.must(os.Chtimes(b.path("app/a.js"), now, now))
			}, "app/a.js",
		},
		{"deep below", func(b *bench) { b.mkdir("app/x/y/z") }, func(b *bench) { b.write("app/x/y/z/a.js") }, "app/x/y/z/a.js"},
		{"moved out", func(b *bench) { b.write("app/a.js") }, func(b *bench) { b.rename("app/a.js", "a.js") }, "app/a.js"},
		{
			"a folder moved in", func(b *bench) { b.mkdir("lib/x"); b.write("lib/x/a.js") },
			func(b *bench) { b.rename("lib", "app/lib") }, "app/lib/x/a.js",
		},
		{
			"behind a link to a folder", func(b *bench) { b.mkdir("lib/x"); b.link("../lib", "app/lib") },
			func(b *bench) { b.write("lib/x/a.js") }, "app/lib/x/a.js",
		},
		{
			"behind a link to a file", func(b *bench) { b.write("a.js"); b.link("../a.js", "app/a.js") },
			func(b *bench) { b.write("a.js") }, "app/a.js",
		},
		{
			"behind a new link", func(b *bench) { b.mkdir("lib") },
			func(b *bench) { b.link("../lib", "app/lib"); b.next(); b.write("lib/a.js") }, "app/lib/a.js",
		},
		{
			"after a rename within", func(b *bench) { b.mkdir("app/x/y") },
			func(b *bench) { b.rename("app/x", "app/z"); b.until("app/z"); b.write("app/z/y/a.js") }, "app/z/y/a.js",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Options{})
			if c.before != nil {
				c.before(b)
			}
			b.watch(Rule{})
			c.change(b)
			b.until(c.want)
		})
	}
}

func TestWhatDoesNotCount(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/node_modules/x")
	b.mkdir("app/.git/refs")
	b.mkdir("app/logs")
	b.write("app/a.js")
	b.watch(Rule{Own: []string{b.path("app/logs/api-out.log"), b.path("app/api.pid")}})
	b.write("app/node_modules/x/a.js")
	b.write("app/.git/refs/main")
	b.write("app/.env")
	b.write("app/logs/api-out.log")
	b.write("app/logs/api-out.log.1")
	b.write("app/logs/api-out.log.12.gz")
	b.rename("app/logs/api-out.log.1", "app/logs/api-out.log.2")
	b.write("app/api.pid")
	b.remove("app/api.pid")
	b.must(os.Chmod(b.path("app/a.js"), 0o600))
	b.mkdir("app/node_modules/y/z")
	b.write("app/node_modules/y/z/a.js")
	b.only("app/index.js")
	b.write("app/logs/api-out.log.js") // no rotated log
	b.until("app/logs/api-out.log.js")
}

func TestIgnoredFoldersCostNothing(t *testing.T) {
	b := newBench(t, Options{})
	for i := range 20 {
		b.mkdir(fmt.Sprintf("app/node_modules/%d/x", i))
	}
	b.mkdir("app/src")
	var mu sync.Mutex
	var added []string
	b.w.Close()
	b.w = New(Options{Log: slog.New(slog.DiscardHandler), Fire: func(string, []string) {}, add: func(p string) error {
		mu.Lock()
		defer mu.Unlock()
		added = append(added, strings.TrimPrefix(p, b.dir+"/"))
		return nil
	}})
	b.watch(Rule{})
	slices.Sort(added)
	if want := []string{"app", "app/src"}; !slices.Equal(added, want) {
		t.Errorf("watched: %v, want %v", added, want)
	}
}

// The folders of a fast mkdir -p exist before the first of them can be watched.
func TestNoFileIsLostInNewFolders(t *testing.T) {
	b := newBench(t, Options{})
	b.watch(Rule{})
	for i := range 200 {
		dir := fmt.Sprintf("app/n%d/a/b/c", i)
		b.mkdir(dir)
		b.write(dir + "/x.js")
	}
	for {
		select {
		case <-b.fires:
			continue
		case <-time.After(Quiet * 5):
		}
		break
	}
	// Each of them is watched now, and a change in it is told.
	for i := 0; i < 200; i += someChanged {
		missing := map[string]bool{}
		for k := range someChanged {
			p := fmt.Sprintf("app/n%d/a/b/c/x.js", i+k)
			b.write(p)
			missing[p] = true
		}
		for len(missing) > 0 {
			for _, p := range b.next() {
				delete(missing, p)
			}
		}
	}
}

func TestFilesInANewFolderCount(t *testing.T) {
	b := newBench(t, Options{})
	b.watch(Rule{Paths: []string{b.path("app/**/*.js")}})
	b.mkdir("app/x/y/z")
	b.write("app/x/y/z/a.js")
	if got := b.next(); !slices.Equal(got, []string{"app/x/y/z/a.js"}) {
		t.Errorf("changed: %v", got)
	}
	b.write("app/x/y/z/a.css")
	b.only("app/x/b.js")
}

func TestGlobs(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/src/deep")
	b.mkdir("app/packages/one/src")
	b.mkdir("app/packages/one/test")
	b.mkdir("app/pages")
	b.write("app/pages/[id].js")
	b.watch(Rule{Paths: []string{
		b.path("app/src/*.{js,ts}"), b.path("app/packages/*/src"), b.path("app/pages/[id].js"),
	}})
	b.write("app/src/deep/a.js")
	b.write("app/src/a.css")
	b.write("app/packages/one/test/a.js")
	b.write("app/pages/i.js")
	b.only("app/src/a.ts")
	b.only("app/packages/one/src/a.js")
	b.only("app/pages/[id].js")
	b.mkdir("app/packages/two/src")
	b.next()
	b.only("app/packages/two/src/a.js")
}

func TestRootThatComesAndGoes(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/src")
	b.watch(Rule{Paths: []string{b.path("app/dist"), b.path("app/src")}})
	b.mkdir("app/dist/x")
	b.until("app/dist")
	b.only("app/dist/x/a.js")
	for range 3 {
		b.remove("app/dist")    // held back until it is there again,
		b.write("app/src/a.js") // or something else changes
		b.until("app/src/a.js")
		b.mkdir("app/dist/x")
		b.until("app/dist")
		b.only("app/dist/x/a.js")
	}
	b.remove("app/dist")
	select {
	case f := <-b.fires:
		t.Errorf("changed: %v, while it is missing", f.changed)
	case <-time.After(5 * Quiet):
	}
	b.mkdir("app/dist/x")
	b.until("app/dist")
	b.rename("app/dist", "app/old")
	b.mkdir("app/dist")
	b.until("app/dist")
	b.write("app/old/x/a.js")
	b.only("app/dist/b.js")
}

func TestRootIsALink(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("releases/1/src")
	b.mkdir("releases/2/src")
	b.link("releases/1", "current")
	b.watch(Rule{Paths: []string{b.path("current/src")}, Base: b.path("current")})
	b.only("current/src/a.js")
	b.link("releases/2", "next")
	b.rename("next", "current")
	b.until("current/src")
	b.write("releases/1/src/b.js")
	b.only("current/src/a.js")
}

func TestSingleFile(t *testing.T) {
	b := newBench(t, Options{})
	b.write("app/.env")
	b.watch(Rule{Paths: []string{b.path("app/.env")}})
	b.write("app/b.js")
	b.only("app/.env")
	b.write("new")
	b.rename("new", "app/.env")
	b.next()
	b.only("app/.env")
	b.remove("app/.env")
	b.write("app/.env")
	b.next()
	b.only("app/.env")
}

func TestLinksInARing(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/x")
	b.mkdir("lib/y")
	b.link("..", "app/x/up")
	b.link("../lib", "app/lib")
	b.link("../../app", "lib/y/app")
	b.watch(Rule{})
	b.only("app/x/a.js")
	b.write("lib/y/a.js")
	b.until("app/lib/y/a.js")
}

func TestTwoAppsShareFolders(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/x")
	rule := Rule{Paths: []string{b.app}, Base: b.app}
	b.w.Sync(map[string]Rule{"api": rule, "worker": rule})
	b.write("app/x/a.js")
	got := []string{(<-b.fires).name, (<-b.fires).name}
	slices.Sort(got)
	if !slices.Equal(got, []string{"api", "worker"}) {
		t.Errorf("fired for %v", got)
	}
	b.w.Sync(map[string]Rule{"worker": rule})
	b.write("app/x/a.js")
	if f := <-b.fires; f.name != "worker" {
		t.Errorf("fired for %s", f.name)
	}
	b.only("app/x/b.js")
}

func TestSyncKeepsWhatIsDue(t *testing.T) {
	b := newBench(t, Options{})
	b.watch(Rule{})
	b.write("app/a.js")
	b.watch(Rule{})
	b.until("app/a.js")
	b.write("app/b.js")
	b.watch(Rule{Ignore: []string{"x"}})
	b.write("app/c.js")
	b.until("app/c.js")
}

func TestManyEventsAreOneCall(t *testing.T) {
	b := newBench(t, Options{})
	b.watch(Rule{Delay: 300 * time.Millisecond})
	began := time.Now()
	for i := range 500 {
		b.write(fmt.Sprintf("app/%d.js", i))
	}
	took := time.Since(began)
	got := b.next()
	if len(got) != someChanged {
		t.Errorf("told of %d paths, want %d: %v", len(got), someChanged, got)
	}
	if since := time.Since(began); since < Quiet+300*time.Millisecond {
		t.Errorf("called after %v, before quiet and delay", since)
	}
	if took < Quiet { // else there may rightly have been a pause
		b.only("app/z.js")
	}
}

func TestChangesWhileFireRuns(t *testing.T) {
	started, release := make(chan fire), make(chan struct{})
	b := newBench(t, Options{Fire: func(name string, changed []string) {
		started <- fire{name, changed}
		<-release
	}})
	b.watch(Rule{})
	b.write("app/a.js")
	<-started
	b.write("app/b.js")
	b.write("app/c.js")
	b.w.Sync(map[string]Rule{}) // as a restart might
	b.watch(Rule{})
	b.write("app/d.js")
	select {
	case f := <-started:
		t.Fatalf("called for %v while it runs", f.changed)
	case <-time.After(3 * Quiet):
	}
	release <- struct{}{}
	f := <-started
	if want := []string{b.path("app/d.js")}; !slices.Equal(f.changed, want) {
		t.Errorf("changed: %v, want %v", f.changed, want)
	}
	release <- struct{}{}
}

func TestLimitOfTheSystem(t *testing.T) {
	limit := fmt.Errorf("add: %w", errNoWatches)
	var mu sync.Mutex
	refuse := true
	b := newBench(t, Options{add: func(path string) error {
		mu.Lock()
		defer mu.Unlock()
		if refuse && strings.Contains(path, "/x") {
			return limit
		}
		return nil
	}})
	for i := range 10 {
		b.mkdir(fmt.Sprintf("app/x%d", i))
	}
	b.mkdir("app/ok")
	b.watch(Rule{})
	b.write("app/x1/a.js")
	b.only("app/ok/a.js")
	text := b.log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "refused=10") || !strings.Contains(text, "apps=[api]") {
		t.Errorf("log:\n%s", text)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	b.watch(Rule{Ignore: []string{"none"}})
	b.only("app/x1/a.js")
	if !strings.Contains(b.log.String(), "all folders are watched again") {
		t.Errorf("log:\n%s", b.log)
	}
}

func TestAnAppThatRestartsItselfIsNamed(t *testing.T) {
	n := 0
	var b *bench
	done := make(chan struct{})
	b = newBench(t, Options{Fire: func(string, []string) {
		if n++; n < 10 {
			b.write("app/cache.json")
		} else if n == 10 {
			close(done)
		}
	}})
	b.watch(Rule{})
	b.write("app/cache.json")
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("not called 10 times")
	}
	text := b.log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "cache.json") || !strings.Contains(text, "ignore_watch") {
		t.Errorf("log:\n%s", text)
	}
}

func TestCloseEndsAll(t *testing.T) {
	b := newBench(t, Options{})
	b.watch(Rule{})
	b.write("app/a.js")
	b.must(b.w.Close())
	b.w.Sync(map[string]Rule{})
	b.must(b.w.Close())
}

func TestUnvalidatedRuleIsLogged(t *testing.T) {
	b := newBench(t, Options{})
	b.w.Sync(map[string]Rule{"api": {Paths: []string{"relative"}}, "ok": {Paths: []string{b.app}, Base: b.app}})
	if !strings.Contains(b.log.String(), "not an absolute path") {
		t.Errorf("log:\n%s", b.log)
	}
	b.only("app/a.js")
}
