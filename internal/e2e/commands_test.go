package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// patience bounds whatever a script waits for.
const patience = time.Minute

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are the words that the scripts have beyond testscript's own. The
// README in testdata describes them.
func commands() map[string]command {
	return map[string]command{
		"http":       cmdHTTP,
		"load":       cmdLoad,
		"pids":       cmdPIDs,
		"same":       cmdSame,
		"different":  cmdDifferent,
		"alive":      cmdAlive,
		"signal":     cmdSignal,
		"killdaemon": cmdKillDaemon,
		"powercut":   cmdPowerCut,
		"waitfor":    cmdWaitFor,
		"scrub":      cmdScrub,
		"pty":        cmdPTY,
		"tmpfs":      cmdTmpfs,
		"match":      cmdMatch,
		"many":       cmdMany,
		"memory":     cmdMemory,
		"slowreader": cmdSlowReader,
		"promlint":   cmdPromLint,
	}
}

func stateOf(ts *testscript.TestScript) *state {
	s, ok := ts.Value(stateKey{}).(*state)
	if !ok {
		ts.Fatalf("no state")
	}
	return s
}

// need checks the number of arguments.
func need(ts *testscript.TestScript, args []string, n int, usage string) {
	if len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// pace runs the binary under test as the script would.
func pace(ts *testscript.TestScript, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv(binaries), "pace"), args...)
	cmd.Env = append(os.Environ(), sandbox.Marks(stateOf(ts).home)...)
	cmd.Env = append(cmd.Env, environment(stateOf(ts).dir)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("pace %s: %w: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, err
}

func instances(ts *testscript.TestScript) []sandbox.Instance {
	out, err := pace(ts, "jlist")
	ts.Check(err)
	var list []sandbox.Instance
	ts.Check(json.Unmarshal(out, &list))
	slices.SortFunc(list, func(a, b sandbox.Instance) int { return a.ID - b.ID })
	return list
}

// http [-n N] [-t TIMEOUT] [-from ADDRESS] PORT[/PATH]: asks on connections of its
// own and prints the answers. With "!", at least one must fail.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	n, timeout := 1, patience
	var from net.Addr
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		var err error
		switch args[0] {
		case "-n":
			n, err = strconv.Atoi(args[1])
		case "-t":
			timeout, err = time.ParseDuration(args[1])
		case "-from":
			from = &net.TCPAddr{IP: net.ParseIP(args[1])}
		default:
			ts.Fatalf("http: unknown option %s", args[0])
		}
		ts.Check(err)
		args = args[2:]
	}
	need(ts, args, 1, "http [-n N] [-t TIMEOUT] [-from ADDRESS] PORT[/PATH]")
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: from}).DialContext}
	where := args[0]
	url := "http://127.0.0.1:" + where
	if strings.HasPrefix(where, "/") { // a unix socket
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", where)
		}
		url = "http://unix/"
	}
	client := &http.Client{Transport: transport, Timeout: timeout}
	for range n {
		response, err := client.Get(url)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil && response.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %s", response.Status)
			}
		}
		if err != nil {
			if neg {
				ts.Logf("%v", err)
				return
			}
			ts.Fatalf("http %s: %v", where, err)
		}
		ts.Stdout().Write(body)
	}
	if neg {
		ts.Fatalf("http %s: all %d answered", where, n)
	}
}

// running is a load in the background.
type running struct {
	cancel context.CancelFunc
	result chan load.Result
}

// load start NAME PORT[/PATH] new|keep, and later: load stop NAME [KIND].
// Stopping prints how many requests were made and fails if one of them failed, or if
// one failed in that way: "connection refused".
func cmdLoad(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "load start NAME PORT[/PATH] new|keep | load stop NAME [KIND]")
	s := stateOf(ts)
	switch args[0] {
	case "start":
		need(ts, args, 4, "load start NAME PORT[/PATH] new|keep")
		port, path, _ := strings.Cut(args[2], "/")
		ctx, cancel := context.WithCancel(context.Background())
		r := &running{cancel: cancel, result: make(chan load.Result, 1)}
		if s.loads == nil {
			s.loads = map[string]*running{}
		}
		s.loads[args[1]] = r
		c := load.Config{Addr: "127.0.0.1:" + port, Path: "/" + path, KeepAlive: args[3] == "keep", Clients: 4, Timeout: patience}
		begun := make(chan struct{}, 100)
		c.Each = func(load.Request) {
			select {
			case begun <- struct{}{}:
			default:
			}
		}
		go func() { r.result <- load.Run(ctx, c) }()
		for range 20 { // it really runs
			select {
			case <-begun:
			case <-time.After(patience):
				ts.Fatalf("load %s: no request in %v", args[1], patience)
			}
		}
	case "stop":
		r := s.loads[args[1]]
		if r == nil {
			ts.Fatalf("no load %s", args[1])
		}
		r.cancel()
		result := <-r.result
		fmt.Fprintln(ts.Stdout(), result)
		ts.Logf("load %s: %v", args[1], result)
		failed := result.Failed
		if len(args) > 2 {
			failed = result.Errors[args[2]]
		}
		if neg == (failed == 0) {
			ts.Fatalf("load %s: %v", args[1], result)
		}
	default:
		ts.Fatalf("load %s: neither start nor stop", args[0])
	}
}

// pids VARIABLE [NAME...]: the pids of all instances, or of some apps, as a variable.
func cmdPIDs(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1, "pids VARIABLE [NAME...]")
	var pids []string
	for _, in := range instances(ts) {
		if len(args) == 1 || slices.Contains(args[1:], in.Name) {
			pids = append(pids, strconv.Itoa(in.PID))
		}
	}
	ts.Setenv(args[0], strings.Join(pids, " "))
}

// same A B: the words of both are the same.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "same A B")
	if equal := args[0] == args[1]; equal == neg {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}

// different A B: as many words, and none of them in both.
func cmdDifferent(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "different A B")
	a, b := strings.Fields(args[0]), strings.Fields(args[1])
	ok := len(a) == len(b) && len(a) > 0
	for _, word := range a {
		ok = ok && !slices.Contains(b, word)
	}
	if ok == neg {
		ts.Fatalf("%q and %q", a, b)
	}
}

// alive PID...: all are alive; with "!", none is.
func cmdAlive(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "alive PID...")
	for word := range strings.FieldsSeq(strings.Join(args, " ")) {
		pid, err := strconv.Atoi(word)
		ts.Check(err)
		if proc.Alive(pid) == neg {
			p, _ := proc.Read(pid)
			ts.Fatalf("%v: alive is %v", p, !neg)
		}
	}
}

// signal NAME ID: sends a signal to the process of an instance.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2, "signal NAME ID")
	sig := unix.SignalNum(args[0])
	if sig == 0 {
		ts.Fatalf("unknown signal %s", args[0])
	}
	for _, in := range instances(ts) {
		if strconv.Itoa(in.ID) == args[1] && in.PID != 0 {
			ts.Check(proc.Signal(in.PID, sig))
			return
		}
	}
	ts.Fatalf("instance %s has no process", args[1])
}

// killdaemon: kill -9, and wait until the next one runs.
func cmdKillDaemon(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file := filepath.Join(stateOf(ts).home, "daemon.pid")
	old, err := proc.ReadPID(file)
	ts.Check(err)
	ts.Check(proc.Kill(old))
	begun := time.Now()
	ts.Check(proc.Poll(ctx, time.Millisecond, func() (bool, error) {
		pid, err := proc.ReadPID(file)
		return err == nil && pid != old && proc.Alive(pid), nil
	}))
	ts.Logf("next daemon after %v", time.Since(begun))
}

// powercut: kill -9 of everything of the home at once, as when the machine loses its
// power: keeper, daemon and apps. What is done next starts them anew.
func cmdPowerCut(ts *testscript.TestScript, _ bool, _ []string) {
	s := stateOf(ts)
	keeper, err := proc.ReadPID(filepath.Join(s.home, "keeper.pid"))
	ts.Check(err)
	ts.Check(proc.Kill(keeper)) // first, as it would start the daemon again
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(proc.Poll(ctx, time.Millisecond, func() (bool, error) {
		left, err := proc.Marked(sandbox.Marks(s.home)...)
		for _, p := range left {
			_ = proc.Kill(p.PID) // it may have ended by itself
		}
		return len(left) == 0, err
	}))
}

// memory MEGABYTES: keeper and daemon hold less than that in memory. With the
// race detector they need several times what they need without.
func cmdMemory(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1, "memory MEGABYTES")
	limit, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	sum := int64(0)
	for _, name := range []string{"keeper.pid", "daemon.pid"} {
		pid, err := proc.ReadPID(filepath.Join(stateOf(ts).home, name))
		ts.Check(err)
		rss, err := proc.RSS(pid)
		ts.Check(err)
		sum += rss
	}
	ts.Logf("keeper and daemon: %d MB", sum>>20)
	if sum > limit<<20 {
		ts.Fatalf("keeper and daemon hold %d MB, more than %d", sum>>20, limit)
	}
}

// slowreader ARGS...: runs pace in the background with an output that nobody
// reads, until the script ends.
func cmdSlowReader(ts *testscript.TestScript, _ bool, args []string) {
	s := stateOf(ts)
	cmd := exec.Command(filepath.Join(os.Getenv(binaries), "pace"), args...)
	cmd.Env = append(os.Environ(), sandbox.Marks(s.home)...)
	cmd.Env = append(cmd.Env, environment(s.dir)...)
	read, write, err := os.Pipe()
	ts.Check(err)
	cmd.Stdout = write
	ts.Check(cmd.Start())
	ts.Check(write.Close())
	s.ends = append(s.ends, func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait()
		return errors.Join(err, read.Close())
	})
}

// scrub FROM TO: copies stdout, stderr or a file with all that differs from run
// to run replaced: pids, times, sizes, folders. Runs of blanks become two.
func cmdScrub(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2, "scrub FROM TO")
	text := ts.ReadFile(args[0])
	s := stateOf(ts)
	for _, r := range []struct{ old, new string }{
		{s.home, "$PACELINE_HOME"},
		{ts.Getenv("WORK"), "$WORK"},
		{ts.Getenv("EXAMPLES"), "$EXAMPLES"},
		{ts.Getenv("NODE"), "$NODE"},
		{programs(ts), "$PROGRAMS"},
	} {
		text = strings.ReplaceAll(text, r.old, r.new)
	}
	for n, p := range s.ports {
		text = regexp.MustCompile(fmt.Sprintf(`\b%d\b`, p.Number)).ReplaceAllString(text, "$$PORT"+strings.TrimPrefix(fmt.Sprint(n+1), "1"))
	}
	for _, r := range []struct{ pattern, with string }{
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`, "TIME"},
		{`\b\d\d:\d\d:\d\d\b`, "TIME"},
		{`\b\d+(\.\d+)?[kmg]?b\b`, "SIZE"},
		{`\b\d+(\.\d+)?%`, "CPU"},
		{`\b\d+(\.\d+)?(ms|s|m|h)\b`, "AGE"},
		{`"(pid|pm_uptime|created_at|memory|cpu)":[\d.]+`, `"$1":N`},
		{`"(unique_id|username)":"[^"]+"`, `"$1":"S"`},
		{`\bpid(s?) \d+\b`, "pid$1 PID"},
		{`( {2,})\d{2,7}( {2,})(online|launching|stopping)`, "${1}PID${2}${3}"},
		{`(?m)[ \t]{2,}`, "  "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

// programs is the folder of the helper programs.
func programs(ts *testscript.TestScript) string {
	file, err := exec.LookPath("sleeper")
	ts.Check(err)
	return filepath.Dir(file)
}

// pty WIDTH PROGRAM ARGS...: runs it on a terminal of this width and prints what that shows.
func cmdPTY(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "pty WIDTH PROGRAM ARGS...")
	width, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program := args[1]
	if program == "pace" {
		program = filepath.Join(os.Getenv(binaries), "pace")
	}
	cmd := exec.CommandContext(ctx, program, args[2:]...)
	cmd.Env = append(os.Environ(), sandbox.Marks(stateOf(ts).home)...)
	cmd.Env = append(cmd.Env, environment(stateOf(ts).dir)...)
	cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR="+ts.Getenv("NO_COLOR"))
	cmd.Dir = ts.MkAbs(".")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(width)})
	ts.Check(err)
	defer f.Close()
	var out bytes.Buffer
	_, _ = io.Copy(&out, f) // ends with EIO when the program has closed its side
	err = cmd.Wait()
	ts.Stdout().Write(bytes.ReplaceAll(out.Bytes(), []byte("\r\n"), []byte("\n")))
	if (err != nil) != neg {
		ts.Fatalf("%s: %v\n%s", strings.Join(args[1:], " "), err, out.Bytes())
	}
}

// tmpfs DIR BYTES: a file system of that size, gone at the end of the script.
func cmdTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2, "tmpfs DIR BYTES")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]); err != nil {
		ts.Fatalf("mount: %v", err)
	}
	s := stateOf(ts)
	s.mounts = append(s.mounts, dir)
}

// match VARIABLE PATTERN FILE: the first group of the pattern in stdout, stderr
// or a file becomes a variable.
func cmdMatch(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 3, "match VARIABLE PATTERN FILE")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile(args[2]))
	if len(found) < 2 {
		ts.Fatalf("no %s in:\n%s", args[1], ts.ReadFile(args[2]))
	}
	ts.Setenv(args[0], found[1])
}

// many N pace ARGS...: the same command N times at once. All must succeed.
func cmdMany(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 3, "many N pace ARGS...")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	failed := make(chan error, n)
	for range n {
		go func() {
			_, err := pace(ts, args[2:]...)
			failed <- err
		}()
	}
	for range n {
		if e := <-failed; e != nil && err == nil {
			err = e
		}
	}
	ts.Check(err)
}
