package probe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers each connection as serve says, until the test ends.
func server(t *testing.T, serve func(c *net.TCPConn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

const (
	ok    = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	last  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	http0 = "HTTP/1.0 200 OK\r\n\r\nok"
)

// says answers each request of a connection with the next of the texts, then
// closes it.
func says(texts ...string) func(*net.TCPConn, *bufio.Reader) {
	return func(c *net.TCPConn, r *bufio.Reader) {
		for _, text := range texts {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(c, text)
		}
	}
}

// resets reads a request and ends the connection by a reset.
func resets(c *net.TCPConn, r *bufio.Reader) {
	http.ReadRequest(r)
	c.SetLinger(0)
}

// mute answers nothing until the client has gone.
func mute(_ *net.TCPConn, r *bufio.Reader) { io.Copy(io.Discard, r) }

func TestOutcomesOfOneRequest(t *testing.T) {
	closed := server(t, mute)
	func() { // an address where nobody listens
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed = l.Addr().String()
		l.Close()
	}()
	for name, c := range map[string]struct {
		address string
		want    Outcome
		keeps   bool
	}{
		"keeps alive":          {server(t, says(ok, ok)), Answered, true},
		"says close":           {server(t, says(last)), Answered, false},
		"HTTP/1.0":             {server(t, says(http0)), Answered, false},
		"nobody listens":       {closed, Refused, false},
		"resets":               {server(t, resets), Reset, false},
		"closes":               {server(t, says("")), Reset, false},
		"cuts the head":        {server(t, says("HTTP/1.1 200 OK\r\nCont")), Cut, false},
		"cuts the body":        {server(t, says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")), Cut, false},
		"cuts a chunk":         {server(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok")), Cut, false},
		"is mute":              {server(t, mute), Hung, false},
		"is mute after a head": {server(t, func(c *net.TCPConn, r *bufio.Reader) { io.WriteString(c, ok[:len(ok)-1]); mute(c, r) }), Hung, false},
		"is not HTTP":          {server(t, says("220 smtp.example.org ESMTP\r\n")), Garbled, false},
	} {
		t.Run(name, func(t *testing.T) {
			limit := time.Minute
			if c.want == Hung {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			r, next := Target{Address: c.address, Path: "/"}.request(ctx, nil, true)
			defer next.end()
			if r.Outcome != c.want || (next != nil) != c.keeps || r.Kept || (r.Err != nil) == (c.want == Answered) {
				t.Errorf("got %+v, kept %v, want %s, %v", r, next != nil, c.want, c.keeps)
			}
			if (r.Status == 200) != (c.want == Answered) && c.want != Cut && c.want != Hung {
				t.Errorf("status %d", r.Status)
			}
		})
	}
}

func TestKeptConnections(t *testing.T) {
	ctx := t.Context()
	target := Target{Address: server(t, says(ok, "")), Path: "/"}
	r, c := target.request(ctx, nil, true)
	if r.Outcome != Answered || c == nil || c.closed() {
		t.Fatalf("got %+v", r)
	}
	if r, next := target.request(ctx, c, true); r.Outcome != Dropped || !r.Kept || next != nil {
		t.Errorf("a second request without an answer: got %+v", r)
	}

	over := make(chan struct{})
	target = Target{Address: server(t, func(c *net.TCPConn, r *bufio.Reader) {
		says(ok)(c, r)
		c.Close()
		close(over)
	}), Path: "/"}
	_, c = target.request(ctx, nil, true)
	defer c.end()
	<-over
	for deadline := time.Now().Add(time.Minute); !c.closed(); {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection is not seen as one")
		}
	}
}

func TestFind(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	picky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	defer picky.Close()
	smtp := server(t, func(c *net.TCPConn, r *bufio.Reader) { io.WriteString(c, "220 x\r\n"); mute(c, r) })
	of := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for name, c := range map[string]struct {
		addresses []string
		want      Target
	}{
		"plain":           {[]string{of(plain)}, Target{Address: of(plain), Path: "/"}},
		"TLS":             {[]string{of(secure)}, Target{Address: of(secure), Path: "/", TLS: true}},
		"400 to anything": {[]string{of(picky)}, Target{Address: of(picky), Path: "/"}},
		"the second":      {[]string{smtp, of(plain)}, Target{Address: of(plain), Path: "/"}},
	} {
		got, err := Find(t.Context(), c.addresses, "/", 200*time.Millisecond)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	if _, err := Find(t.Context(), []string{smtp}, "/", 100*time.Millisecond); !errors.Is(err, ErrNoHTTP) {
		t.Errorf("smtp: got %v, want ErrNoHTTP", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, []string{of(plain)}, "/", time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// quick is a load that fits a test.
func quick() Load {
	return Load{Rate: 100, Kept: 4, Every: 20 * time.Millisecond, Timeout: time.Minute}
}

// runUntil runs load until enough requests have come to the server.
func runUntil(t *testing.T, target Target, enough <-chan struct{}) []Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		<-enough
		cancel()
	}()
	results := target.Run(ctx, quick())
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatal("the load did not come")
	}
	return results
}

// after is closed when it has been called n times.
func after(n int) (call func(), enough chan struct{}) {
	enough = make(chan struct{})
	var mu sync.Mutex
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			close(enough)
		}
	}, enough
}

func count(results []Result) (fresh, kept map[Outcome]int) {
	fresh, kept = map[Outcome]int{}, map[Outcome]int{}
	for _, r := range results {
		if r.Kept {
			kept[r.Outcome]++
		} else {
			fresh[r.Outcome]++
		}
	}
	return fresh, kept
}

func TestRun(t *testing.T) {
	call, enough := after(120)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { call(); io.WriteString(w, "ok") }))
	defer s.Close()
	results := runUntil(t, Target{Address: s.Listener.Addr().String(), Path: "/"}, enough)
	fresh, kept := count(results)
	if len(fresh) != 1 || len(kept) != 1 || fresh[Answered] < 10 || kept[Answered] < 10 || len(results) < 120 {
		t.Errorf("got %v and %v", fresh, kept)
	}
	for i := range results[1:] {
		if results[i+1].Began.Before(results[i].Began) {
			t.Fatal("not in order")
		}
	}
}

func TestRunAgainstAServerThatDropsConnections(t *testing.T) {
	call, enough := after(60)
	address := server(t, func(c *net.TCPConn, r *bufio.Reader) { call(); says(ok)(c, r) })
	fresh, kept := count(runUntil(t, Target{Address: address, Path: "/"}, enough))
	if fresh[Answered] < 20 || len(fresh) != 1 || kept[Closed]+kept[Dropped] < 5 || kept[Answered] > 0 {
		t.Errorf("got %v and %v", fresh, kept)
	}
}

func TestRunAgainstAServerThatHangs(t *testing.T) {
	call, enough := after(5)
	address := server(t, func(c *net.TCPConn, r *bufio.Reader) { call(); mute(c, r) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-enough; cancel() }()
	load := quick()
	load.Timeout = 100 * time.Millisecond
	for _, r := range (Target{Address: address, Path: "/"}).Run(ctx, load) {
		if r.Outcome != Hung {
			t.Fatalf("got %+v", r)
		}
	}
}

func TestOutcomeWords(t *testing.T) {
	for o := Answered; o <= Garbled; o++ {
		if o.String() == "" || o.Lost() == (o == Answered || o == Closed) {
			t.Errorf("outcome %d: %q, lost %v", o, o, o.Lost())
		}
	}
	if got := Outcome(99).String(); got != "outcome 99" {
		t.Errorf("got %q", got)
	}
}
