package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// chatClients come from as many addresses. That all of 16 have one home of two is as
// likely as 1 in 32,768.
const chatClients = 16

// A session of socket.io's polling transport is many requests on many connections. By
// `balance: ip-hash` all of them reach the process that began it, and after a reload
// each client is soon in a session again. Without it no session lasts.
func TestAppChat(t *testing.T) {
	t.Parallel()
	users := map[string]*syscall.Credential{"self": nil} // in the kernel as root, else by hand-off
	if os.Geteuid() == 0 {
		users["nobody"] = sandbox.Nobody()
	}
	for name, user := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startApp(t, "testdata/apps/chat", packages(), user)
			s.pace("start", "ecosystem.toml")
			c := s.chat()
			before := c.homes(s.pids())
			for n, got := range c.count() {
				if got["connect"] != 1 || got["disconnect"]+got["error"] > 0 {
					t.Errorf("client %d: %v, want one session", n, got)
				}
			}
			if slices.Min(before) != 0 || slices.Max(before) != 1 {
				t.Errorf("the homes of %d clients: %v, want both instances", chatClients, before)
			}

			s.pace("reload", "ecosystem.toml")
			after := c.homes(s.pids())
			if !slices.Equal(before, after) {
				t.Errorf("clients were at the instances %v, are at %v", before, after)
			}
			settled := c.count()
			c.wait("more answers", func() bool {
				return !slices.ContainsFunc(c.more(settled), func(m map[string]int) bool { return m["answer"] < 10 })
			})
			for n, got := range c.more(settled) {
				t.Logf("client %d: %v, and after the reload %v", n, settled[n], got)
				if got["disconnect"]+got["error"] > 0 {
					t.Errorf("client %d after the reload: %v, want no end of its session", n, got)
				}
				// Its session has ended with its process and another has begun. In the kernel
				// the old and the new one share their socket for a moment, and there may be
				// several; by hand-off there is one.
				if connects := settled[n]["connect"]; connects < 2 || user != nil && connects > 2 {
					t.Errorf("client %d: %v, want 2 connects", n, settled[n])
				}
			}
			c.end()

			// The same app without it.
			s.pace("delete", "app")
			s.pace("start", "server.js", "--name", "app", "-i", "2", "--balance", "round-robin", "--listen-timeout", "20s")
			c = s.chat()
			c.wait("sessions that fail", func() bool {
				failed := 0
				for _, got := range c.count() {
					if got["error"]+got["disconnect"] > 0 {
						failed++
					}
				}
				return failed > chatClients/2
			})
			c.end()
		})
	}
}

// chatEvent is a line of testdata/apps/chat/clients.js.
type chatEvent struct {
	Client   int    `json:"client"`
	Event    string `json:"event"`
	Reason   string `json:"reason"`
	Instance int    `json:"instance"`
	PID      int    `json:"pid"`
}

// chat is clients that run.
type chat struct {
	t   *testing.T
	cmd *exec.Cmd

	mu   sync.Mutex // guards said
	said []chatEvent
	over chan struct{} // closed after the last event
}

// chat starts the clients.
func (s *appUnderTest) chat() *chat {
	s.t.Helper()
	c := &chat{t: s.t, cmd: s.program("node", "clients.js", strconv.Itoa(s.port), strconv.Itoa(chatClients)), over: make(chan struct{})}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go c.read(out)
	s.t.Cleanup(c.end)
	return c
}

func (c *chat) read(out io.Reader) {
	defer close(c.over)
	for in := bufio.NewScanner(out); in.Scan(); {
		var e chatEvent
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			e = chatEvent{Event: "error", Reason: in.Text()}
		}
		c.mu.Lock()
		c.said = append(c.said, e)
		c.mu.Unlock()
	}
}

// end stops the clients, and does nothing the second time.
func (c *chat) end() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.over
		_ = c.cmd.Wait() // killed
	}
}

func (c *chat) events() []chatEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}

// count returns how many events of each kind each client has had.
func (c *chat) count() []map[string]int {
	list := make([]map[string]int, chatClients)
	for i := range list {
		list[i] = map[string]int{}
	}
	for _, e := range c.events() {
		list[e.Client][e.Event]++
	}
	return list
}

// more returns how many events there have been since.
func (c *chat) more(since []map[string]int) []map[string]int {
	list := c.count()
	for n, was := range since {
		for event, count := range was {
			list[n][event] -= count
		}
	}
	return list
}

// wait waits until it is so.
func (c *chat) wait(what string, so func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	if err := proc.Poll(c.t.Context(), 20*time.Millisecond, func() (bool, error) {
		return so() || time.Now().After(deadline), nil
	}); err != nil || !so() {
		c.t.Fatalf("%s: %v (%v); the last events: %+v", what, c.count(), err, last(c.events(), 20))
	}
}

func last[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// homes waits until each client has had ten answers by those processes, and returns
// its instance, which must be one.
func (c *chat) homes(pids []int) []int {
	c.t.Helper()
	homes, answers := make([]int, chatClients), make([]int, chatClients)
	c.wait("answers to each client", func() bool {
		clear(answers)
		for _, e := range c.events() {
			if e.Event != "answer" || !slices.Contains(pids, e.PID) {
				continue
			}
			if answers[e.Client]++; answers[e.Client] > 1 && homes[e.Client] != e.Instance {
				c.t.Fatalf("client %d is at instance %d and at %d", e.Client, homes[e.Client], e.Instance)
			}
			homes[e.Client] = e.Instance
		}
		return slices.Min(answers) >= 10
	})
	return homes
}
