package drain

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// helperEnv makes the test binary play another program.
const helperEnv = "DRAIN_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "server":
		os.Exit(helperServer())
	case "deaf":
		os.Exit(helperDeaf())
	default:
		os.Exit(99)
	}
}

// server is a program that serves the listening socket that it got as descriptor 3. A
// request for /250 is answered after 250 ms, one for /big with much, one for /pieces in
// pieces, one for /told when tell says so, and one for /never not at all.
type server struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	listener *os.File
	addr     string
	port     uint16
}

func (s *server) options() Options {
	return Options{PIDs: []int{s.cmd.Process.Pid}, Ports: []uint16{s.port}, Queues: true}
}

// tell has the deaf server accept one connection, and the other answer one /told.
func (s *server) tell(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		t.Fatal(err)
	}
}

func (s *server) kill() {
	_ = unix.Kill(-s.cmd.Process.Pid, unix.SIGKILL)
	_ = s.cmd.Wait()
}

// listen opens a listening socket. It is the test's, as one of ours is the keeper's: a
// program that ends does not close it.
func listen(t testing.TB, address string) (f *os.File, addr string, port uint16) {
	t.Helper()
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	l, err := c.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err = l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String(), uint16(l.Addr().(*net.TCPAddr).Port)
}

// serve starts a command as a server on an address; its first line of output says that
// it is ready.
func serve(t testing.TB, cmd *exec.Cmd, address string) *server {
	t.Helper()
	s := &server{cmd: cmd}
	s.listener, s.addr, s.port = listen(t, address)
	s.start(t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	cmd := s.cmd
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{s.listener}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%v: %q, %v", cmd.Args, line, err)
	}
}

func helper(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe") // the path may be closed to nobody
	cmd.Env = append(os.Environ(), helperEnv+"="+role)
	return cmd
}

const bigSize = 8 << 20

// helperServer is Go's server, without a handler for any signal.
func helperServer() int {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return 1
	}
	fmt.Println("ready")
	told := make(chan bool)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			told <- true
		}
	}()
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch name := r.URL.Path[1:]; name {
		case "big":
			w.Header().Set("Content-Length", strconv.Itoa(bigSize))
			_, _ = w.Write(make([]byte, bigSize))
		case "pieces":
			for range 20 {
				_, _ = io.WriteString(w, "piece\n")
				_ = http.NewResponseController(w).Flush()
				<-time.After(5 * time.Millisecond)
			}
		case "never":
			<-r.Context().Done()
		case "told":
			<-told
			_, _ = io.WriteString(w, "done\n")
		default:
			n, _ := strconv.Atoi(name)
			if n > 0 {
				<-time.After(time.Duration(n) * time.Millisecond)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "done\n")
		}
	}
	_ = http.Serve(l, http.HandlerFunc(handler))
	return 1
}

// helperDeaf accepts as many connections as it is told by lines on stdin, and reads
// nothing.
func helperDeaf() int {
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if _, _, err := unix.Accept4(3, unix.SOCK_CLOEXEC); err != nil {
			return 1
		}
	}
	return 0
}

func pythonServer(t testing.TB) *exec.Cmd {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs Python 3 (apt-get install python3)")
	}
	return exec.Command(path, "-c", `
import http.server, socket, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        name = self.path[1:]
        if name.isdigit(): time.sleep(int(name) / 1000)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"done\n")
    def log_message(self, *a): pass
class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=3)
    def server_bind(self): pass
print("ready", flush=True)
Server().serve_forever()
`)
}

func nodeServer(t testing.TB) *exec.Cmd {
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node (apt-get install nodejs)")
	}
	return exec.Command(path, "-e", `
require('http').createServer((q, a) => {
    const n = Number(q.url.slice(1)) || 0
    const end = () => a.end('done\n')
    n > 0 ? setTimeout(end, n) : end()
}).listen({fd: 3}, () => console.log('ready'))
`)
}

// forkingServer has two children accept, as worker processes do.
func forkingServer(t testing.TB) *exec.Cmd {
	cmd := pythonServer(t)
	cmd.Args[2] = strings.Replace(cmd.Args[2], `print("ready"`, `import os
for _ in range(2):
    if os.fork() == 0: Server().serve_forever()
print("ready"`, 1)
	cmd.Args[2] = strings.Replace(cmd.Args[2], "\nServer().serve_forever()\n", "\nos.wait()\n", 1)
	return cmd
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}
