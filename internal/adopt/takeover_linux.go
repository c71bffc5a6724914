package adopt

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// A call that was received is never told again, and its caller can only be killed: if
// the server dies, somebody has to answer by the call's number. So a server saves
// each call before it receives the next, unless it has answered it by then. One can
// still be lost between the kernel and the note: the orphan. Its number is found
// because the kernel counts up and knows which numbers wait for an answer; what was
// asked, because /proc shows which threads wait in such a call.

// takeover is what a server has to clear up after its predecessor. It belongs to the
// goroutine that receives.
type takeover struct {
	orphan  uint64           // a call of which nothing but the number is known
	unknown bool             // nothing is known of the numbers yet
	seen    map[int]struct{} // threads whose calls we have, as long as the orphan's is not found
}

// window is how far from a known number to look for the orphan's: numbers are also
// used up by calls whose callers were killed before anybody received them.
const window = 256

// takeOver takes up what the predecessor left, before anything new is received.
func (s *Server) takeOver() {
	n, err := decodeNote(s.o.Saved)
	if err != nil {
		s.o.Log("%v", err)
	}
	s.last, s.saved, s.unknown = n.Last, n.Last, n.Last == 0
	s.seen = map[int]struct{}{}
	known := map[uint64]struct{}{}
	for _, r := range n.Calls {
		if _, twice := known[r.ID]; !twice && kernel.Waits(s.fd, r.ID) {
			known[r.ID] = struct{}{}
			s.room <- struct{}{} // a note has no more calls than there is room for
			s.seen[r.TID] = struct{}{}
			s.take(&call{request: r})
		}
	}
	if !s.unknown {
		for id := n.Last + 1; id != n.Last+1+window; id++ {
			if kernel.Waits(s.fd, id) {
				s.orphan = id
				return
			}
		}
		s.seen = nil
	}
}

// foundFirst looks back from the first number that we learn.
func (s *Server) foundFirst(first uint64) {
	if !s.unknown {
		return
	}
	s.unknown = false
	for id := first - 1; id != first-1-window; id-- {
		if kernel.Waits(s.fd, id) {
			s.orphan = id
			return
		}
	}
	s.seen = nil
}

// findOrphan finds out whose the orphan is: of the threads that wait in a call, the
// one from which we have none after all that waits to be received is received.
func (s *Server) findOrphan() {
	id := s.orphan
	waiting := s.waiting()
	for s.ready() {
		if !s.takeNext(false) {
			return
		}
	}
	defer func() { s.orphan, s.seen = 0, nil }()
	if !kernel.Waits(s.fd, id) {
		return
	}
	var found []request
	for _, r := range waiting {
		if _, ours := s.seen[r.TID]; ours {
			continue
		}
		if now, ok := waitingCall(r.TID); ok && now == r {
			found = append(found, r)
		}
	}
	select {
	case s.room <- struct{}{}:
	case <-s.ctx.Done():
		return // it is not in the note, so the next server finds it again
	}
	if len(found) == 1 {
		c := &call{request: found[0]}
		c.ID = id
		s.take(c)
		return
	}
	s.o.Log("a call was lost with the last server, and is one of %d: it passes", len(found))
	s.finish(&call{request: request{ID: id}}, verdict{pass: true})
}

// waiting returns the calls in which threads of our processes wait, without ids.
func (s *Server) waiting() (list []request) {
	threads, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*") // the pattern is right
	for _, dir := range threads {
		tid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		r, ok := waitingCall(tid)
		if !ok {
			continue
		}
		if _, ours := s.o.Handler.Owner(readStatus(tid).pid); ours {
			list = append(list, r)
		}
	}
	return list
}

// waitingCall tells in which of the calls that we stop a thread waits. None of them
// ever waits for anything but an answer.
func waitingCall(tid int) (request, bool) {
	text, err := readFile(fmt.Sprintf("/proc/%d/syscall", tid))
	if err != nil || bytes.HasPrefix(text, []byte("running")) {
		return request{}, false
	}
	r := request{TID: tid}
	a := &r.Args
	if _, err := fmt.Sscan(string(text), &r.NR, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]); err != nil {
		return request{}, false
	}
	return r, r.NR == unix.SYS_BIND || r.NR == unix.SYS_LISTEN || r.NR == unix.SYS_SHUTDOWN
}
