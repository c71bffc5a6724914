package drain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// patience is for what must happen, however busy the machine is.
const patience = time.Minute

func limited(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, s *server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a request on a connection, and reads its answer.
func ask(t testing.TB, c net.Conn, path string) {
	t.Helper()
	send(t, c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, c)
}

func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// wantAnswered fails if the client's kernel has no answer yet: who waited has waited
// for too short.
func wantAnswered(t testing.TB, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = errors.Join(raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }), err)
	if err != nil || n == 0 {
		t.Errorf("%d bytes of an answer have come (%v); waited for too short", n, err)
	}
}

func readAnswer(t testing.TB, c net.Conn) {
	t.Helper()
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, a.Body)
		a.Body.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantState(t testing.TB, o Options, want State) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var got State
	eventually(t, fmt.Sprintf("state %+v", want), func() bool {
		if got, err = w.Look(); err != nil {
			t.Fatal(err)
		}
		got.Listening = want.Listening // see TestListening
		return got == want
	})
}

// wantYoung wants the one connection, dialled at a time and silent, to be busy, unless we
// have come too late to see that.
func wantYoung(t testing.TB, o Options, dialled time.Time) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	eventually(t, "young connection", func() bool {
		state, err := w.Look()
		if err != nil {
			t.Fatal(err)
		}
		const ticks = 20 * time.Millisecond // the kernel's clock is coarse
		return state.Busy == 1 || state.Idle == 1 && time.Since(dialled) > newborn-ticks
	})
}

// Nobody waits for kept-alive connections that have had their answers.
func TestKeptAliveIsIdle(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			s := serve(t, helper("server"), address)
			for range 20 {
				ask(t, dial(t, s), "/5")
			}
			r := Wait(limited(t, patience), s.options()) // the server never closes them
			if r.Err != nil || r.Idle != 20 || r.Busy != 0 {
				t.Errorf("%+v, want 20 idle", r)
			}
		})
	}
}

func TestRequestInProgressIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	idle, c := dial(t, s), dial(t, s)
	ask(t, idle, "/0")
	for range 3 { // the first on its connection, and later ones
		send(t, c, "GET /300 HTTP/1.1\r\nHost: x\r\n\r\n")
		r := Wait(limited(t, patience), s.options())
		wantAnswered(t, c)
		if r.Err != nil || r.Idle != 2 {
			t.Errorf("%+v, want 2 idle", r)
		}
		readAnswer(t, c)
	}
}

// A client that asks again as soon as it has its answer: no tick lies between.
func TestNextRequestInTheSameTick(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	w, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := dial(t, s)
	for i := range 5 {
		for range 20 {
			ask(t, c, "/0")
		}
		send(t, c, "GET /300 HTTP/1.1\r\nHost: x\r\n\r\n")
		r := w.Wait(limited(t, patience))
		wantAnswered(t, c)
		if r.Err != nil {
			t.Errorf("round %d: %+v, want idle", i, r)
		}
		readAnswer(t, c)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	idle, c := dial(t, s), dial(t, s)
	ask(t, idle, "/0")
	send(t, c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
	wantState(t, s.options(), State{Idle: 1, Busy: 1})
	ctx := limited(t, 300*time.Millisecond)
	r := Wait(ctx, s.options())
	if !errors.Is(r.Err, context.DeadlineExceeded) || r.Busy != 1 || r.Idle != 1 {
		t.Errorf("%+v, want one busy, one idle", r)
	}
	if ctx.Err() == nil {
		t.Errorf("%+v, though the context has not ended", r)
	}
}

func TestHalfARequestIsBusy(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	c := dial(t, s)
	send(t, c, "GET / HTTP/1.1\r\nHo")
	r := Wait(limited(t, 1500*time.Millisecond), s.options())
	if r.Busy != 1 || r.Err == nil {
		t.Errorf("%+v, want one busy", r)
	}
	send(t, c, "st: x\r\n\r\n")
	readAnswer(t, c)
	if r := Wait(limited(t, patience), s.options()); r.Err != nil || r.Idle != 1 {
		t.Errorf("%+v, want one idle", r)
	}
}

func TestUnreadIsBusy(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("deaf"), "127.0.0.1:0")
	dialled := time.Now()
	c := dial(t, s)
	wantState(t, s.options(), State{Queued: 1})
	s.tell(t)
	wantYoung(t, s.options(), dialled)
	wantState(t, s.options(), State{Idle: 1}) // never used
	send(t, c, "x")
	wantState(t, s.options(), State{Busy: 1})
	c.Close()
	r := Wait(limited(t, 1200*time.Millisecond), s.options())
	if r.Busy != 1 {
		t.Errorf("closed by its client, unread: %+v, want one busy", r)
	}
}

// A client that has connected and gone without a word.
func TestSilentClientThatHasLeft(t *testing.T) {
	s := serve(t, helper("deaf"), "127.0.0.1:0")
	dialled := time.Now()
	c := dial(t, s)
	s.tell(t)
	wantYoung(t, s.options(), dialled)
	c.Close()
	wantState(t, s.options(), State{Idle: 1})
}

// An answer longer than all buffers, to a client that does not read it yet.
func TestLongAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	c := dial(t, s)
	send(t, c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	r := Wait(limited(t, 1200*time.Millisecond), s.options())
	if r.Busy != 1 {
		t.Errorf("%+v, want one busy", r)
	}
	var got int64
	var wg sync.WaitGroup
	wg.Go(func() {
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			got, _ = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
	})
	if r := Wait(limited(t, patience), s.options()); r.Err != nil || r.Idle != 1 {
		t.Errorf("%+v, want one idle", r)
	}
	s.kill()
	wg.Wait()
	if got != bigSize {
		t.Errorf("client has read %d bytes of %d", got, bigSize)
	}
}

func TestAnswerInPieces(t *testing.T) {
	t.Parallel()
	s := serve(t, helper("server"), "127.0.0.1:0")
	c := dial(t, s)
	send(t, c, "GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n")
	o := s.options()
	o.Quiet = 2 * time.Second // a busy machine may well stretch 5 ms
	if r := Wait(limited(t, patience), o); r.Err != nil || r.Idle != 1 {
		t.Errorf("%+v, want one idle", r)
	}
	s.kill()
	readAnswer(t, c)
}

// Connections of others on the same port do not matter.
func TestOnlyTheProgramsOwn(t *testing.T) {
	s := serve(t, helper("server"), "127.0.0.1:0")
	c := dial(t, s)
	send(t, c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
	wantState(t, s.options(), State{Busy: 1})
	next := &server{cmd: helper("server"), listener: s.listener, addr: s.addr, port: s.port}
	next.start(t)
	wantState(t, next.options(), State{})
	other := s.options()
	other.Ports = []uint16{s.port - 1, s.port + 1}
	wantState(t, other, State{})
	other.Ports = append(other.Ports, s.port)
	wantState(t, other, State{Busy: 1})
	if state, err := Look(Options{PIDs: []int{s.cmd.Process.Pid}}); err != nil || state != (State{}) {
		t.Errorf("no ports: %+v, %v", state, err)
	}
}

func TestConnectionsOfWorkers(t *testing.T) {
	t.Parallel()
	s := serve(t, forkingServer(t), "127.0.0.1:0")
	var conns []net.Conn
	for range 6 {
		c := dial(t, s)
		send(t, c, "GET /400 HTTP/1.1\r\nHost: x\r\n\r\n")
		conns = append(conns, c)
	}
	r := Wait(limited(t, patience), s.options())
	if r.Err != nil || r.Idle != 6 {
		t.Errorf("%+v, want 6 idle", r)
	}
	for _, c := range conns {
		wantAnswered(t, c)
	}
	s.kill()
	for _, c := range conns {
		readAnswer(t, c)
	}
}

func TestProcessThatHasEnded(t *testing.T) {
	s := serve(t, helper("server"), "127.0.0.1:0")
	send(t, dial(t, s), "GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
	wantState(t, s.options(), State{Busy: 1})
	go func() { <-time.After(50 * time.Millisecond); _ = s.cmd.Process.Kill() }()
	if r := Wait(limited(t, patience), s.options()); r.Err != nil || r.Idle+r.Busy > 0 {
		t.Errorf("%+v, want none", r)
	}
	if r := Wait(limited(t, patience), s.options()); r.Err != nil {
		t.Errorf("%+v", r)
	}
}

// Under load of short and long requests, on new and kept connections, the clients
// finish what they have begun; then all is idle, the server is killed at once, and no
// request has failed.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name    string
		command func(testing.TB) *exec.Cmd
		signal  syscall.Signal
		quiet   time.Duration
		rounds  int
	}{
		{"go", func(testing.TB) *exec.Cmd { return helper("server") }, unix.SIGKILL, 0, 6},
		// These write head and body apart: a busy machine may well stretch what is between.
		{"python", pythonServer, unix.SIGTERM, 300 * time.Millisecond, 4},
		{"node", nodeServer, unix.SIGTERM, 300 * time.Millisecond, 4},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			done := 0
			for round := range kind.rounds {
				done += loseNothing(t, kind.command(t), kind.signal, kind.quiet, round)
			}
			t.Logf("%d requests", done)
		})
	}
}

func loseNothing(t *testing.T, cmd *exec.Cmd, sig syscall.Signal, quiet time.Duration, round int) int {
	s := serve(t, cmd, "127.0.0.1:0")
	var (
		stop     atomic.Bool
		done     atomic.Int32
		finished atomic.Int32
		wg       sync.WaitGroup
	)
	const clients = 16
	for i := range clients {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		t.Cleanup(transport.CloseIdleConnections)
		wg.Go(func() {
			defer finished.Add(1)
			for n := 0; !stop.Load(); n++ {
				path := []string{"/0", "/0", "/1", "/0", "/20", "/0", "/150"}[(n+i)%7]
				if n%10 == 9 {
					path = "/350"
				}
				request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path, http.NoBody)
				a, err := (&http.Client{Transport: transport}).Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, a.Body)
					a.Body.Close()
				}
				if err != nil {
					t.Errorf("request %d of client %d for %s: %v", n, i, path, err)
					return
				}
				done.Add(1)
			}
		})
	}
	eventually(t, "load", func() bool { return done.Load() > int32(40+round) })
	stop.Store(true) // what has been begun may take 350 ms
	o := s.options()
	o.Quiet = quiet
	r := Wait(limited(t, patience), o)
	at := finished.Load()
	_ = s.cmd.Process.Signal(sig)
	wg.Wait()
	if r.Err != nil || r.Busy > 0 {
		t.Errorf("%+v", r)
	}
	t.Logf("round %d: %d idle after %v and %d looks; %d of %d clients had finished", round, r.Idle, r.Took, r.Looks, at, clients)
	return int(done.Load())
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a look costs, beside other connections on the machine.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{10, 1000} {
		s := serve(b, helper("server"), "127.0.0.1:0")
		for range n {
			ask(b, dial(b, s), "/0")
		}
		for _, fresh := range []bool{true, false} {
			b.Run(fmt.Sprintf("connections=%d/fresh=%t", n, fresh), func(b *testing.B) {
				w, err := New(s.options())
				if err != nil {
					b.Fatal(err)
				}
				defer func() { w.Close() }()
				begun := cpuTime()
				for b.Loop() {
					if fresh {
						w.Close()
						if w, err = New(s.options()); err != nil {
							b.Fatal(err)
						}
					}
					if state, err := w.Look(); err != nil || state.Idle+state.Busy != n {
						b.Fatalf("%+v, %v", state, err)
					}
				}
				b.ReportMetric(float64(cpuTime()-begun)/float64(b.N), "cpu-ns/op")
			})
		}
		b.Run(fmt.Sprintf("connections=%d/recheck", n), func(b *testing.B) {
			w, err := New(s.options())
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			c := dial(b, s)
			defer c.Close()
			send(b, c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
			for state := (State{}); state.Busy != 1; {
				if state, err = w.Look(); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if still, err := w.recheck(); err != nil || !still {
					b.Fatal(still, err)
				}
			}
		})
		s.kill()
	}
}

// The old request and the two new ones show the same.
func TestRequests(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		s := serve(t, helper("server"), address)
		for range 3 {
			ask(t, dial(t, s), "/0")
		}
		for _, families := range [][]uint8{{unix.AF_UNSPEC}, {unix.AF_INET, unix.AF_INET6}} {
			w, err := New(s.options())
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			w.diag.families = families
			if state, err := w.Look(); err != nil || state.Idle+state.Busy != 3 {
				t.Errorf("%s, families %v: %+v, %v; want 3 connections", address, families, state, err)
			}
		}
	}
}

// What is looked at one by one is the same as in a look at all.
func TestRecheck(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		s := serve(t, helper("server"), address)
		w, err := New(s.options())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		c, other := dial(t, s), dial(t, s)
		send(t, c, "GET /told HTTP/1.1\r\nHost: x\r\n\r\n")
		send(t, other, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "two busy", func() bool {
			state, err := w.Look()
			return err == nil && state.Busy == 2
		})
		recheck := func(want int) func() bool {
			return func() bool {
				still, err := w.recheck()
				if err != nil || still != (len(w.busy) > 0) {
					t.Fatalf("%s: %t, %v; %d busy", address, still, err, len(w.busy))
				}
				return len(w.busy) == want
			}
		}
		if !recheck(2)() {
			t.Errorf("%s: %d busy, want 2", address, len(w.busy))
		}
		s.tell(t)
		readAnswer(t, c)
		eventually(t, "one busy", recheck(1))
		s.kill()
		eventually(t, "none busy", recheck(0))
	}
}

// The programs and connections of nobody, seen by nobody.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests have been run without rights already")
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The binary may lie where nobody can read it.
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^(TestKeptAliveIsIdle|TestRequestInProgressIsWaitedFor|TestOthersAreHidden)$", "-test.v")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestOthersAreHidden(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("nothing is hidden from root; run as another user by TestUnprivileged")
	}
	if _, err := Look(Options{PIDs: []int{1}, Ports: []uint16{80}}); !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("%v, want %v", err, kernel.ErrUnsupported)
	}
}

func TestOtherNetwork(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs the right to make a network namespace: %v", err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	if _, err := New(Options{PIDs: []int{cmd.Process.Pid}, Ports: []uint16{80}}); !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("%v, want %v", err, kernel.ErrUnsupported)
	}
}

func TestListening(t *testing.T) {
	s := serve(t, helper("server"), "127.0.0.1:0")
	state, err := Look(s.options())
	if err != nil || state.Listening != 1 {
		t.Errorf("%+v, %v; want one socket that listens", state, err)
	}
	other := s.options()
	other.Ports = []uint16{s.port + 1}
	if state, err := Look(other); err != nil || state.Listening != 0 {
		t.Errorf("on another port: %+v, %v", state, err)
	}
}
