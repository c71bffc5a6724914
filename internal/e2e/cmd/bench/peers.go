package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

//go:embed peers
var peerFiles embed.FS

// installed says what to do if a program is missing.
func installed(program string) error {
	if program == "" {
		return nil
	}
	if _, err := find(program); err != nil {
		return fmt.Errorf("%w: %s is not installed; scripts/deps.sh %s does that as root, your package manager elsewhere", errSkip, program, program)
	}
	return nil
}

// find looks for a program, also where daemons are, which a user's PATH often lacks.
func find(program string) (string, error) {
	file, err := exec.LookPath(program)
	if err == nil {
		return file, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if file, sbinErr := exec.LookPath(filepath.Join(dir, program)); sbinErr == nil {
			return file, nil
		}
	}
	return "", err
}

// crew is what runs for comparison, without pace: some processes, their ports and
// a folder.
type crew struct {
	b      *bench
	dir    string
	ports  []*sandbox.Port
	leader []*exec.Cmd
}

// newCrew makes the folder and puts the files for the peers there.
func (b *bench) newCrew() (*crew, error) {
	dir, err := os.MkdirTemp("", "peer-")
	if err != nil {
		return nil, err
	}
	c := &crew{b: b, dir: dir}
	files, err := peerFiles.ReadDir("peers")
	for _, f := range files {
		text, readErr := peerFiles.ReadFile("peers/" + f.Name())
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(dir, f.Name()), text, 0o600))
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *crew) file(name string) string { return filepath.Join(c.dir, name) }

func (c *crew) reserve() (*sandbox.Port, error) {
	p, err := sandbox.ReservePort()
	if err == nil {
		c.ports = append(c.ports, p)
	}
	return p, err
}

// run starts a program in a session of its own, as pace does: the kernel shares the
// CPUs out among sessions first (sched_autogroup), so that it would else have less of
// them than its rival.
func (c *crew) run(ctx context.Context, env []string, files []*os.File, argv ...string) error {
	file, err := find(argv[0])
	if err != nil {
		return installed(argv[0])
	}
	cmd := exec.CommandContext(ctx, file, argv[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return proc.Kill(-cmd.Process.Pid) }
	if err := cmd.Start(); err != nil {
		return err
	}
	c.leader = append(c.leader, cmd)
	return nil
}

// close kills what runs and clears up.
func (c *crew) close() error {
	var err error
	for _, cmd := range c.leader {
		err = errors.Join(err, proc.Kill(-cmd.Process.Pid))
		_ = cmd.Wait() // killed
	}
	for _, p := range c.ports {
		err = errors.Join(err, p.Release())
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// peer runs something for comparison and measures it at its address.
func (b *bench) peer(ctx context.Context, start func(context.Context, *crew) (addr string, err error), measure func(ctx context.Context, addr string) error) (err error) {
	c, err := b.newCrew()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	addr, err := start(ctx, c)
	if err != nil {
		return err
	}
	if err := answers(ctx, addr); err != nil {
		return err
	}
	return measure(ctx, addr)
}

// sharers runs copies of a program that shares its port by itself.
func sharers(n int, env []string, argv func(*crew) []string) func(context.Context, *crew) (string, error) {
	return func(ctx context.Context, c *crew) (string, error) {
		port, err := c.reserve()
		if err != nil {
			return "", err
		}
		for range n {
			if err := c.run(ctx, append(env, "PORT="+strconv.Itoa(port.Number)), nil, argv(c)...); err != nil {
				return "", err
			}
		}
		return port.Addr(), nil
	}
}

// nodeSharers runs Node servers, each with a socket of its own on the same port.
func nodeSharers(ctx context.Context, c *crew) (addr string, err error) {
	port, err := c.reserve()
	if err != nil {
		return "", err
	}
	for range workers {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return "", err
		}
		socket := os.NewFile(uintptr(fd), "socket")
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Port: port.Number, Addr: [4]byte{127, 0, 0, 1}}))
		if err == nil {
			err = c.run(ctx, nil, []*os.File{socket}, "node", "--require", c.file("reuseport.js"), c.b.example("node/server.js"))
		}
		if err := errors.Join(err, socket.Close()); err != nil {
			return "", err
		}
	}
	return port.Addr(), nil
}

// behind runs two Node servers on ports of their own and a balancer in front of them.
func behind(balancer func(ctx context.Context, c *crew, front string, copies []string) error) func(context.Context, *crew) (string, error) {
	return func(ctx context.Context, c *crew) (string, error) {
		front, err := c.reserve()
		if err != nil {
			return "", err
		}
		var copies []string
		for range workers {
			port, err := c.reserve()
			if err != nil {
				return "", err
			}
			copies = append(copies, port.Addr())
			if err := c.run(ctx, []string{"PORT=" + strconv.Itoa(port.Number)}, nil, "node", c.b.example("node/server.js")); err != nil {
				return "", err
			}
		}
		// A balancer that found one of them missing would avoid it for a while.
		for _, addr := range copies {
			if err := answers(ctx, addr); err != nil {
				return "", err
			}
		}
		return front.Addr(), balancer(ctx, c, front.Addr(), copies)
	}
}

// nginx balances in turn, or by its `least_conn`.
func nginx(method string) func(context.Context, *crew, string, []string) error {
	return func(ctx context.Context, c *crew, front string, copies []string) error {
		var upstream strings.Builder
		if method != "" {
			fmt.Fprintf(&upstream, "%s; ", method)
		}
		for _, addr := range copies {
			fmt.Fprintf(&upstream, "server %s; ", addr)
		}
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;" // else its worker may not enter the folder
		}
		text := fmt.Sprintf(`%s
daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream copies { %s }
  server { listen %s; location / { proxy_pass http://copies; } }
}
`, user, upstream.String(), front)
		if err := os.WriteFile(c.file("nginx.conf"), []byte(text), 0o600); err != nil {
			return err
		}
		return c.run(ctx, nil, nil, "nginx", "-p", c.dir, "-c", c.file("nginx.conf"), "-e", c.file("error.log"))
	}
}

// haproxy balances by the method of this name.
func haproxy(method string) func(context.Context, *crew, string, []string) error {
	return func(ctx context.Context, c *crew, front string, copies []string) error {
		var servers strings.Builder
		for n, addr := range copies {
			fmt.Fprintf(&servers, "  server copy%d %s\n", n, addr)
		}
		text := fmt.Sprintf(`global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 30s
  timeout client 30s
  timeout server 30s
frontend front
  bind %s
  default_backend copies
backend copies
  balance %s
%s`, front, method, servers.String())
		if err := os.WriteFile(c.file("haproxy.cfg"), []byte(text), 0o600); err != nil {
			return err
		}
		return c.run(ctx, nil, nil, "haproxy", "-db", "-q", "-f", c.file("haproxy.cfg"))
	}
}

// The policies of Node's cluster module: the primary deals connections out, or its
// workers accept from the shared socket.
const (
	nodeDeals  = "rr"
	nodeShares = "none"
)

// nodeCluster runs the server under Node's own cluster module.
func nodeCluster(policy string) func(context.Context, *crew) (string, error) {
	return func(ctx context.Context, c *crew) (string, error) {
		port, err := c.reserve()
		if err != nil {
			return "", err
		}
		env := []string{"PORT=" + strconv.Itoa(port.Number), "WORKERS=" + strconv.Itoa(workers), "NODE_CLUSTER_SCHED_POLICY=" + policy}
		return port.Addr(), c.run(ctx, env, nil, "node", c.b.example("node/cluster-by-hand.js"))
	}
}

// peerFolder is a crew of whom only the files are wanted.
func (b *bench) peerFolder(use func(*crew) error) (err error) {
	c, err := b.newCrew()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return use(c)
}
