// Package sandbox runs a pace binary in a private home that leaves nothing behind.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"paceline/internal/e2e/proc"

	"golang.org/x/sys/unix"
)

// mark is a variable that every process of a sandbox inherits. PACELINE_HOME is
// not enough: pace does not hand it on to the apps.
const mark = "PACE_SANDBOX"

// Sandbox is one home with all that runs in it.
type Sandbox struct {
	Bin  string   // absolute path of the binary
	Dir  string   // a folder of its own, removed by Close
	Home string   // PACELINE_HOME, inside Dir
	Env  []string // of every command

	user *syscall.Credential // who runs every command; nil: the caller
}

// New makes a home for the binary. Env is added to the environment of the caller.
func New(bin string, env ...string) (*Sandbox, error) { return NewAs(nil, bin, env...) }

// Nobody is a user without any right. Only root can run something as it.
func Nobody() *syscall.Credential { return &syscall.Credential{Uid: 65534, Gid: 65534} }

// NewAs is New for another user, to whom the folder then belongs. The user must be
// able to reach the binary and the folder for temporary files.
func NewAs(user *syscall.Credential, bin string, env ...string) (*Sandbox, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("find the pace binary: %w", err)
	}
	// Short, as the path of a unix socket is bounded.
	dir, err := os.MkdirTemp("", "pace-")
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Bin: bin, Dir: dir, Home: filepath.Join(dir, "home"), user: user}
	if user != nil {
		if err := os.Chown(dir, int(user.Uid), int(user.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		env = append([]string{"HOME=" + dir}, env...)
	}
	s.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PACELINE_") || strings.HasPrefix(kv, "NODE_") || strings.HasPrefix(kv, mark+"=")
	})
	s.Env = append(append(s.Env, s.marks()...), env...)
	return s, nil
}

// Marks are the variables by which the processes of a home are found again.
func Marks(home string) []string {
	return []string{"PACELINE_HOME=" + home, mark + "=" + home}
}

func (s *Sandbox) marks() []string { return Marks(s.Home) }

// Command returns the command `pace args...`, not started.
func (s *Sandbox) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.Bin, args...)
	cmd.Env = s.Env
	cmd.SysProcAttr = s.attributes()
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (s *Sandbox) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Credential: s.user} }

// LookPath finds a program as the user of the home would, who may not search every
// folder of the caller's PATH. Errors: exec.ErrNotFound, wrapped.
func (s *Sandbox) LookPath(ctx context.Context, program string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `command -v "$1"`, "sh", program)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = s.Env, s.Dir, s.attributes()
	out, err := cmd.Output()
	file := strings.TrimSpace(string(out))
	if err != nil || !filepath.IsAbs(file) {
		return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
	}
	return file, nil
}

// Pace runs `pace args...` and returns what it printed on stdout. The error of a
// failed command holds its stderr.
func (s *Sandbox) Pace(ctx context.Context, args ...string) (string, error) {
	cmd := s.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("pace %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Instance is what `pace jlist` tells of one instance, in PM2's shape.
type Instance struct {
	ID   int    `json:"pm_id"`
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Env  struct {
		Status   string `json:"status"`
		Restarts int    `json:"restart_time"`
		Uptime   int64  `json:"pm_uptime"` // when the process was started, in Unix milliseconds
		OutFile  string `json:"pm_out_log_path"`
		ErrFile  string `json:"pm_err_log_path"`
	} `json:"pm2_env"`
}

// Instances returns all instances, by id.
func (s *Sandbox) Instances(ctx context.Context) ([]Instance, error) {
	out, err := s.Pace(ctx, "jlist")
	if err != nil {
		return nil, err
	}
	var list []Instance
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("pace jlist: %w", err)
	}
	slices.SortFunc(list, func(a, b Instance) int { return a.ID - b.ID })
	return list, nil
}

// PIDs returns the pids of all instances, by id; 0 for one that does not run.
func (s *Sandbox) PIDs(ctx context.Context) ([]int, error) {
	list, err := s.Instances(ctx)
	pids := make([]int, len(list))
	for i, in := range list {
		pids[i] = in.PID
	}
	return pids, err
}

// DaemonPID returns the pid of the daemon.
func (s *Sandbox) DaemonPID() (int, error) { return proc.ReadPID(filepath.Join(s.Home, "daemon.pid")) }

// KeeperPID returns the pid of the keeper.
func (s *Sandbox) KeeperPID() (int, error) { return proc.ReadPID(filepath.Join(s.Home, "keeper.pid")) }

// NextDaemon waits until a daemon other than old runs and returns its pid.
func (s *Sandbox) NextDaemon(ctx context.Context, old int) (pid int, err error) {
	err = proc.Poll(ctx, time.Millisecond, func() (bool, error) {
		pid, err = s.DaemonPID()
		return err == nil && pid != old && proc.Alive(pid), nil
	})
	return pid, err
}

// WaitStatus waits until n instances have this status and returns all of them.
func (s *Sandbox) WaitStatus(ctx context.Context, n int, status string) (list []Instance, err error) {
	err = proc.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		list, err = s.Instances(ctx)
		have := 0
		for _, in := range list {
			if in.Env.Status == status {
				have++
			}
		}
		return have == n, err
	})
	return list, err
}

// Processes returns all processes that belong to the home.
func (s *Sandbox) Processes() ([]proc.Process, error) { return proc.Marked(s.marks()...) }

// Close ends everything and removes the folder. Its error names the processes
// that `pace kill` had left; they are killed then. It does so also if ctx has ended.
func (s *Sandbox) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	kill := s.Command(ctx, "kill")
	kill.SysProcAttr.Setpgid = true // a second Ctrl-C must not end it
	out, err := kill.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("pace kill: %w: %s", err, bytes.TrimSpace(out))
	}
	return errors.Join(err, Reap(ctx, s.Home), os.RemoveAll(s.Dir))
}

// Reap kills what still runs of a home that should have ended. Its error names it.
func Reap(ctx context.Context, home string) error {
	var left []proc.Process
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := proc.Poll(ctx, 20*time.Millisecond, func() (ok bool, err error) {
		left, err = proc.Marked(Marks(home)...)
		return len(left) == 0, err
	}); err == nil {
		return nil
	}
	err := fmt.Errorf("%d processes are left of %s", len(left), home)
	// The keeper first: it would start the daemon again.
	slices.SortFunc(left, func(a, b proc.Process) int { return keeperFirst(a) - keeperFirst(b) })
	for _, p := range left {
		err = errors.Join(err, errors.New(p.String()), proc.Kill(p.PID))
	}
	return err
}

func keeperFirst(p proc.Process) int {
	if strings.Contains(p.Command, "__keeper") {
		return 0
	}
	return 1
}

// Port is a TCP port that nobody else gets while it is reserved.
type Port struct {
	Number int
	socket int
}

// ReservePort finds a free port and keeps it from being handed out to others:
// a bound socket with SO_REUSEADDR that does not listen lets a server that sets
// SO_REUSEADDR too (node, Go and Paceline do) bind and listen beside it.
func ReservePort() (*Port, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p := &Port{socket: fd}
	if err := p.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("reserve a port: %w", err), p.Release())
	}
	return p, nil
}

func (p *Port) bind() error {
	for _, opt := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0},
	} {
		if err := unix.SetsockoptInt(p.socket, opt.level, opt.name, opt.value); err != nil {
			return err
		}
	}
	if err := unix.Bind(p.socket, &unix.SockaddrInet6{}); err != nil {
		return err
	}
	name, err := unix.Getsockname(p.socket)
	if err != nil {
		return err
	}
	a, ok := name.(*unix.SockaddrInet6)
	if !ok {
		return syscall.EAFNOSUPPORT
	}
	p.Number = a.Port
	return nil
}

// Addr is where to reach it: 127.0.0.1 and the port.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(p.Number)) }

// Release gives the port back.
func (p *Port) Release() error { return unix.Close(p.socket) }
