package forward

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/logs"
	"paceline/internal/logs/search"
)

// soon is how long what must happen may take.
const soon = time.Minute

// log is a log file of a test.
type log struct {
	t    *testing.T
	path string
}

func newLog(t *testing.T) log {
	return log{t, filepath.Join(t.TempDir(), "api-out.log")}
}

func (l log) write(text string) {
	l.t.Helper()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		l.t.Fatal(err)
	}
}

func (l log) sources() []search.Source {
	return []search.Source{{Source: logs.Source{Path: l.path, ID: 3, Name: "api", Stream: "out"}}}
}

// manager returns a manager that tells to told.
func manager(t *testing.T, dir string, told chan<- string) *Manager {
	return New(Options{Dir: dir, Tell: func(_, text string) {
		select {
		case told <- text:
		default:
			t.Logf("told: %s", text)
		}
	}})
}

func watch(t *testing.T, m *Manager, target string, l log) {
	t.Helper()
	if err := m.Watch("api", target, l.sources()); err != nil {
		t.Fatal(err)
	}
}

var header = regexp.MustCompile(`^<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d) \S+ api 3 out - `)

// parse checks a message and returns its priority and its text.
func parse(t *testing.T, message []byte) (priority int, text string) {
	t.Helper()
	m := header.FindSubmatch(message)
	if m == nil {
		t.Fatalf("no message of RFC 5424: %q", message)
	}
	priority, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return priority, string(message[len(m[0]):])
}

func TestSyslogByUDP(t *testing.T) {
	l := newLog(t)
	l.write("from before\n")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := manager(t, t.TempDir(), nil)
	defer m.Close()
	watch(t, m, "syslog://"+conn.LocalAddr().String(), l)
	l.write("[ERROR] one\nplain two\n" + `{"level":40,"msg":"three"}` + "\n")
	for _, want := range []struct {
		priority int
		text     string
	}{{8 + 3, "[ERROR] one"}, {8 + 6, "plain two"}, {8 + 4, `{"level":40,"msg":"three"}`}} {
		buf := make([]byte, 64<<10)
		if err := conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if priority, text := parse(t, buf[:n]); priority != want.priority || text != want.text {
			t.Errorf("got %d %q, want %+v", priority, text, want)
		}
	}
}

// frame reads a message that is counted.
func frame(t *testing.T, conn net.Conn, r *bufio.Reader) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	count, err := r.ReadString(' ')
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		t.Fatal(err)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		t.Fatal(err)
	}
	_, text := parse(t, message)
	return text
}

// TestSyslogByTCPGoesOn: over a receiver that comes late, and a manager that follows
// another one; through a rotation.
func TestSyslogByTCPGoesOn(t *testing.T) {
	l, dir := newLog(t), t.TempDir()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	m := manager(t, dir, told)
	watch(t, m, "syslog+tcp://"+address, l)
	l.write("one\n" + strings.Repeat("x", 300_000) + "\n")
	select {
	case text := <-told:
		if !strings.Contains(text, "cannot be forwarded to "+address) {
			t.Errorf("told %q", text)
		}
	case <-time.After(soon):
		t.Fatal("nothing is told of a receiver that is not there")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("somebody else has taken %s: %v", address, err)
	}
	defer listener.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if text := frame(t, conn, r); text != "one" {
		t.Errorf("got %q", text)
	}
	if a, b := frame(t, conn, r), frame(t, conn, r); len(a) != 256<<10 || len(a)+len(b) != 300_000 {
		t.Errorf("a long line comes in %d and %d bytes", len(a), len(b))
	}
	m.Close()
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		t.Fatal(err)
	}
	l.write("two\n")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	m = manager(t, dir, told)
	defer m.Close()
	watch(t, m, "syslog+tcp://"+address, l)
	if conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if text := frame(t, conn, bufio.NewReader(conn)); text != "two" {
		t.Errorf("the next manager sends %q", text)
	}
}

// TestJournald: fields, lines that are no text, and entries that do not fit into a
// datagram.
func TestJournald(t *testing.T) {
	l := newLog(t)
	socket := filepath.Join(t.TempDir(), "journal")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := manager(t, t.TempDir(), nil)
	defer m.Close()
	watch(t, m, "journald://"+socket, l)
	long := strings.Repeat("a long line ", 80_000)
	l.write("WARN plain\nbinary \x01\xff\n" + long + "\n")
	for i, want := range []string{"WARN plain", "binary \x01\xff", long} {
		entry := receive(t, conn)
		fields := entryFields(t, entry)
		if fields["MESSAGE"] != want {
			t.Errorf("message %.40q of %d bytes, want %.40q of %d", fields["MESSAGE"], len(fields["MESSAGE"]), want, len(want))
		}
		priority := []string{"4", "6", "6"}[i]
		if fields["PRIORITY"] != priority || fields["SYSLOG_IDENTIFIER"] != "api" || fields["PACE_ID"] != "3" || fields["PACE_STREAM"] != "out" {
			t.Errorf("fields %.200q", fmt.Sprint(fields))
		}
	}
}

// receive returns an entry, from a datagram or from the file that comes with it.
func receive(t *testing.T, conn *net.UnixConn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	buf, oob := make([]byte, 1<<20), make([]byte, 100)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	if oobn == 0 {
		return buf[:n]
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_WRITE == 0 {
		t.Errorf("the file is not sealed: %x, %v", seals, err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.NewSectionReader(f, 0, 16<<20)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entryFields reads an entry as journald does.
func entryFields(t *testing.T, b []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			t.Fatalf("a field without an end: %.40q", b)
		}
		if name, value, ok := bytes.Cut(b[:end], []byte{'='}); ok {
			fields[string(name)] = string(value)
			b = b[end+1:]
			continue
		}
		name := string(b[:end])
		n := int(binary.LittleEndian.Uint64(b[end+1:]))
		b = b[end+9:]
		fields[name] = string(b[:n])
		b = b[n+1:]
	}
	return fields
}

// TestForget: an app that is deleted leaves nothing, and another target takes over.
func TestForget(t *testing.T) {
	l, dir := newLog(t), t.TempDir()
	m := manager(t, dir, nil)
	defer m.Close()
	watch(t, m, "syslog://127.0.0.1:9", l)
	watch(t, m, "syslog://127.0.0.1:10", l)
	if err := m.Forget("api"); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := m.Watch("api", "nowhere", nil); err == nil {
		t.Error("a target that means nothing passes")
	}
}
