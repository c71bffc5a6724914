//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary plays every part: keeper, daemon, and the programs that run. What
// it plays is its first argument; variables of the environment choose the manner.
const (
	envDaemon   = "KEEPER_TEST_DAEMON"
	envFallback = "KEEPER_TEST_NO_ORPHANAGE"
	envHangUp   = "KEEPER_TEST_HANG_UP"
	envFront    = "KEEPER_TEST_FRONT" // a shell command, in front of the keeper
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		parts := map[string]func() error{"__keeper": playKeeper, "__daemon": playDaemon, "__run": playProgram}
		if play := parts[os.Args[1]]; play != nil {
			if err := play(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	// The race detector makes each process wait for a second at its exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func playKeeper() error {
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE, unix.SIGUSR1) // which its children must not
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	hangUp, _ := time.ParseDuration(os.Getenv(envHangUp))
	var front *Front
	if script := os.Getenv(envFront); script != "" {
		front = &Front{Argv: []string{"/bin/sh", "-c", script}}
		defer func() {
			if front.Status != nil {
				fmt.Println("front:", describe(*front.Status))
			}
		}()
	}
	return run(context.Background(), Options{
		Home: os.Getenv("PACELINE_HOME"), Daemon: []string{exe, "__daemon"}, Log: os.Stderr, Front: front,
	}, tuning{noOrphanage: os.Getenv(envFallback) != "", hangUp: hangUp})
}

// playDaemon is a daemon that hands its wire to whoever connects to the API socket,
// so that a test can be the daemon, and lives until it is killed.
func playDaemon() error {
	switch os.Getenv(envDaemon) {
	case "dies":
		return errors.New("this daemon dies")
	case "spawns":
		return playSpawner()
	case "stays": // whatever asks it to end
		signal.Ignore(unix.SIGTERM)
		fmt.Println("daemon's own output")
		select {}
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	listener, err := net.FileListener(os.NewFile(listenerFD, "api"))
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if line, err := io.ReadAll(io.LimitReader(conn, 5)); err == nil && string(line) == "wire\n" {
					_, _, _ = conn.(*net.UnixConn).WriteMsgUnix([]byte{1}, unix.UnixRights(wireFD), nil)
				}
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	<-terminated
	return nil
}

// world is a keeper with its home, and a test as its daemon.
type world struct {
	t    *testing.T
	home string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper") //nolint:usetesting // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: dir}
	t.Cleanup(func() {
		if pid := w.pid(keeperPIDFile); pid > 0 {
			_ = unix.Kill(pid, unix.SIGTERM)
			w.gone(pid)
		}
		if data, _ := os.ReadFile(filepath.Join(dir, logFile)); os.Getenv(envFallback) == "" && strings.Contains(string(data), "main thread") {
			t.Error("a keeper did not get the main thread")
		}
		for _, pid := range w.marked() {
			t.Errorf("process %d is left: %s", pid, cmdline(pid))
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if t.Failed() {
			data, _ := os.ReadFile(filepath.Join(dir, logFile))
			t.Logf("%s:\n%s", logFile, data)
		}
		_ = os.RemoveAll(dir)
	})
	return w
}

// start brings up the keeper and connects as its daemon.
func start(t *testing.T) (*world, *Client, *Inventory) {
	t.Helper()
	w := newWorld(t)
	w.ensure()
	c, v := w.dial()
	return w, c, v
}

func (w *world) ensure() {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := Ensure(w.t.Context(), w.home, exe); err != nil {
		w.t.Fatal(err)
	}
}

// dial becomes the daemon that runs now, or the next one if that just dies.
func (w *world) dial() (*Client, *Inventory) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		c, v, err := w.tryDial()
		if err == nil {
			w.t.Cleanup(func() {
				v.close()
				_ = c.Close()
			})
			return c, v
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("dial: %v", err)
		}
	}
}

func (w *world) tryDial() (*Client, *Inventory, error) {
	conn, err := net.Dial("unix", filepath.Join(w.home, socketFile))
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("wire\n")); err != nil {
		return nil, nil, err
	}
	b, oob := make([]byte, 1), make([]byte, 64)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, n, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(b, oob)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:n])
	if err != nil || len(fds) != 1 {
		return nil, nil, fmt.Errorf("got descriptors %v: %w", fds, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return Dial(ctx, os.NewFile(uintptr(fds[0]), "wire"))
}

// killDaemon kills the daemon as it is, and returns its pid.
func (w *world) killDaemon() int {
	w.t.Helper()
	pid := w.pid(daemonPIDFile)
	if pid == 0 {
		w.t.Fatal("there is no daemon")
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	return pid
}

func (w *world) pid(file string) int {
	data, _ := os.ReadFile(filepath.Join(w.home, file))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

func (w *world) log() string {
	data, err := os.ReadFile(filepath.Join(w.home, logFile))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// marked are the processes that carry this home's marker.
func (w *world) marked() (list []int) {
	pids, err := processIDs()
	if err != nil {
		w.t.Fatal(err)
	}
	marker := newChildren(w.home, nil).marker
	for _, pid := range pids {
		environ, _ := os.ReadFile(procPath(pid, "environ"))
		if strings.Contains("\x00"+string(environ), "\x00"+marker) {
			list = append(list, pid)
		}
	}
	return list
}

// gone waits until a process has ended; that of a child is a zombie, which counts.
func (w *world) gone(pid int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("process %d has ended", pid), func() bool {
		st, ok := readStat(pid)
		if ok && st.dead {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		return !ok || st.dead
	})
}

// eventually waits for something that no event tells.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func cmdline(pid int) string {
	data, _ := os.ReadFile(procPath(pid, "cmdline"))
	return strings.ReplaceAll(string(data), "\x00", " ")
}

// next returns the next event.
func next(t *testing.T, c *Client) Event {
	t.Helper()
	select {
	case e, ok := <-c.Events():
		if !ok {
			t.Fatal("events ended")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
	panic("not reached")
}

// exits waits for a process's Exited and Gone, which must come in this order.
func exits(t *testing.T, c *Client, key string) Exit {
	t.Helper()
	var exit *Exit
	for {
		e := next(t, c)
		switch {
		case e.Exited != nil && e.Exited.Key == key:
			exit = e.Exited
		case e.Gone == key:
			if exit == nil {
				t.Fatalf("%s is gone before it exited", key)
			}
			return *exit
		}
	}
}

// shell is a process that runs a shell command.
func shell(key, command string) Spawn {
	return Spawn{Key: key, Path: "/bin/sh", Argv: []string{"sh", "-c", command}, Env: []string{"PATH=/bin:/usr/bin"}}
}

// program is a process that runs this test binary.
func program(t *testing.T, key string, args ...string) Spawn {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Spawn{Key: key, Path: exe, Argv: append([]string{"program", "__run"}, args...), Env: os.Environ()}
}

func spawn(t *testing.T, c *Client, s Spawn) Process {
	t.Helper()
	p, err := c.Spawn(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// output is a pipe; what is written to it can be read as text.
func output(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return read, write
}
