//go:build linux

package nodechild

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	before := descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		runtime.GC()
		if after := descriptors(); code == 0 && after > before+2 { // Go's poller and its eventfd stay
			fmt.Fprintf(os.Stderr, "FAIL: descriptors leaked: %d before, %d after\n", before, after)
			code = 1
		}
		os.Exit(code)
	}))
}

func descriptors() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

const patience = 30 * time.Second

// far is the primary's end, played by the test.
type far struct {
	tb     testing.TB
	conn   *net.UnixConn
	lines  *bufio.Reader
	events chan Event
	*Child
}

func attach(tb testing.TB, cluster bool) *far {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "far")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		tb.Fatal(err)
	}
	x := &far{tb: tb, conn: conn.(*net.UnixConn), events: make(chan Event, 1000)}
	x.lines = bufio.NewReader(x.conn)
	x.Child, err = Attach(Options{
		File: os.NewFile(uintptr(fds[1]), "near"), Cluster: cluster, Event: func(e Event) { x.events <- e },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		x.conn.Close()
		<-x.Done()
	})
	x.conn.SetDeadline(time.Now().Add(patience))
	if cluster {
		if got := x.read(); got != `{"cmd":"NODE_CLUSTER","act":"online","seq":1}` {
			tb.Fatalf("first line %s", got)
		}
	}
	return x
}

func (x *far) read() string {
	x.tb.Helper()
	line, err := x.lines.ReadString('\n')
	if err != nil {
		x.tb.Fatalf("read from the child: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (x *far) write(text string, fds ...int) {
	x.tb.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := x.conn.WriteMsgUnix([]byte(text), oob, nil); err != nil {
		x.tb.Fatal(err)
	}
}

func (x *far) event() Event {
	x.tb.Helper()
	select {
	case e := <-x.events:
		return e
	case <-time.After(patience):
		x.tb.Fatal("no event came")
		return Event{}
	}
}

// pipe returns both ends of a connection; the first is the caller's descriptor.
func pipe(tb testing.TB) (fd int, other *os.File) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	other = os.NewFile(uintptr(fds[1]), "other")
	tb.Cleanup(func() { other.Close() })
	return fds[0], other
}

// closed waits until nobody has the other end of a connection.
func closed(tb testing.TB, f *os.File) {
	tb.Helper()
	done := make(chan error, 1)
	go func() {
		n, err := f.Read(make([]byte, 1))
		if n > 0 {
			err = errors.New("it says something")
		}
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, io.EOF) {
			tb.Errorf("read from a connection that was to be closed: %v", err)
		}
	case <-time.After(patience):
		tb.Fatal("a descriptor is leaked: the connection is still open")
	}
}

var anyTCP = Request{Address: "127.0.0.1", Port: 80, Type: "4"}

// handOff has the child ask, and answers that we accept.
func (x *far) handOff() *Source {
	x.tb.Helper()
	got := make(chan Grant, 1)
	go func() {
		g, err := x.Query(context.Background(), anyTCP)
		if err != nil {
			x.tb.Error(err)
		}
		got <- g
	}()
	want := `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":80,"addressType":4,"flags":0,"backlog":65535,"seq":2}`
	if line := x.read(); line != want {
		x.tb.Fatalf("query\n%s, want\n%s", line, want)
	}
	x.write(`{"cmd":"NODE_CLUSTER","ack":2,"errno":null,"key":"K","data":null,"sockname":{"address":"127.0.0.1","family":"IPv4","port":8080},"seq":1}` + "\n")
	g := <-got
	if g.Source == nil || g.Handle != nil || g.Key != "K" || g.Addr.String() != "127.0.0.1:8080" {
		x.tb.Fatalf("granted %+v", g)
	}
	return g.Source
}

func newconn(key string, seq int) string {
	return fmt.Sprintf(`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"act":"newconn","key":%q,"cmd":"NODE_CLUSTER","seq":%d}}`+"\n", key, seq)
}

const handleAck = `{"cmd":"NODE_HANDLE_ACK"}`

func TestHandOff(t *testing.T) {
	x := attach(t, true)
	s := x.handOff()
	fd, other := pipe(t)
	x.write(newconn("K", 7), fd)
	unix.Close(fd)
	if got := x.read(); got != handleAck {
		t.Fatalf("got %s", got)
	}
	// It counts as accepted when the program takes it, not before.
	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := x.read(); got != `{"cmd":"NODE_CLUSTER","ack":7,"accepted":true,"seq":3}` {
		t.Errorf("got %s", got)
	}
	conn.Close()
	closed(t, other)

	// What was not taken is given back, and what comes later as well.
	fd, other = pipe(t)
	x.write(newconn("K", 8), fd)
	unix.Close(fd)
	x.read()
	s.Close()
	if got := x.read(); got != `{"cmd":"NODE_CLUSTER","ack":8,"accepted":false,"seq":4}` {
		t.Errorf("got %s", got)
	}
	closed(t, other)
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	fd, other = pipe(t)
	x.write(newconn("K", 9), fd)
	unix.Close(fd)
	x.read()
	if got := x.read(); got != `{"cmd":"NODE_CLUSTER","ack":9,"accepted":false,"seq":5}` {
		t.Errorf("got %s", got)
	}
	closed(t, other)
}

func TestSharedHandle(t *testing.T) {
	x := attach(t, true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make(chan Grant, 1)
	go func() {
		g, err := x.Query(context.Background(), anyTCP)
		if err != nil {
			t.Error(err)
		}
		got <- g
	}()
	x.read()
	const answer = `{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","ack":2,"errno":null,"key":"K","data":null,"seq":1}}` + "\n"
	x.write(answer) // the descriptor did not arrive: it has to come again
	if line := x.read(); line != `{"cmd":"NODE_HANDLE_NACK"}` {
		t.Fatalf("got %s", line)
	}
	x.write(answer[:40], int(f.Fd())) // and a line may be split
	x.write(answer[40:])
	if line := x.read(); line != handleAck {
		t.Fatalf("got %s", line)
	}
	g := <-got
	if g.Handle == nil || g.Source != nil {
		t.Fatalf("granted %+v", g)
	}
	g.Handle.Close()
}

func TestQueryFails(t *testing.T) {
	x := attach(t, true)
	errs := make(chan error, 1)
	ask := func(ctx context.Context) {
		go func() {
			_, err := x.Query(ctx, Request{Address: "/a", Port: -1, Type: "-1"})
			errs <- err
		}()
	}
	ask(context.Background())
	want := `{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/a","port":-1,"addressType":-1,"flags":0,"backlog":65535,"seq":2}`
	if line := x.read(); line != want {
		t.Errorf("query\n%s, want\n%s", line, want)
	}
	x.write(`{"cmd":"NODE_CLUSTER","ack":2,"errno":-98,"key":"K","data":null,"seq":1}` + "\n")
	if err := <-errs; !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("query: %v", err)
	}

	// Who gives up gets no socket, and the primary learns it.
	ctx, cancel := context.WithCancel(context.Background())
	ask(ctx)
	x.read()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("query: %v", err)
	}
	fd, other := pipe(t)
	x.write(`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","ack":3,"errno":null,"key":"K2","data":null,"seq":1}}`+"\n", fd)
	unix.Close(fd)
	closed(t, other)
	x.read() // of the handle
	if line := x.read(); line != `{"cmd":"NODE_CLUSTER","act":"close","key":"K2","seq":4}` {
		t.Errorf("got %s", line)
	}

	ask(context.Background())
	x.read()
	x.conn.Close()
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("query: %v", err)
	}
	if e := x.event(); e.Kind != Gone {
		t.Errorf("event %+v", e)
	}
	if _, err := x.Query(context.Background(), anyTCP); !errors.Is(err, ErrClosed) {
		t.Errorf("query of nobody: %v", err)
	}
	if err := x.Send([]byte(`1`)); !errors.Is(err, ErrClosed) {
		t.Errorf("send to nobody: %v", err)
	}
}

// Nothing that comes can end the child, and no descriptor stays open.
func TestOddLines(t *testing.T) {
	x := attach(t, true)
	var others []*os.File
	sendWith := func(text string, n int) {
		var fds []int
		for range n {
			fd, other := pipe(t)
			fds, others = append(fds, fd), append(others, other)
		}
		x.write(text, fds...)
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	sendWith("not JSON\n\n{}\n", 0)
	sendWith(`{"cmd":"NODE_CLUSTER","act":"newconn","key":"K","seq":1}`+"\n", 0)
	sendWith(`{"cmd":"NODE_CLUSTER","ack":77,"key":"K"}`+"\n", 0)
	sendWith(`{"cmd":"NODE_CLUSTER","act":["disconnect"],"seq":{}}`+"\n", 0)
	sendWith(`{"cmd":"NODE_OTHER"}`+"\n", 0)
	sendWith(`"a message with a descriptor that is not announced"`+"\n", 1)
	sendWith(newconn("unknown", 5), 2)
	sendWith(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"user":1}}`+"\n", 1)
	sendWith(`{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_HANDLE","msg":3}}}`+"\n", 1)
	sendWith(`{"cmd":"NODE_HANDLE"}`+"\n", 1)
	for _, other := range others {
		closed(t, other)
	}
	var answers []string
	for range 5 {
		answers = append(answers, x.read())
	}
	want := []string{handleAck, `{"cmd":"NODE_CLUSTER","ack":5,"accepted":false,"seq":2}`, handleAck, handleAck, handleAck}
	if strings.Join(answers, "\n") != strings.Join(want, "\n") {
		t.Errorf("answers\n%s, want\n%s", strings.Join(answers, "\n"), strings.Join(want, "\n"))
	}
	for _, want := range []string{`{}`, `"a message with a descriptor that is not announced"`, `{"user":1}`} {
		if e := x.event(); e.Kind != Message || string(e.Message) != want {
			t.Errorf("event %v %s, want the message %s", e.Kind, e.Message, want)
		}
	}
	sendWith(`{"cmd":"NODE_PACELINE","act":"drain","signal":"SIGINT","hold":5000,"grace":1500}`+"\n", 0)
	if e := x.event(); e.Kind != Drain || e.Grace != 1500*time.Millisecond {
		t.Errorf("event %+v", e)
	}
	sendWith(`{"cmd":"NODE_CLUSTER","act":"disconnect","seq":3}`+"\n", 0)
	if e := x.event(); e.Kind != Disconnect {
		t.Errorf("event %+v", e)
	}
}

func TestLongLines(t *testing.T) {
	x := attach(t, false)
	long, tooLong := strings.Repeat("x", 1<<20), strings.Repeat("y", maxLineBytes)
	go func() {
		for _, text := range []string{long, tooLong, "end"} {
			if _, err := io.WriteString(x.conn, `"`+text+`"`+"\n"); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, want := range []string{long, "end"} {
		e := x.event()
		if e.Kind != Message || len(e.Message) != len(want)+2 {
			t.Errorf("event %v of %d bytes, want a message of %d", e.Kind, len(e.Message), len(want)+2)
		}
	}
}

// A primary that does not read is not waited for, and what it is sent is bounded.
func TestPrimaryDoesNotRead(t *testing.T) {
	x := attach(t, false)
	message, err := json.Marshal(strings.Repeat("z", 100<<10))
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for err == nil {
		if err = x.Send(message); err == nil {
			sent++
		}
	}
	if !errors.Is(err, ErrBusy) || sent < maxQueuedBytes/len(message)-1 {
		t.Fatalf("sent %d messages, then %v", sent, err)
	}
	for range sent {
		if got := x.read(); got != string(message) {
			t.Fatalf("line of %d bytes, want %d", len(got), len(message))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := x.Flush(ctx); err != nil {
		t.Error(err)
	}
	if err := x.Send([]byte("\n[1,\n2]")); err != nil {
		t.Error(err)
	}
	x.Close()
	if got := x.read(); got != "[1,2]" {
		t.Errorf("got %s", got)
	}
	if _, err := x.lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v", err)
	}
	if err := x.Send([]byte("1")); !errors.Is(err, ErrClosed) {
		t.Errorf("send after Close: %v", err)
	}
	if err := x.Send([]byte("{")); err == nil {
		t.Error("half a value is sent")
	}
}

func TestLeave(t *testing.T) {
	x := attach(t, true)
	left := make(chan error, 1)
	go func() { left <- x.Leave() }()
	if got := x.read(); got != `{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":2}` {
		t.Errorf("got %s", got)
	}
	x.write(`{"cmd":"NODE_CLUSTER","ack":2,"seq":1}` + "\n")
	if err := <-left; err != nil {
		t.Error(err)
	}
}

// A child whose primary ended before it could say a word is a child all the same.
func TestPrimaryGoneAtOnce(t *testing.T) {
	for _, unread := range []bool{false, true} {
		t.Run(fmt.Sprint("unread ", unread), func(t *testing.T) { testGone(t, unread) })
	}
}

func testGone(t *testing.T, unread bool) {
	fd, other := pipe(t)
	if unread { // it is an error then, not an end
		if _, err := unix.Write(fd, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	other.Close()
	events := make(chan Event, 1)
	c, err := Attach(Options{File: os.NewFile(uintptr(fd), "near"), Cluster: true, Event: func(e Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Kind != Gone {
		t.Errorf("event %+v", e)
	}
	if _, err := c.Query(context.Background(), anyTCP); !errors.Is(err, ErrClosed) {
		t.Errorf("query: %v", err)
	}
}

func TestAttachToNoChannel(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(Options{File: f}); err == nil {
		t.Error("a file that is no socket is a channel")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if f, err = conn.(*net.TCPConn).File(); err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(Options{File: f}); err == nil {
		t.Error("a TCP connection is a channel")
	}
}

// FuzzInput holds that lines are cut the same however they arrive.
func FuzzInput(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"), 2)
	f.Add([]byte(newconn("K", 1)+`"m"`+"\n"), 60)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 {
			return
		}
		var in input
		var got [][]byte
		for rest := data; len(rest) > 0; {
			block := rest[:min(size, len(rest))]
			rest = rest[len(block):]
			for len(block) > 0 {
				var line []byte
				var ok bool
				if line, block, ok = in.next(block); ok {
					got = append(got, bytes.Clone(line))
				}
			}
		}
		want := bytes.Split(data, []byte("\n"))
		if len(data) > 0 && len(got) != len(want)-1 {
			t.Fatalf("%d lines, want %d", len(got), len(want)-1)
		}
		for i, line := range got {
			if !bytes.Equal(line, want[i]) {
				t.Errorf("line %q, want %q", line, want[i])
			}
		}
		if !bytes.Equal(in.part, want[len(want)-1]) {
			t.Errorf("kept %q, want %q", in.part, want[len(want)-1])
		}
	})
}

// FuzzParse holds that no line is too odd.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		newconn("K", 1), `{"cmd":"NODE_CLUSTER","ack":2,"errno":-98,"key":"K","data":null,"seq":1}`,
		`{"cmd":"NODE_PACELINE","act":"drain","grace":1e300}`, `"text"`, `{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_HANDLE"}}`,
		`{"cmd":"NODE_CLUSTER","ack":2,"sockname":{"address":"::1%lo","port":80}}`, "null",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, _ := parse(line)
		switch {
		case m.errno < 0, m.grace < 0, m.grace > maxGrace:
			t.Errorf("%q: %+v", line, m)
		case m.kind == msgUser && !json.Valid(m.body):
			t.Errorf("%q: the message %q is not JSON", line, m.body)
		}
	})
}
