package port

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patiently repeats, up to five times, what must not take longer than 100 ms and a few
// times what the same takes meanwhile where nothing is stuck: on a machine with other
// work a process may well not run for so long, whatever we do.
func patiently(t *testing.T, attempt func() (slowest, control time.Duration)) {
	t.Helper()
	var said []string
	for range 5 {
		slowest, control := attempt()
		limit := 100*time.Millisecond + 4*control
		said = append(said, fmt.Sprintf("%v (limit %v)", slowest, limit))
		if slowest <= limit {
			t.Logf("slowest request of each attempt: %v", said)
			return
		}
	}
	t.Errorf("slowest request of each attempt: %v", said)
}

// Of two slots one does not accept for 1.5 s, at 200 connections a second.
func TestStuckSlotDelaysNobody(t *testing.T) {
	noLeaks(t)
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := newSet(t, Options{Watch: w})
	defer s.Close()
	g, servers := serve(t, s, loopback, 2)
	needKernel(t, g)
	plain := newSet(t, Options{Name: "port/control/", Watch: w})
	defer plain.Close()
	healthy, _ := serve(t, plain, loopback, 1)
	patiently(t, func() (slowest, control time.Duration) {
		servers[1].hold(t, 1500*time.Millisecond)
		l, c := startLoad(g.Addr(), 5*time.Millisecond), startLoad(healthy.Addr(), 5*time.Millisecond)
		l.await(t, 300)
		l.stop()
		c.stop()
		l.check(t)
		c.check(t)
		t.Logf("%d requests, slowest %v, answers %v", l.total(), l.slowest, l.answers)
		back := startLoad(g.Addr(), 5*time.Millisecond)
		eventually(t, "answers of the slot that accepts again", func() bool { return back.of("1") >= 20 })
		back.stop()
		back.check(t)
		return l.slowest, c.slowest
	})
}

// With a real event loop that a request blocks, and with processes frozen while
// their queue is moved.
func TestStuckNode(t *testing.T) {
	node := nodePath(t)
	for _, freeze := range []bool{false, true} {
		patiently(t, func() (slowest, control time.Duration) { return blockedNode(t, node, freeze) })
	}
}

func blockedNode(t *testing.T, node string, freeze bool) (slowest, control time.Duration) {
	t.Helper()
	var frozen, thawed atomic.Int32
	o := Options{}
	if freeze {
		o.Freeze = func(int) (func(), error) {
			frozen.Add(1)
			return func() { thawed.Add(1) }, nil
		}
	}
	s := newSet(t, o)
	var g *Group
	for slot := range 2 {
		l := mustOpen(t, s, loopback, slot)
		g = l.Group
		needKernel(t, g)
		startNode(t, node, l.File)
		s.Use(slot, true)
	}
	plain := newSet(t, Options{Name: "port/control/"})
	l := mustOpen(t, plain, loopback, 0)
	startNode(t, node, l.File)
	plain.Use(0, true)
	url, healthy := "http://"+g.Addr().String(), "http://"+l.Group.Addr().String()
	blocked := make(chan error, 1)
	go func() {
		_, _, err := get(url + "/block?ms=1500")
		blocked <- err
	}()
	eventually(t, "a node that is blocked", func() bool {
		_, took, err := get(url)
		return err != nil || took > 15*time.Millisecond
	})
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range 200 {
		<-ticker.C
		_, took, err := get(url)
		if err != nil {
			t.Errorf("request: %v", err)
		}
		slowest = max(slowest, took)
		if _, took, err = get(healthy); err != nil {
			t.Errorf("request to the control: %v", err)
		}
		control = max(control, took)
	}
	if err := <-blocked; err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Close(), plain.Close()); err != nil {
		t.Error(err)
	}
	if frozen.Load() != thawed.Load() {
		t.Errorf("frozen %d times, thawed %d", frozen.Load(), thawed.Load())
	}
	if freeze && frozen.Load() == 0 {
		t.Log("nothing was moved: the block was over before we came to see it")
		return time.Hour, 0
	}
	return slowest, control
}

// Of three queues that are never found empty nor shrinking one is served, too slowly, one
// is that of a process that has no processor for a while, and one that of a blocked one.
func TestServedAndStarvedSlotsAreNotStuck(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{
		bears: never, // until the test looks
		Processor: func(slot int) func(time.Duration) bool {
			return func(less time.Duration) bool { return slot == 1 && less == ration }
		},
	})
	var g *Group
	for slot := range 3 {
		l := mustOpen(t, s, loopback, slot)
		_ = l.File.Close()
		g = l.Group
		needKernel(t, g)
		s.Use(slot, true)
	}
	var clients []net.Conn
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	waiting := []int{0, 0, 0}
	come := func(each int) { // and wait until all are in their queues
		for range 3 * each {
			c, err := net.Dial("tcp", g.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			clients = append(clients, c)
		}
		deadline := time.Now().Add(patient)
		for i, l := range g.lanes {
			waiting[i] += each
			for n := -1; n != waiting[i] && time.Now().Before(deadline); {
				n, _, _ = queue(l.fd)
			}
		}
	}
	_ = s.do(func() { // nothing else looks meanwhile
		began := time.Now()
		stuckAt := func(look int) (stuck []bool) {
			at := began.Add(time.Duration(look) * tick)
			for _, l := range g.lanes {
				s.look(g, l, at)
			}
			s.absolve(g, at)
			for _, l := range g.lanes {
				stuck = append(stuck, l.gauge.stuck(at))
			}
			return stuck
		}
		signs := make([]*sign, len(g.lanes))
		for i, l := range g.lanes {
			l.gauge.bears = 0
			signs[i], l.sign = l.sign, &sign{to: newWatcher()} // it always finds something
		}
		come(2)
		stuckAt(0)
		for look := 1; look <= patienceLooks; look++ {
			come(2)
			c, _, err := unix.Accept4(g.lanes[0].fd, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Error(err)
				break
			}
			_ = unix.Close(c)
			waiting[0]--
			if got, want := stuckAt(look), []bool{false, false, look == patienceLooks}; !slices.Equal(got, want) {
				t.Errorf("look %d: stuck %v, want %v", look, got, want)
			}
		}
		last := ticks(patience + famine)
		for look := patienceLooks + 1; look <= last; look++ {
			if got := stuckAt(look); got[1] != (look == last) {
				t.Errorf("look %d: the one without processor time is stuck: %v", look, got[1])
			}
		}
		for i, l := range g.lanes {
			l.sign = signs[i]
			l.gauge.bears = never
		}
	})
}

// Processes that wait in epoll, as Node does, hear of what was moved to them; on an
// older kernel through a connection of ours.
func TestMovedConnectionsWakeTheirNewProcess(t *testing.T) {
	noLeaks(t)
	for _, mute := range []bool{false, true} {
		s := newSet(t, Options{bears: never})
		l := mustOpen(t, s, loopback, 0)
		needKernel(t, l.Group)
		_ = mustOpen(t, s, loopback, 1).File.Close()
		s.Use(0, true)
		s.Use(1, true)
		if mute {
			_ = s.do(func() { s.wakes = muteKernel })
		}
		fd, err := duplicateOf(l.File)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.File.Close()
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, err := net.Dial("tcp", l.Group.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		events := make([]unix.EpollEvent, 1)
		wait := func() {
			t.Helper()
			n, err := unix.EpollWait(epoll, events, int(patient.Milliseconds()))
			for errors.Is(err, unix.EINTR) {
				n, err = unix.EpollWait(epoll, events, int(patient.Milliseconds()))
			}
			if n != 1 {
				t.Errorf("mute %v: %d events, %v", mute, n, err)
			}
		}
		wait() // of the first
		wantDepths(t, s, "both have one", 1, 1)
		s.Use(1, false)
		wait()
		want := 2
		if mute {
			want = 3
		}
		wantDepths(t, s, fmt.Sprintf("mute %v", mute), want, 0)
		_ = unix.Close(epoll)
		_ = unix.Close(fd)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A queue is not moved under a process that cannot be stopped, until it can. One that
// has died needs no stop.
func TestFreezeFails(t *testing.T) {
	noLeaks(t)
	var told, frozen, thawed atomic.Int32
	var works atomic.Bool
	s := newSet(t, Options{
		Freeze: func(int) (func(), error) {
			if !works.Load() {
				return nil, errors.New("no cgroup")
			}
			frozen.Add(1)
			return func() { thawed.Add(1) }, nil
		},
		Log:   func(string, ...any) { told.Add(1) },
		bears: never,
	})
	port := freePort(t)
	var files []*os.File
	for seat := range 3 {
		g, f := program(t, s, seat, port)
		needKernel(t, g)
		defer f.Close()
		files = append(files, f)
	}
	s.Use(0, true)
	s.Use(1, true)
	dial(t, port, 2)
	s.Use(1, false) // it is left to accept what waits
	wantDepths(t, s, "out of rotation", 1, 1, 0)
	startServer(t, "0", files[0]) // else nobody is there to take it
	eventually(t, "a try to move the queue", func() bool { return told.Load() > 0 })
	works.Store(true)
	eventually(t, "another try", func() bool { return frozen.Load() > 0 })
	eventually(t, "an empty queue", func() bool { return slices.Max(depths(s)) == 0 })
	if frozen.Load() != thawed.Load() || told.Load() != 1 {
		t.Errorf("frozen %d times, thawed %d, told %d", frozen.Load(), thawed.Load(), told.Load())
	}

	works.Store(false)
	s.Use(2, true)
	s.Use(0, false)
	dial(t, port, 1)
	s.Use(0, true)
	s.Retire(2)
	if d := depths(s); len(d) != 2 {
		t.Errorf("after a death: queues %v, want 2", d)
	}
}

func startNode(t testing.TB, node string, f *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(node, "-e", `
		const server = require('http').createServer((request, response) => {
			const ms = Number(new URL(request.url, 'http://x').searchParams.get('ms') || 0)
			for (const end = Date.now() + ms; Date.now() < end;);
			response.setHeader('connection', 'close')
			response.end(String(process.pid))
		})
		server.on('error', e => { console.error('server error', e); process.exit(1) })
		server.listen({fd: 3}, () => console.log('ready'))`)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("node: %q, %v", line, err)
	}
	return cmd
}

func get(url string) (body string, took time.Duration, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patient}
	began := time.Now()
	r, err := client.Get(url)
	if err != nil {
		return "", 0, err
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	return string(raw), time.Since(began), err
}

// A program shuts its own socket down: the damage is limited to its slot, and the
// next process of the slot has a socket that listens.
func TestProgramShutsItsSocketDown(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	l := mustOpen(t, s, loopback, 0)
	needKernel(t, l.Group)
	defer l.File.Close()
	other := mustOpen(t, s, loopback, 1)
	startServer(t, "1", other.File)
	s.Use(0, true)
	s.Use(1, true)
	conn, err := l.File.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) { err = shutdownBoth(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if who, err := request(l.Group.Addr()); who != "1" {
			t.Fatalf("got %q, %v", who, err)
		}
	}
	eventually(t, "the watch to leave it alone", func() bool {
		watched := true
		_ = s.do(func() { watched = l.Group.lanes[0].sign != nil })
		return !watched
	})
	s.Use(0, false)
	startServer(t, "0", mustOpen(t, s, loopback, 0).File)
	s.Use(0, true)
	seen := map[string]bool{}
	eventually(t, "answers of both", func() bool {
		who, err := request(l.Group.Addr())
		if err != nil {
			t.Fatal(err)
		}
		seen[who] = true
		return len(seen) == 2
	})
}

// While nothing waits nothing is done; the watch wakes up for what waits.
func TestWatchSleeps(t *testing.T) {
	noLeaks(t)
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var sets []*Set
	var last *Group
	for i := range 20 {
		s := newSet(t, Options{Watch: w, Name: "port/" + strconv.Itoa(i) + "/"})
		defer s.Close()
		for slot := range 2 {
			l := mustOpen(t, s, loopback, slot)
			needKernel(t, l.Group)
			_ = l.File.Close()
			s.Use(slot, true)
			last = l.Group
		}
		sets = append(sets, s)
	}
	looks := func() (n uint64) {
		for _, s := range sets {
			n += s.watcher.look.Load()
		}
		return n
	}
	before := looks()
	for attempt := 1; ; attempt++ { // a look at what was opened may come late
		switches := threadSwitches(t)
		time.Sleep(500 * time.Millisecond) // there is no event to wait for: nothing is to happen
		t.Logf("context switches of this process in 0.5 s: %d", threadSwitches(t)-switches)
		after := looks()
		if after == before {
			break
		}
		if attempt == 10 {
			t.Errorf("looked %d times while all was quiet", after-before)
			break
		}
		before = after
	}
	c, err := net.Dial("tcp", last.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "the watch to look", func() bool { return looks() > before })
}

// threadSwitches counts the context switches of all our threads.
func threadSwitches(t testing.TB) (n int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		raw, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		for line := range strings.Lines(string(raw)) {
			if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "_ctxt_switches") {
				v, _ := strconv.Atoi(strings.TrimSpace(value))
				n += v
			}
		}
	}
	return n
}
