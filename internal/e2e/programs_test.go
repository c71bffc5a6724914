package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// copies is how many instances share the port.
const copies = 3

// enough is how many requests each load makes at least: PACELINE_E2E_REQUESTS.
func enough(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PACELINE_E2E_REQUESTS")
	if text == "" {
		return 500
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PACELINE_E2E_REQUESTS=%s is no number of requests", text)
	}
	return n
}

// Any server shares one port among its instances, unmodified, and is reloaded
// without a failed request: as root, and as a user without any right.
func TestPrograms(t *testing.T) {
	users := map[string]*syscall.Credential{"self": nil}
	if os.Geteuid() == 0 {
		users = map[string]*syscall.Credential{"root": nil, "nobody": sandbox.Nobody()}
	}
	shop := &workshop{}
	for _, p := range servers() {
		for _, name := range slices.Sorted(maps.Keys(users)) {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				t.Parallel() // each mostly waits; with a home and a port of its own
				s := newProgram(t, shop, p, users[name])
				s.start(copies)
				s.answers(copies)
				t.Run("reload", func(t *testing.T) { s.on(t).reload(copies) })
				if !p.all {
					return
				}
				t.Run("daemon killed, then reload", func(t *testing.T) {
					s := s.on(t)
					s.killDaemon()
					s.answers(copies)
					s.reload(copies)
				})
				t.Run("instance killed", func(t *testing.T) { s.on(t).killOne() })
				s.pace("delete", "app")
				s.start(1)
				t.Run("single restart", func(t *testing.T) { s.on(t).restart() })
				t.Run("single reload", func(t *testing.T) { s.on(t).reload(1) })
				t.Run("conflict", func(t *testing.T) { s.on(t).conflict() })
				t.Run("stop", func(t *testing.T) { s.on(t).stop() })
			})
		}
	}
}

// tested is a program under pace.
type tested struct {
	service
	p     program
	port  int
	built string // the folder with what it has built
}

func newProgram(t *testing.T, shop *workshop, p program, user *syscall.Credential) *tested {
	t.Helper()
	port, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Release() })
	// Servers are often in sbin, which a user's PATH may lack.
	env := append([]string{"PORT=" + strconv.Itoa(port.Number), "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/usr/bin:/bin"}, p.env...)
	s := &tested{service: service{newSandboxAs(t, user, env...), t, port.Addr()}, p: p, port: port.Number}
	for _, need := range p.needs {
		programs := []string{need}
		if need == "jdk" {
			programs = []string{"java", "javac"}
		}
		for _, name := range programs {
			if _, err := s.LookPath(t.Context(), name); err != nil {
				without(t, err, need)
			}
		}
	}
	if p.build != nil {
		s.built = shop.built(t, p.tool, p.build)
	}
	// A copy that the user can read, in a folder where it can write.
	if err := os.CopyFS(s.dir(), os.DirFS(programSources)); err != nil {
		t.Fatal(err)
	}
	if user != nil {
		if err := os.Chown(s.dir(), int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *tested) dir() string { return filepath.Join(s.Dir, "app") }

// on is the same within another test.
func (s *tested) on(t *testing.T) *tested {
	c := *s
	c.t = t
	return &c
}

func (s *tested) start(instances int) {
	s.t.Helper()
	s.pace(s.startWords("app", instances)...)
	s.answering()
}

// answering waits until somebody answers.
func (s *tested) answering() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := proc.Poll(ctx, 10*time.Millisecond, func() (bool, error) {
		r := load.Run(ctx, load.Config{Addr: s.addr, Clients: 1, Requests: 1})
		return r.Failed == 0 && ctx.Err() == nil, nil
	}); err != nil {
		s.t.Fatalf("the program does not answer: %v", err)
	}
}

// startWords is the command that starts the program under a name. The options come
// first, as the words of the program may begin with "--".
func (s *tested) startWords(name string, instances int, options ...string) []string {
	words := append([]string{
		"start", "--name", name, "-i", strconv.Itoa(instances), "--cwd", s.dir(),
		"--kill-timeout", "15s", "--listen-timeout", "60s",
	}, options...)
	command := slices.Clone(s.p.start(s.port, s.built))
	// A script is looked for from here, and runs in its folder.
	if file := filepath.Join(s.dir(), command[0]); filepath.Ext(file) != "" && fileExists(file) {
		command[0] = file
	}
	return append(words, command...)
}

func fileExists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// answer is what each program says.
var answer = regexp.MustCompile(`^instance (\d+) process \d+\n$`)

func checkAnswer(body []byte) error {
	if !answer.Match(body) {
		return errors.New("not the program's")
	}
	return nil
}

// load is new connections, so many that all are busy but few enough that the
// backlog of 5 that some servers have holds them.
func (s *tested) load(requests int) load.Config {
	c := load.Config{Addr: s.addr, Timeout: patience, Clients: 4, Requests: requests, Check: checkAnswer}
	switch {
	case slices.ContainsFunc(s.p.env, func(kv string) bool { return strings.HasPrefix(kv, "DELAY=") }):
		c.Clients = 60
	case enough(s.t) <= 1000: // the tests beside this one need the processor too
		c.Pause = 2 * time.Millisecond
	}
	return c
}

// answers makes requests until each instance has answered, for a bounded number of
// them, and returns all the different answers.
func (s *tested) answers(instances int) map[string]bool {
	s.t.Helper()
	const most = 2000
	bodies, seen, made := map[string]bool{}, map[string]int{}, 0
	for made < most && (made < 100 || len(seen) < instances) {
		r := load.Run(s.t.Context(), s.load(50))
		if r.Failed > 0 {
			s.t.Fatalf("%v", r)
		}
		made += r.Requests
		for body, n := range r.Bodies {
			bodies[body] = true
			seen[answer.FindStringSubmatch(body)[1]] += n
		}
	}
	if len(seen) != instances {
		s.t.Errorf("of %d instances %d answered %d requests: %v", instances, len(seen), made, seen)
	}
	return bodies
}

// reload replaces all under load, and no request fails.
func (s *tested) reload(instances int) {
	s.t.Helper()
	want := enough(s.t)
	pids, bodies := s.pids(), s.answers(instances)
	var took time.Duration
	r := s.during(s.load(0), want, func() {
		begun := time.Now()
		s.pace("reload", "app")
		took = time.Since(begun)
	})
	s.t.Logf("%v; reload took %v; p50 %v, max %v", r, took.Round(time.Millisecond), r.Quantile(0.5), r.Quantile(1))
	if r.Failed != 0 || r.Requests < want {
		s.t.Errorf("%v; want at least %d and none failed", r, want)
	}
	s.allNew(pids)
	for body := range s.answers(instances) {
		if bodies[body] {
			s.t.Errorf("after the reload an old process still answers: %q", body)
		}
	}
}

// allNew fails if an instance has no process, or one of those.
func (s *tested) allNew(old []int) {
	s.t.Helper()
	pids := s.pids()
	if len(pids) != len(old) {
		s.t.Errorf("pids %v, were %v", pids, old)
	}
	for _, pid := range pids {
		if pid == 0 || slices.Contains(old, pid) {
			s.t.Errorf("pids %v, were %v; want a new one for each", pids, old)
		}
	}
}

// killOne kills an instance while 500 requests per second come. Those that are on
// their way when it dies may have been accepted by it; all others are answered, and
// none waits for the dead.
func (s *tested) killOne() {
	s.t.Helper()
	c := s.load(1000)
	c.Rate = 500
	var mu sync.Mutex // guards all
	var all []load.Request
	underway := make(chan struct{})
	c.Each = func(q load.Request) {
		mu.Lock()
		defer mu.Unlock()
		if all = append(all, q); len(all) == 300 {
			close(underway)
		}
	}
	result := make(chan load.Result, 1)
	victim := s.pids()[0]
	go func() { result <- load.Run(s.t.Context(), c) }()
	<-underway
	killed := time.Now()
	if err := proc.Kill(victim); err != nil {
		s.t.Fatal(err)
	}
	if err := proc.WaitGone(s.t.Context(), victim); err != nil {
		s.t.Fatal(err)
	}
	gone := time.Now()
	r := <-result
	// What the program itself needs on this machine is seen before the death.
	limit := 2 * time.Second
	for _, q := range all {
		if q.Begun.Add(q.Took).Before(killed) {
			limit = max(limit, 2*time.Second+4*q.Took)
		}
	}
	onTheWay, slow, late := 0, 0, 0
	for _, q := range all {
		mine := q.Begun.Before(gone) && q.Begun.Add(q.Took).After(killed)
		if mine {
			onTheWay++
		}
		if q.Err != nil && !mine {
			if late++; late <= 3 {
				s.t.Errorf("a request that began %v after the kill failed after %v: %v", q.Begun.Sub(killed), q.Took, q.Err)
			}
		}
		if q.Took > limit {
			slow++
		}
	}
	s.t.Logf("%v; %d on their way in the %v of the death; max %v", r, onTheWay, gone.Sub(killed), r.Quantile(1))
	if r.Failed > onTheWay || slow > 0 {
		s.t.Errorf("%v, %d of them not on their way then; %d were; %d took longer than %v", r, late, onTheWay, slow, limit)
	}
	s.pace("wait", "app", "online")
	s.answers(copies)
}

// restart stops the only instance and starts it again. What it was answering may
// be cut off; who comes meanwhile waits.
func (s *tested) restart() {
	s.t.Helper()
	before := s.pids()
	c := s.load(0)
	c.Clients, c.Pause = 2, 5*time.Millisecond
	r := s.during(c, 300, func() { s.pace("restart", "app") })
	s.t.Logf("%v; max %v", r, r.Quantile(1))
	if refused := r.Errors["connection refused"]; refused > 0 || r.Hung > 0 || r.Failed > c.Clients {
		s.t.Errorf("%v; want none refused or hung, and at most the %d under way cut off", r, c.Clients)
	}
	s.allNew(before)
}

var addressInUse = regexp.MustCompile(`(?i)EADDRINUSE|address already in use|errno 98\b`)

// conflict starts another app on the port: it is told that the port is taken, as
// it would be without pace, and the first one does not notice.
func (s *tested) conflict() {
	s.t.Helper()
	ctx := s.t.Context()
	out, err := s.Pace(ctx, s.startWords("second", 1, "--max-restarts", "1")...)
	said := fmt.Sprintf("%s\n%v", out, err)
	pollErr := proc.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		list, err := s.Instances(ctx)
		for _, in := range list {
			if in.Name == "second" && in.Env.Status == "errored" {
				text, err := os.ReadFile(in.Env.ErrFile)
				said += "\n" + string(text)
				return true, err
			}
		}
		return false, err
	})
	if pollErr != nil {
		s.t.Fatal(pollErr)
	}
	if !addressInUse.MatchString(said) {
		s.t.Errorf("the second app is not told that the address is in use:\n%s", said)
	}
	first := ""
	for body := range s.answers(1) {
		if first != "" {
			s.t.Errorf("%q and %q answer", first, body)
		}
		first = body
	}
	s.pace("delete", "second")
}

// stop gives the port back at once, and a start takes it again.
func (s *tested) stop() {
	s.t.Helper()
	s.pace("stop", "app")
	if err := s.dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		begun := time.Now()
		for time.Since(begun) < 5*time.Second && s.dial() == nil {
		}
		s.t.Errorf("after a stop: %v, want it refused; %v later: %v", err, time.Since(begun), s.dial())
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Errorf("after a stop nobody else can have the port: %v", err)
	} else {
		l.Close()
	}
	s.pace("restart", "app")
	s.answering()
}

// dial returns why the port cannot be reached.
func (s *tested) dial() error {
	conn, err := net.Dial("tcp", s.addr)
	if err == nil {
		err = conn.Close()
	}
	return err
}
