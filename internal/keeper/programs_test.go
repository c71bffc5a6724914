//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// playProgram is a program that a test runs.
func playProgram() error {
	switch os.Args[2] {
	case "ensure": // a command line that needs a keeper
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		return Ensure(context.Background(), os.Args[3], exe)
	case "state": // tells what it was started with
		return playState()
	case "hog":
		return playHog()
	case "listen": // makes a call that the traps of tests stop
		fmt.Printf("listen: %v\n", unix.Listen(-1, 0))
		return nil
	case "nested": // runs in a trap, and wants one
		_, err := newTrap(testFilter())
		fmt.Println(err)
		return nil
	case "unprivileged": // is a keeper's trap without rights, and its daemon
		return playUnprivileged()
	case "namespace":
		return playNamespace(os.Args[3])
	}
	return fmt.Errorf("no program %q", os.Args[2])
}

func playUnprivileged() error {
	runtime.LockOSThread() // most likely the main thread
	trap, err := newTrap(testFilter())
	if err != nil {
		return err
	}
	var threads int
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if status, err := os.ReadFile(task); err == nil && strings.Contains(string(status), "NoNewPrivs:\t1") {
			threads++
		}
	}
	fmt.Printf("no_new_privs %t, threads %d, child: ", trap.NoNewPrivs, threads)
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	var pid int
	trap.do(func() {
		pid, err = syscall.ForkExec(exe, []string{"program", "__run", "listen"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Env: os.Environ()})
	})
	if err != nil {
		return err
	}
	n, err := kernel.Receive(trap.notify)
	if err != nil {
		return err
	}
	if err := kernel.Send(trap.notify, kernel.Answer{ID: n.ID, Error: -int32(unix.EDQUOT)}); err != nil {
		return err
	}
	_, err = unix.Wait4(pid, nil, 0, nil)
	return err
}

// standardSignals are those below the real-time ones: what runs the tests may have
// had its reasons to ignore some of the latter, and that is handed down.
const standardSignals = 1<<31 - 1

// playState prints what a process inherits.
func playState() error {
	sid, err := unix.Getsid(0)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	mask := unix.Umask(0)
	target, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	var signals []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigIgn:") || strings.HasPrefix(line, "SigBlk:") {
			name, text, _ := strings.Cut(line, ":")
			set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			if err != nil {
				return err
			}
			signals = append(signals, fmt.Sprintf("%s:%016x", name, set&standardSignals))
		}
	}
	fmt.Printf("session=%t dir=%s umask=%04o stdin=%s key=%s uid=%d gid=%d signals=%v\n",
		sid == os.Getpid(), dir, mask, target, os.Getenv("PACELINE_KEY"), os.Getuid(), os.Getgid(), signals)
	return nil
}

// playHog moves into a memory cgroup and asks for more than it may have.
func playHog() error {
	if err := os.WriteFile(filepath.Join(os.Args[3], "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	var blocks [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		blocks = append(blocks, b)
		runtime.KeepAlive(blocks)
	}
}

// playSpawner is a daemon that starts processes, each with things to keep, until it
// is killed. It begins each daemon's life with a check of what it finds.
func playSpawner() error {
	c, v, err := Dial(context.Background(), os.NewFile(wireFD, "wire"))
	if err != nil {
		return err
	}
	found := map[string]int{}
	for _, p := range v.Processes {
		found[p.Key] += 100
	}
	for name, e := range v.Entries {
		key, _, _ := strings.Cut(name, "/")
		found[key]++
		if e.File == nil || string(e.Note) != name {
			return fmt.Errorf("entry %s: note %q, file %v", name, e.Note, e.File)
		}
	}
	verdict := "whole"
	for key, n := range found {
		if n != 102 {
			verdict = fmt.Sprintf("torn: %s %d", key, n)
		}
	}
	conn, err := net.Dial("unix", os.Getenv("KEEPER_TEST_REPORT"))
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "%d %d %s\n", os.Getpid(), len(found), verdict)
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("%d.%d", v.DaemonStarts, i)
		_, err := c.Spawn(context.Background(), Spawn{
			Key: key, Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, Files: []*os.File{f},
			Keep: []Named{
				{Name: key + "/a", Note: []byte(key + "/a"), File: f},
				{Name: key + "/b", Note: []byte(key + "/b"), File: f},
			},
		})
		if err != nil {
			return err
		}
	}
}

// playNamespace is the first process of a pid namespace in which numbers come
// round quickly. It is the one who starts the keeper there, and its daemon.
func playNamespace(home string) error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := os.WriteFile("/proc/sys/kernel/pid_max", []byte("400"), 0); err != nil {
		return fmt.Errorf("set pid_max: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := Ensure(context.Background(), home, exe); err != nil {
		return err
	}
	w := &world{home: home}
	c, _, err := w.tryDial()
	if err != nil {
		return err
	}
	burn := func() (pid int, err error) {
		pid, err = syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		if err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, err = unix.Wait4(pid, nil, 0, nil)
		}
		return pid, err
	}
	for pid := 0; pid < 310; { // below 300, numbers are used only once
		if pid, err = burn(); err != nil {
			return err
		}
	}
	// A tree whose leader has ended: its number stays taken, whatever comes.
	s := shell("tree", "setsid sleep 1000 & sleep 1000 & exit 0")
	tree, err := c.Spawn(context.Background(), s)
	if err != nil {
		return err
	}
	if e := <-c.Events(); e.Exited == nil || e.Exited.Left != 2 {
		return fmt.Errorf("leader's exit: got %+v, want 2 left", e.Exited)
	}
	single, err := c.Spawn(context.Background(), shell("single", "exit 0"))
	if err != nil {
		return err
	}
	<-c.Events()
	<-c.Events()

	var bystander *exec.Cmd // gets the number of the process that is gone
	for i := 0; bystander == nil; i++ {
		cmd := exec.Command("/bin/sleep", "1000")
		if err := cmd.Start(); err != nil {
			return err
		}
		switch cmd.Process.Pid {
		case tree.PID:
			return errors.New("the number of a held tree was used again")
		case single.PID:
			bystander = cmd
		default:
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if i > 1000 {
			return fmt.Errorf("number %d does not come round", single.PID)
		}
	}
	for _, scope := range []Scope{Leader, Tree} {
		if err := c.Signal("single", unix.SIGKILL, scope); !errors.Is(err, ErrGone) {
			return fmt.Errorf("signal to a process that is gone: got %w, want ErrGone", err)
		}
	}
	if err := c.Signal("tree", unix.SIGKILL, Tree); err != nil {
		return err
	}
	if e := <-c.Events(); e.Gone != "tree" {
		return fmt.Errorf("got %+v, want tree gone", e)
	}
	time.Sleep(20 * time.Millisecond) // for a stray signal to have arrived
	if pid, _ := unix.Wait4(bystander.Process.Pid, nil, unix.WNOHANG, nil); pid != 0 {
		return errors.New("a bystander was killed")
	}
	fmt.Println("safe")
	return nil
}
