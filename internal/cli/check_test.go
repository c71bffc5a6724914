package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
	"paceline/internal/probe"
)

// subject is a real server with a daemon around it that is none: what check does
// to its copy happens to connections here.
type subject struct {
	*fake
	listener net.Listener
	exited   chan app.Exit // how the old process ends
	ending   sync.WaitGroup

	// What it does wrong.
	drops bool        // ends kept connections when it is replaced
	exit  app.Exit    // of the old process
	first *app.Status // instead of one that listens
	fails *api.Error  // of the reload
	verif []api.Verification
	notes []string

	mu       sync.Mutex // guards what follows
	name     string     // of the copy; "" while there is none
	spec     app.Spec
	gen      uint64
	open     map[net.Conn]uint64
	reloaded func() // called when a reload begins
}

func newSubject(t *testing.T) *subject {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{listener: l, exited: make(chan app.Exit, 1), open: map[net.Conn]uint64{}, gen: 1}
	s.fake = newFake(t, map[string]func(*http.Request) any{
		api.OpApps: s.apps, api.OpStart: s.start, api.OpInstances: s.instances, api.OpReload: s.reload,
		api.OpDelete: s.remove, api.OpEvents: s.events,
	})
	s.ending.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.ending.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); s.endAll(func(uint64) bool { return true }); s.ending.Wait() })
	return s
}

// serve answers requests, with a word of the end once its process is the old one.
func (s *subject) serve(c net.Conn) {
	s.mu.Lock()
	mine := s.gen
	s.open[c] = mine
	s.mu.Unlock()
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		s.mu.Lock()
		last := s.gen != mine
		s.mu.Unlock()
		word := ""
		if last {
			word = "Connection: close\r\n"
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\n"+word+"Content-Length: 2\r\n\r\nok")
		if last {
			return
		}
	}
}

func (s *subject) endAll(which func(gen uint64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, gen := range s.open {
		if which(gen) {
			c.Close()
		}
	}
}

// known is the app that is checked, not its copy.
func (s *subject) known() api.AppInfo {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd, spec.Interpreter = "api", "/srv/api.py", "/srv", "/usr/bin/python3"
	spec.Env = map[string]string{"PASSWORD": "hunter2"}
	spec.Mode, spec.Instances, spec.Balance = app.Cluster, 4, app.Shared
	spec.Sockets = []string{"web=*:80", "/run/x.sock"}
	return api.AppInfo{Spec: spec, Instances: []app.Status{{ID: 0, Name: "api", Ports: []string{"*:80", "/run/x.sock"}}}}
}

func (s *subject) apps(*http.Request) any { return []api.AppInfo{s.known()} }

func (s *subject) start(r *http.Request) any {
	q, err := api.DecodeStart(r.Body)
	if err != nil {
		return api.AsError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec, s.name = q.Specs[0], q.Specs[0].Name
	return api.ActionReply{Instances: []app.Status{s.status()}}
}

func (s *subject) status() app.Status {
	st := app.Status{
		ID: 9, Name: s.name, State: app.Online, Ready: true, PID: os.Getpid(), Gen: s.gen, StartedAt: time.Now(),
		Ports: []string{s.listener.Addr().String()}, Notes: s.notes,
	}
	if s.first != nil {
		st = *s.first
		st.Name = s.name
	}
	return st
}

func (s *subject) instances(*http.Request) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name == "" {
		return &api.Error{Code: api.CodeNotFound, Message: "not found"}
	}
	return []app.Status{s.status()}
}

func (s *subject) reload(r *http.Request) any {
	if s.reloaded != nil {
		s.reloaded()
	}
	if s.fails != nil {
		return s.fails
	}
	s.mu.Lock()
	old := s.gen
	s.gen++
	s.mu.Unlock()
	if s.drops {
		s.endAll(func(gen uint64) bool { return gen == old })
	}
	s.exited <- s.exit
	return api.ActionReply{Instances: []app.Status{}, Verified: s.verif}
}

func (s *subject) remove(*http.Request) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = ""
	return api.ActionReply{Instances: []app.Status{}}
}

func (s *subject) events(r *http.Request) any {
	return func(w http.ResponseWriter) {
		e, err := api.NewEventWriter(w)
		if err != nil {
			return
		}
		select {
		case exit := <-s.exited:
			s.mu.Lock()
			event := app.Event{Type: app.EventExit, Name: s.name, Gen: s.gen - 1, Exit: &exit}
			s.mu.Unlock()
			if err := errors.Join(e.Send(event), e.Flush()); err != nil && r.Context().Err() == nil {
				s.t.Error(err)
			}
		case <-r.Context().Done():
		}
	}
}

// check runs the command in less time than a user's takes, and holds it to leave
// no copy behind.
func (s *subject) check(ctx context.Context, target string) result {
	s.t.Helper()
	var stdout, stderr strings.Builder
	c := newCLI(Options{
		Home: s.home, Stdout: &stdout, Stderr: &stderr, Version: s.version, Now: now, Environ: []string{"PATH=/usr/bin:/bin"},
	})
	k := check{
		cli: c, path: "/", phase: 300 * time.Millisecond, limit: 300 * time.Millisecond,
		load: probe.Load{Rate: 50, Kept: 4, Every: 20 * time.Millisecond, Timeout: 5 * time.Second},
	}
	err := k.command(ctx, ecosystem.StartOptions{Target: target, Environ: c.Environ}, pflag.NewFlagSet("", pflag.ContinueOnError))
	c.client.Close()
	c.local.Close()
	if e := c.out.Flush(); e != nil {
		s.t.Error(e)
	}
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	if err != nil {
		r.exit = 1
		if !errors.Is(err, errQuiet) {
			r.stderr += err.Error()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name != "" {
		s.t.Errorf("the copy %s is left behind", s.name)
	}
	return r
}

func TestCheckFindsNothing(t *testing.T) {
	s := newSubject(t)
	r := s.check(t.Context(), "api")
	r.want(t, 0, "✓ nothing found", "")
	for _, part := range []string{"api (python): listened after", "reloaded in", "on new connections", " answered", "--path"} {
		if !strings.Contains(r.stdout, part) {
			t.Errorf("no %q in:\n%s", part, r.stdout)
		}
	}
	c := s.spec
	if !strings.HasPrefix(c.Name, "api-check-") || c.Instances != 1 || c.Mode != app.Fork || c.Balance != "" || c.Remap != app.RemapLoopback ||
		c.OutFile != os.DevNull || c.ErrFile != os.DevNull || !c.NoAutorestart || c.Env["PASSWORD"] != "hunter2" || c.Exec != "/srv/api.py" {
		t.Errorf("the copy is %+v", c)
	}
	if len(c.Sockets) != 2 || c.Sockets[0] != "web=127.0.0.1:0" || !strings.HasPrefix(c.Sockets[1], "@pace-check-") {
		t.Errorf("the copy has the sockets %q", c.Sockets)
	}
	requests := strings.Split(s.requests(), "\n")
	if len(requests) != 3 || !strings.HasPrefix(requests[0], "start ") ||
		requests[1] != `reload {"targets":["`+c.Name+`"],"verify":true}` || requests[2] != `delete {"targets":["`+c.Name+`"]}` {
		t.Errorf("requests %q", requests)
	}
}

func TestCheckFindings(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*subject)
		want []string
		not  string
	}{
		"drops connections, no handler": {
			func(s *subject) { s.drops, s.exit = true, app.Exit{Code: -1, Signal: "SIGINT"} },
			[]string{"✗ SIGINT ends it", "signal.signal(signal.SIGINT", "kept-alive connection", "send_header('Connection', 'close')"},
			"",
		},
		"killed": {
			func(s *subject) { s.exit = app.Exit{Code: -1, Signal: "SIGKILL"} },
			[]string{"still there 1.6s after SIGINT", "--kill-timeout"},
			"no handler",
		},
		"counted by the daemon": {
			func(s *subject) { s.verif = []api.Verification{{App: "x", Reset: 3}, {Reset: api.Unknown}} },
			[]string{"3 requests got no whole answer"},
			"",
		},
		"notes": {
			func(s *subject) {
				s.notes = []string{"x", app.NoteSmallBacklog + ": listen(5)", app.NoteEpollFirst + ": fd 4"}
			},
			[]string{"✗ small backlog: listen(5)", "request_queue_size", "✗ epoll before listen: fd 4"},
			"",
		},
		"reload fails": {
			func(s *subject) { s.fails = &api.Error{Code: api.CodeReloadFailed, Message: "it listens\nelsewhere"} },
			[]string{"✗ the reload failed: it listens; elsewhere", "no fixed pid or lock file"},
			"reloaded in",
		},
		"forks away": {
			func(s *subject) {
				s.first = &app.Status{State: app.Stopped, LastExit: &app.Exit{Uptime: app.Duration(40 * time.Millisecond)}}
			},
			[]string{"✗ the process that was started ended with exit code 0 after 40ms", "gunicorn without --daemon"},
			"reloaded",
		},
		"never listens, and is ended for it": {
			func(s *subject) {
				s.first = &app.Status{State: app.Errored, LastExit: &app.Exit{Code: -1, Signal: "SIGKILL", Wanted: true}}
				s.set(api.OpStart, func(r *http.Request) any {
					s.start(r)
					return &api.Error{Code: api.CodeStartFailed, Message: "not ready"}
				})
			},
			[]string{"✗ it listened on no TCP address"},
			"reloaded",
		},
		"never listens": {
			func(s *subject) { s.first = &app.Status{State: app.Online, PID: 1, Ports: []string{"/run/x"}} },
			[]string{"✗ it listened on no TCP address within 300ms", "--socket"},
			"reloaded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t)
			c.set(s)
			spec := s.known().Spec
			if name == "never listens" { // its own time counts, if that is longer
				spec.ListenTimeout = 0
				s.set(api.OpApps, give([]api.AppInfo{{Spec: spec}}))
			}
			r := s.check(t.Context(), "api")
			r.want(t, 1, c.want[0], "")
			for _, part := range c.want {
				if !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), part) {
					t.Errorf("no %q in:\n%s", part, r.stdout)
				}
			}
			if c.not != "" && strings.Contains(r.stdout, c.not) {
				t.Errorf("%q in:\n%s", c.not, r.stdout)
			}
		})
	}
}

func TestCheckThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*subject)
		want string
	}{
		"comes down": {
			func(s *subject) {
				s.first = &app.Status{State: app.Errored, LastExit: &app.Exit{Code: 3, Stderr: []string{"no database"}}}
			}, "the copy did not come up: exit code 3",
		},
		"is not moved": {
			func(s *subject) { s.first = &app.Status{State: app.Online, PID: 1, Ports: []string{"*:80"}} },
			"the copy listens on *:80, not on a port of its own: nothing was sent to it",
		},
		"start is refused": {
			func(s *subject) {
				s.set(api.OpStart, give(&api.Error{Code: api.CodeUnsupported, Message: "no adoption here"}))
			}, "no adoption here",
		},
		"reload is refused": {
			func(s *subject) { s.fails = &api.Error{Code: api.CodeBusy, Message: "not now"} }, "not now",
		},
		"several apps": {
			func(s *subject) { s.set(api.OpApps, give([]api.AppInfo{s.known(), s.known()})) }, "api means 2 apps; check one at a time",
		},
		"a unix socket of its own": {
			func(s *subject) {
				a := s.known()
				a.Spec.Sockets = nil
				s.set(api.OpApps, give([]api.AppInfo{a}))
			}, "api listens on /run/x.sock, which a copy would take away from it",
		},
		"another version": {func(s *subject) { s.version = "0.9.0" }, "the daemon runs 0.9.0"},
		"copy stays": {
			func(s *subject) {
				s.set(api.OpDelete, func(r *http.Request) any {
					s.remove(r)
					return &api.Error{Code: api.CodeInternal, Message: "it broke"}
				})
			}, "delete the copy: it broke",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t)
			c.set(s)
			version := s.version
			s.version = "1.0.0" // what the CLI is
			if version != s.version {
				s.set(api.OpApps, func(*http.Request) any {
					return func(w http.ResponseWriter) {
						w.Header().Set(api.VersionHeader, version)
						json.NewEncoder(w).Encode([]api.AppInfo{s.known()})
					}
				})
			}
			if r := s.check(t.Context(), "api"); r.exit != 1 || !strings.Contains(r.stderr, c.want) {
				t.Errorf("got %+v, want %q", r, c.want)
			}
		})
	}
}

func TestCheckInterrupted(t *testing.T) {
	s := newSubject(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.reloaded = cancel
	if r := s.check(ctx, "api"); r.exit != 1 || !strings.Contains(r.stderr, context.Canceled.Error()) {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(s.requests(), "delete ") {
		t.Error("the copy was not deleted")
	}
}

func TestCheckOfAScript(t *testing.T) {
	s := newSubject(t)
	s.set(api.OpApps, unknown)
	dir := t.TempDir()
	script(t, dir, "serve.sh")
	s.check(t.Context(), filepath.Join(dir, "serve.sh")).want(t, 0, "serve (program)", "")
	if s.spec.Exec != filepath.Join(dir, "serve.sh") {
		t.Errorf("the copy is %+v", s.spec)
	}
}

func TestCheckOfWhatIsNoHTTP(t *testing.T) {
	s := newSubject(t)
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
			io.WriteString(c, "220 ready\r\n")
			c.Close()
		}
	})
	defer wg.Wait()
	defer l.Close()
	s.first = &app.Status{State: app.Online, PID: 1, Gen: 1, Ports: []string{l.Addr().String()}}
	s.check(t.Context(), "api").want(t, 0, "does not speak HTTP/1", "")
}

func TestCheckArguments(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpApps: apps})
	for args, want := range map[string]string{
		"check":                 "name what to check",
		"check a b":             "name one thing",
		"check api --path slow": "--path \"slow\" is not a path",
		"check all":             "all means 2 apps",
	} {
		f.run(strings.Fields(args)...).want(t, 1, "", want)
	}
	f.set(api.OpApps, unknown)
	f.run("check", "app.json").want(t, 1, "", "there is no such file")
	f.run("check", "-").want(t, 1, "", "standard input")
	f.set(api.OpApps, give([]api.AppInfo{sampleApps(false)[1]}))
	f.run("check", "api", "--kill-signal", "TERM", "--path", "/x", "--", "y").want(t, 1, "", "api exists, and is checked as it is configured, without --kill-signal, --")
}
