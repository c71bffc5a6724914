package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// program is a server that knows nothing of pace. It listens on 127.0.0.1, or on
// every address, at $PORT, and answers "instance I process P": its
// NODE_APP_INSTANCE, and the process that has answered, which may be a child.
type program struct {
	name  string
	needs []string // programs, as scripts/deps.sh names them
	// build makes what is to be run, in a folder, once for all programs of a tool.
	// Nil: there is nothing to make.
	tool  string
	build func(ctx context.Context, dir string) error
	// start is what follows `pace start`. It runs in a copy of testdata/programs.
	start func(port int, built string) []string
	env   []string
	// all: it goes through every test, not only through the first two.
	all bool
}

func servers() []program {
	words := func(w ...string) func(int, string) []string {
		return func(int, string) []string { return w }
	}
	line := func(format string) func(int, string) []string {
		return func(port int, _ string) []string { return []string{fmt.Sprintf(format, port)} }
	}
	golang := func(args ...string) func(int, string) []string {
		return func(_ int, built string) []string { return append([]string{filepath.Join(built, "server")}, args...) }
	}
	java := func(class string) func(int, string) []string {
		return func(_ int, built string) []string {
			return []string{"java", "--", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m", "-cp", built, class}
		}
	}
	return []program{
		{name: "node http", needs: []string{"node"}, start: words("server.js"), all: true},
		{name: "go naive", tool: "go", build: buildGo, start: golang(), all: true},
		{name: "go naive, 300 ms", tool: "go", build: buildGo, start: golang(), env: []string{"DELAY=300"}},
		{name: "go graceful", tool: "go", build: buildGo, start: golang("--", "-graceful")},
		{name: "python HTTPServer", needs: []string{"python3"}, start: words("server.py", "--", "HTTPServer")},
		{name: "python ThreadingHTTPServer", needs: []string{"python3"}, start: words("server.py", "--", "ThreadingHTTPServer"), all: true},
		{name: "gunicorn -w 2", needs: []string{"gunicorn"}, start: line("gunicorn -w 2 -b 127.0.0.1:%d web:wsgi")},
		{name: "uvicorn", needs: []string{"uvicorn"}, start: line("uvicorn --port %d --no-access-log web:asgi")},
		{name: "nginx, 2 workers", needs: []string{"nginx"}, start: words("nginx.sh")},
		{name: "puma", needs: []string{"puma"}, start: words("puma", "--", "-C", "puma.rb")},
		{name: "puma -w 2", needs: []string{"puma"}, start: words("puma", "--", "-w", "2", "-C", "puma.rb")},
		{name: "ruby TCPServer", needs: []string{"ruby"}, start: words("server.rb")},
		{name: "php -S", needs: []string{"php"}, start: line("php -S 127.0.0.1:%d router.php")},
		{name: "java HttpServer", needs: []string{"jdk"}, tool: "jdk", build: buildJava, start: java("BuiltIn")},
		{name: "java selector", needs: []string{"jdk"}, tool: "jdk", build: buildJava, start: java("Nio")},
	}
}

const programSources = "testdata/programs"

func buildGo(ctx context.Context, dir string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "server"), filepath.Join(programSources, "server.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // a static binary: nothing can be preloaded into it
	return output(build)
}

func buildJava(ctx context.Context, dir string) error {
	return output(exec.CommandContext(ctx, "javac", "-d", dir,
		filepath.Join(programSources, "BuiltIn.java"), filepath.Join(programSources, "Nio.java")))
}

func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// workshop builds for each tool once, whoever asks first.
type workshop struct {
	mu   sync.Mutex // guards done, and is held while building
	done map[string]error
}

// built returns the folder with what a tool has built.
func (w *workshop) built(t *testing.T, tool string, build func(context.Context, string) error) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Join(os.Getenv(binaries), "programs", tool)
	err, made := w.done[tool]
	if !made {
		if err = os.MkdirAll(dir, 0o755); err == nil {
			err = build(context.WithoutCancel(t.Context()), dir)
		}
		if w.done == nil {
			w.done = map[string]error{}
		}
		w.done[tool] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// without ends a test that has not what it needs: in CI, where it could be
// installed, that is a failure, or nobody would ever notice.
func without(t *testing.T, err error, need string) {
	t.Helper()
	if !errors.Is(err, exec.ErrNotFound) {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v; as root on Debian `scripts/deps.sh %s` installs it", err, need)
	if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
		t.Fatal(text)
	}
	t.Skip(text)
}
