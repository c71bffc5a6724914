//go:build linux

package adopt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// supervisor is a server that can die.
type supervisor struct {
	*program
	saved string // the file that it saves to
}

func (tr *trap) supervise() *supervisor {
	tr.t.Helper()
	s := &supervisor{saved: filepath.Join(tr.t.TempDir(), "saved")}
	f, err := os.Create(s.saved)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer f.Close()
	cmd := self(tr.t, "supervisor")
	cmd.ExtraFiles = []*os.File{tr.notify, f}
	s.program = startWith(tr.t, cmd, cmd.Start)
	if got := s.line(); got != "serving" {
		tr.t.Fatal(got)
	}
	return s
}

func (s *supervisor) die() (saved []byte) {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.all()
	saved, err := os.ReadFile(s.saved)
	if err != nil {
		s.t.Fatal(err)
	}
	return saved
}

// next serves in the place of one that is gone.
func (tr *trap) next(h Handler, saved []byte) *Server {
	tr.t.Helper()
	s, err := New(Options{Notify: tr.notify, Handler: h, Saved: saved, Log: tr.t.Logf})
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = s.Close() })
	return s
}

// The call was received and the socket bound; then the daemon was killed. The kernel
// tells nobody else of the call: it has to be in the note.
func TestCallOfAServerThatDiedIsBegunAgain(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	first := tr.supervise()
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen name")
	if got := first.line(); got != "bound" {
		t.Fatal(got)
	}
	saved := first.die()
	bound := make(chan bool, 1)
	h := &fake{}
	h.bind = func(_ context.Context, b Bind) error {
		bound <- b.Bound
		return bindFile(b)
	}
	tr.next(h, saved)
	for _, want := range []string{"bind: <nil>", "listen: <nil>", fmt.Sprintf("name: %d <nil>", at.Port())} {
		if got := p.line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !<-bound {
		t.Error("the handler was not told that the socket is bound")
	}
}

// A server that closes leaves what its handler has not decided, and what waits behind
// it, to the next.
func TestCloseLeavesCallsToTheNext(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	var mu sync.Mutex
	var saved []byte
	begun := make(chan struct{})
	h := &fake{}
	h.bind = func(ctx context.Context, _ Bind) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}
	s, err := New(Options{Notify: tr.notify, Handler: h, Log: t.Logf, Save: func(note []byte) error {
		mu.Lock()
		defer mu.Unlock()
		saved = note
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind")
	<-begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-p.lines:
		t.Errorf("the call was answered: %s", line)
	default:
	}
	tr.next(&fake{}, saved)
	if got := p.line(); got != "bind: <nil>" {
		t.Error(got)
	}
}

// receiveAsIfDying takes a call from the kernel and does nothing more.
func (tr *trap) receiveAsIfDying() kernel.Notification {
	tr.t.Helper()
	poll := []unix.PollFd{{Fd: int32(tr.listener.FD), Events: unix.POLLIN}}
	for deadline := time.Now().Add(time.Minute); poll[0].Revents&unix.POLLIN == 0; {
		if _, err := unix.Poll(poll, 100); err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			tr.t.Fatalf("no call: %v", err)
		}
	}
	n, err := kernel.Receive(tr.listener.FD)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

// A daemon can be killed between the kernel and its note.
func TestOrphanCallIsFoundByItsNumber(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	// The predecessor has seen a call, and noted it.
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen")
	n := tr.receiveAsIfDying()
	saved := (&note{Last: n.ID}).encode()
	if err := kernel.Send(tr.listener.FD, kernel.Answer{ID: n.ID, Flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}); err != nil {
		t.Fatal(err)
	}
	if got := p.line(); got != "bind: <nil>" {
		t.Fatal(got)
	}
	tr.receiveAsIfDying() // listen
	// Another program's call waits, received by nobody.
	q := tr.start(self(t, "http", fmt.Sprintf("%s:%d", at.Addr(), at.Port()+1)))
	tr.stopped()
	h := &fake{}
	tr.next(h, saved)
	if got := p.line(); got != "listen: <nil>" {
		t.Error(got)
	}
	if got := q.line(); !strings.HasPrefix(got, "listening") {
		t.Error(got)
	}
	if !strings.Contains(h.told(), fmt.Sprintf("listen %s 7", at)) {
		t.Errorf("the orphan did not come to the handler: %s", h.told())
	}
}

// stopped waits until a call waits to be received.
func (tr *trap) stopped() {
	tr.t.Helper()
	poll := []unix.PollFd{{Fd: int32(tr.listener.FD), Events: unix.POLLIN}}
	for deadline := time.Now().Add(time.Minute); poll[0].Revents&unix.POLLIN == 0; {
		if _, err := unix.Poll(poll, 100); err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			tr.t.Fatalf("no call: %v", err)
		}
	}
}

// If it was the very first call of the filter, its number is found by the second's.
func TestOrphanCallIsFoundWithoutANote(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen")
	tr.receiveAsIfDying()
	h := &fake{}
	tr.next(h, nil)
	q := tr.start(self(t, "http", fmt.Sprintf("%s:%d", at.Addr(), at.Port()+1)))
	for range 2 {
		if got := p.line(); !strings.HasSuffix(got, ": <nil>") {
			t.Error(got)
		}
	}
	if got := q.line(); !strings.HasPrefix(got, "listening") {
		t.Error(got)
	}
	if !strings.Contains(h.told(), fmt.Sprintf("bind %s", at)) {
		t.Errorf("the orphan did not come to the handler: %s", h.told())
	}
}

// Where it cannot be told whose an orphan is, it does not wait for ever all the same.
func TestOrphanCallsThatLookAlikePass(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	var ps []*program
	var last uint64
	for i := range 2 {
		p := tr.start(self(t, "listen", fmt.Sprintf("%s:%d", at.Addr(), int(at.Port())+i)))
		_, _ = fmt.Fprintln(p.in, "bind")
		n := tr.receiveAsIfDying()
		if i == 0 {
			last = n.ID
		}
		ps = append(ps, p)
	}
	h := &fake{}
	tr.next(h, (&note{Last: last}).encode()) // the first one is in no note: this cannot be
	if got := ps[1].line(); got != "bind: <nil>" {
		t.Error(got)
	}
	if h.told() != "" {
		t.Errorf("got %s", h.told())
	}
}

func TestNote(t *testing.T) {
	want := note{Last: 1<<64 - 1, Calls: []request{{ID: 1<<64 - 1, TID: 7, NR: 49, Args: [6]uint64{1<<64 - 1, 2, 3, 4, 5, 6}}}}
	got, err := decodeNote(want.encode())
	if err != nil || got.Last != want.Last || len(got.Calls) != 1 || got.Calls[0] != want.Calls[0] {
		t.Errorf("got %+v, %v", got, err)
	}
	if n, err := decodeNote(nil); err != nil || n.Last != 0 {
		t.Errorf("got %+v, %v", n, err)
	}
	for _, bad := range []string{"", "{}", `{"version":2}`, `{"version":1,"calls":[{"id":1}]}`, "[]", `{"version":1,"last":-1}`} {
		if n, err := decodeNote([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, n)
		}
	}
	many, _ := json.Marshal(note{Version: noteVersion, Calls: make([]request, maxCalls+1)})
	if _, err := decodeNote(many); err == nil {
		t.Error("more calls than there is room for")
	}
}
