// Package e2e tests pace from outside: the real binary, real processes, real sockets.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"paceline/internal/e2e/helper"
	"paceline/internal/e2e/sandbox"
)

// The versions that the two binaries give themselves.
const (
	version     = "1.0.0-test"
	nextVersion = "1.1.0-test"
)

// binaries is where TestMain has put what it built: pace, and in next/ the same
// as another version.
const binaries = "PACE_E2E_BIN"

func TestMain(m *testing.M) {
	programs := map[string]func(){}
	for _, name := range helper.Names() {
		programs[name] = func() {
			exe, err := os.Executable()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(helper.Run(name, helper.Call{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Exe: exe}))
		}
	}
	testscript.Main(withBinaries{m}, programs)
}

// withBinaries builds pace before the tests and removes it after them.
type withBinaries struct{ m *testing.M }

func (w withBinaries) Run() int {
	dir, err := os.MkdirTemp("", "pace-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for those who run it as somebody else
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for name, v := range map[string]string{"pace": version, "next/pace": nextVersion} {
		if err := buildPace(filepath.Join(dir, name), v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if err := os.Symlink("pace", filepath.Join(dir, "pm2")); err != nil { // answers as PM2 does
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The binary under test and the programs it runs must find nothing of the caller's.
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		ours := strings.HasPrefix(name, "PACELINE_NODE_") || strings.HasPrefix(name, "PACELINE_E2E_")
		if strings.HasPrefix(name, "PACELINE_") && !ours || strings.HasPrefix(name, "NODE_") || strings.HasPrefix(name, "pm_") || strings.HasPrefix(name, "PM2_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv(binaries, dir)
	return w.m.Run()
}

// buildPace builds the binary with the race detector, or for coverage.
func buildPace(file, v string) error {
	mode := []string{"-race", "-gcflags=modernc.org/...=-d=checkptr=0"} // see RACE in the Makefile
	if os.Getenv("PACE_COVER") != "" {
		mode = []string{"-cover", "-coverpkg=./..."}
	}
	args := slices.Concat([]string{"build"}, mode,
		[]string{"-buildvcs=false", "-ldflags", "-X main.version=" + v, "-o", file, "./cmd/pace"})
	build := exec.Command("go", args...)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// trouble is looked for when a home is left: races and panics of keeper and
// daemon would otherwise only stand in a file.
var trouble = regexp.MustCompile(`(?m)^(panic: |fatal error: |WARNING: DATA RACE|goroutine \d+ \[)`)

// environment is what every pace under test gets beyond its home. The race
// detector would else make each process sleep for a second at its end.
func environment(dir string) []string {
	env := []string{"GORACE=atexit_sleep_ms=0 exitcode=66 log_path=" + filepath.Join(dir, "race"), "GOTRACEBACK=all"}
	if cover := os.Getenv("PACE_COVER"); cover != "" {
		env = append(env, "GOCOVERDIR="+cover)
	}
	return env
}

// inspect returns what went wrong inside keeper and daemon of a home.
func inspect(dir, home string) error {
	var err error
	races, _ := filepath.Glob(filepath.Join(dir, "race.*"))
	for _, name := range append(races, filepath.Join(home, "pace.log")) {
		text, readErr := os.ReadFile(name)
		if readErr == nil && trouble.Match(text) {
			err = errors.Join(err, fmt.Errorf("%s:\n%s", name, text))
		}
	}
	return err
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setup,
		Cmds:                commands(),
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
	})
}

// setup gives a script a home of its own and clears it up behind it.
func setup(env *testscript.Env) error {
	// Not below $WORK, whose name may be longer than a socket's path can be.
	dir, err := os.MkdirTemp("", "pe-")
	if err != nil {
		return err
	}
	home := filepath.Join(dir, "h")
	s := &state{dir: dir, home: home}
	env.Values[stateKey{}] = s
	if err := os.Symlink(home, filepath.Join(env.WorkDir, "h")); err != nil {
		return err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return fmt.Errorf("%w; scripts/deps.sh node installs it", err)
	}
	path := os.Getenv(binaries) + ":" + os.Getenv("PATH")
	env.Vars = append(env.Vars, environment(dir)...)
	env.Vars = append(env.Vars, sandbox.Marks(home)...)
	env.Vars = append(env.Vars, "PATH="+path, "HOME="+env.WorkDir, "NODE="+node, "NEXT="+filepath.Join(os.Getenv(binaries), "next/pace"),
		"EXAMPLES="+filepath.Join(root, "examples/node"), "NPM="+packages(), "VERSION="+version, "NEXT_VERSION="+nextVersion, "LC_ALL=C", "TERM=xterm")
	for n := range 3 {
		port, err := sandbox.ReservePort()
		if err != nil {
			return err
		}
		s.ports = append(s.ports, port)
		env.Vars = append(env.Vars, fmt.Sprintf("PORT%s=%d", strings.TrimPrefix(fmt.Sprint(n+1), "1"), port.Number))
	}
	t, vars := env.T(), env.Vars
	env.Defer(func() {
		if err := s.clear(vars); err != nil {
			log, _ := os.ReadFile(filepath.Join(home, "pace.log"))
			t.Log(fmt.Sprintf("%v\npace.log:\n%s", err, log))
			os.RemoveAll(dir)
			t.FailNow()
		}
		os.RemoveAll(dir)
	})
	return nil
}

// stateKey finds a script's state among its values.
type stateKey struct{}

// state is what a script has beside its files.
type state struct {
	dir, home string
	ports     []*sandbox.Port
	loads     map[string]*running
	mounts    []string
	ends      []func() error // of what runs in the background
}

// clear ends the script's daemon as a user would, and then nothing may be left.
func (s *state) clear(env []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, r := range s.loads {
		r.cancel()
	}
	var err error
	for _, end := range s.ends {
		err = errors.Join(err, end())
	}
	if _, statErr := os.Stat(s.home); statErr == nil {
		kill := exec.CommandContext(ctx, filepath.Join(os.Getenv(binaries), "pace"), "kill")
		kill.Env = env
		if out, killErr := kill.CombinedOutput(); killErr != nil {
			err = fmt.Errorf("pace kill: %w: %s", killErr, bytes.TrimSpace(out))
		}
	}
	err = errors.Join(err, sandbox.Reap(ctx, s.home), inspect(s.dir, s.home))
	for _, dir := range s.mounts {
		err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
	}
	for _, p := range s.ports {
		err = errors.Join(err, p.Release())
	}
	return err
}

// packages is where scripts/apps.sh installs packages of npm's.
func packages() string {
	dir := cmp.Or(os.Getenv("PACELINE_E2E_NPM"), "../../.cache/apps/node_modules")
	dir, err := filepath.Abs(dir)
	if err != nil {
		panic(err)
	}
	return dir
}

// condition adds [root], [node:18] for "node is 18 or newer", and [npm:express] for
// "express is installed".
func condition(cond string) (bool, error) {
	if cond == "root" {
		return os.Geteuid() == 0, nil
	}
	if major, ok := strings.CutPrefix(cond, "node:"); ok {
		out, err := exec.Command("node", "-p", "+process.versions.node.split('.')[0] >= "+major).Output()
		return strings.TrimSpace(string(out)) == "true", err
	}
	if name, ok := strings.CutPrefix(cond, "npm:"); ok {
		_, err := os.Stat(filepath.Join(packages(), name, "package.json"))
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// newSandbox is setup for tests that are not scripts.
func newSandbox(t *testing.T, env ...string) *sandbox.Sandbox { return newSandboxAs(t, nil, env...) }

// newSandboxAs is newSandbox for another user.
func newSandboxAs(t *testing.T, user *syscall.Credential, env ...string) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.NewAs(user, filepath.Join(os.Getenv(binaries), "pace"), env...)
	if err != nil {
		t.Fatal(err)
	}
	box.Env = append(box.Env, environment(box.Dir)...)
	t.Cleanup(func() {
		log, _ := os.ReadFile(filepath.Join(box.Home, "pace.log"))
		err := errors.Join(inspect(box.Dir, box.Home), box.Close(context.Background()))
		if err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("pace.log:\n%s", cmp.Or(string(log), "(empty)"))
		}
	})
	return box
}
