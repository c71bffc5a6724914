package port

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// memory is a Store; it holds duplicates as the keeper does.
type memory struct {
	mu      sync.Mutex
	entries map[string]Saved
}

func newMemory(t testing.TB) *memory {
	m := &memory{entries: map[string]Saved{}}
	t.Cleanup(func() { _ = m.Drop("/") })
	return m
}

func (m *memory) Keep(name string, note []byte, f *os.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[name]
	if note != nil {
		e.Note = note
	}
	if f != nil {
		if e.File != nil {
			_ = e.File.Close()
		}
		e.File = fileCopy(f)
	}
	m.entries[name] = e
	return nil
}

func (m *memory) Drop(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		for have, e := range m.entries {
			if have == name || name == "/" || strings.HasSuffix(name, "/") && strings.HasPrefix(have, name) {
				if e.File != nil {
					_ = e.File.Close()
				}
				delete(m.entries, have)
			}
		}
	}
	return nil
}

// saved returns copies, as a keeper would send them.
func (m *memory) saved() map[string]Saved {
	m.mu.Lock()
	defer m.mu.Unlock()
	saved := map[string]Saved{}
	for name, e := range m.entries {
		if e.File != nil {
			e.File = fileCopy(e.File)
		}
		saved[name] = e
	}
	return saved
}

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.entries))
}

func fileCopy(f *os.File) *os.File {
	fd, err := duplicateOf(f)
	if err != nil {
		panic(err)
	}
	defer unix.Close(fd)
	c, err := fileOf(fd, f.Name())
	if err != nil {
		panic(err)
	}
	return c
}

// wireMessage is what a daemon in a process of its own and we, its keeper, exchange.
type wireMessage struct {
	Op   string `json:"op"`
	Name string `json:"name,omitempty"`
	Note []byte `json:"note,omitempty"`
	Slot int    `json:"slot,omitempty"`
	On   bool   `json:"on,omitempty"`
	Text string `json:"text,omitempty"`
	Addr string `json:"addr,omitempty"`
}

// wire is one end of a SOCK_SEQPACKET pair.
type wire struct{ fd int }

func (w wire) send(m wireMessage, f *os.File) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if f != nil {
		fd, err := duplicateOf(f)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		rights = unix.UnixRights(fd)
	}
	return unix.Sendmsg(w.fd, raw, rights, nil, 0)
}

func (w wire) receive() (m wireMessage, f *os.File, err error) {
	buf, oob := make([]byte, 1<<16), make([]byte, 64)
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(w.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return m, nil, err
	}
	if n == 0 {
		return m, nil, io.EOF
	}
	if err := json.Unmarshal(buf[:n], &m); err != nil {
		return m, nil, err
	}
	if oobn > 0 {
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return m, nil, err
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil {
			return m, nil, err
		}
		f, err = fileOf(fds[0], m.Name)
		if err != nil {
			return m, nil, err
		}
		return m, f, unix.Close(fds[0])
	}
	return m, nil, nil
}

// daemon is the other process as seen from here.
type daemon struct {
	t     testing.TB
	cmd   *exec.Cmd
	wire  wire
	store *memory
}

// startDaemon starts a daemon and gives it what the store holds.
func startDaemon(t testing.TB, store *memory) *daemon {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, cmd: helper("daemon"), wire: wire{pair[0]}, store: store}
	theirs := os.NewFile(uintptr(pair[1]), "wire")
	d.cmd.ExtraFiles = []*os.File{theirs}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	t.Cleanup(func() { d.kill(); _ = unix.Close(pair[0]) })
	for name, e := range store.saved() {
		if err := d.wire.send(wireMessage{Op: "saved", Name: name, Note: e.Note}, e.File); err != nil {
			t.Fatal(err)
		}
		if e.File != nil {
			_ = e.File.Close()
		}
	}
	d.do(wireMessage{Op: "go"})
	return d
}

func (d *daemon) kill() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
}

// do sends a command and plays the keeper until it is done.
func (d *daemon) do(m wireMessage) (answer wireMessage, listener *os.File) {
	d.t.Helper()
	if err := d.wire.send(m, nil); err != nil {
		d.t.Fatal(err)
	}
	for {
		m, f, err := d.wire.receive()
		if err != nil {
			d.t.Fatal("daemon: ", err)
		}
		switch m.Op {
		case "keep":
			_ = d.store.Keep(m.Name, m.Note, f)
			if f != nil {
				_ = f.Close()
			}
			_ = d.wire.send(wireMessage{Op: "ack"}, nil)
		case "drop":
			_ = d.store.Drop(m.Name)
			_ = d.wire.send(wireMessage{Op: "ack"}, nil)
		case "done":
			if m.Text != "" {
				d.t.Fatal("daemon: ", m.Text)
			}
			return m, f
		}
	}
}

// Keep and Drop are the Store of helperDaemon.
func (w wire) Keep(name string, note []byte, f *os.File) error {
	if err := w.send(wireMessage{Op: "keep", Name: name, Note: note}, f); err != nil {
		return err
	}
	_, _, err := w.receive()
	return err
}

func (w wire) Drop(names ...string) error {
	for _, name := range names {
		if err := w.send(wireMessage{Op: "drop", Name: name}, nil); err != nil {
			return err
		}
		if _, _, err := w.receive(); err != nil {
			return err
		}
	}
	return nil
}

func helperDaemon() int {
	w := wire{3}
	saved := map[string]Saved{}
	var s *Set
	for {
		m, f, err := w.receive()
		if err != nil {
			return 1
		}
		var answer wireMessage
		var file *os.File
		switch m.Op {
		case "saved":
			saved[m.Name] = Saved{Note: m.Note, File: f}
			continue
		case "go":
			s, err = NewSet(Options{Name: "port/test/", Store: w, Saved: saved, Log: func(format string, a ...any) {
				fmt.Fprintf(os.Stderr, "daemon: "+format+"\n", a...)
			}})
		case "open":
			var l *Listener
			if l, err = s.Open(loopback, m.Slot); err == nil {
				file, answer.Addr, answer.Text = l.File, l.Group.Addr().String(), ""
				if !l.Group.Kernel() {
					answer.Name = l.Group.Reason()
				}
			}
		case "use":
			s.Use(m.Slot, m.On)
		case "queue":
			answer.Note, _ = json.Marshal(s.Queue())
		case "close":
			err = s.Close()
		}
		answer.Op = "done"
		if err != nil {
			answer.Text = err.Error()
		}
		if err := w.send(answer, file); err != nil {
			return 1
		}
		if file != nil {
			_ = file.Close()
		}
	}
}
