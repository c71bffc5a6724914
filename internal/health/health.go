// Package health asks an instance's process how it is: by HTTP, by TCP, or by a
// command. It tells changes of the answer and decides nothing.
//
// A check over the network asks an address. Where several instances share it, any
// of them may answer, unless the connection can be steered: see Steer. A command finds
// the instance in its environment.
package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"paceline/internal/app"
)

// Process is what is asked.
type Process struct {
	Dir string   // where a command runs
	Env []string // its environment
	// Grace is how long a process may take to come up: until then a liveness check
	// that has not passed yet does not fail. Counted from the first check.
	Grace time.Duration
	// Prepare adds to a command what has to be so before it is started, such as the
	// user it runs as; nil adds nothing.
	Prepare func(*exec.Cmd)
	// Steer has checks over the network reach this process among those that share its
	// address; nil: any of them may answer.
	Steer Steer
}

// Report is told the first answer of a check and each change of it: nil when it passes.
// A check counts as failed after as many failures in a row as it allows; the error is the
// last of them.
type Report func(name string, failure error)

// ErrSilent is wrapped by the failure of a check that got no answer in its time.
var ErrSilent = errors.New("no answer")

// Run makes the checks of a process until ctx ends. The startup check comes first,
// and is over once it has passed; the others begin then. Report is called from
// several goroutines, none of which is left when Run returns.
func Run(ctx context.Context, h *app.Health, p Process, report Report) {
	if h == nil {
		return
	}
	if h.Startup != nil {
		r := runner{name: "startup", check: h.Startup, process: p, report: report, once: true}
		r.run(ctx)
		if ctx.Err() != nil {
			return
		}
	}
	var wg sync.WaitGroup
	for name, c := range map[string]*app.HealthCheck{"readiness": h.Readiness, "liveness": h.Liveness} {
		if c != nil {
			r := runner{name: name, check: c, process: p, report: report}
			if name == "liveness" && h.Startup == nil { // else it has come up already
				r.patient = time.Now().Add(p.Grace)
			}
			wg.Go(func() { r.run(ctx) })
		}
	}
	wg.Wait()
}

// runner makes one check again and again.
type runner struct {
	name    string
	check   *app.HealthCheck
	process Process
	report  Report
	once    bool      // until it has passed
	patient time.Time // until then it does not fail before it has passed

	told, ok bool // what was reported last
	failures int  // in a row
}

func (r *runner) run(ctx context.Context) {
	timer := time.NewTimer(time.Duration(r.check.Delay))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := Ask(ctx, r.check, r.process)
		if ctx.Err() != nil {
			return
		}
		if r.hear(err); r.ok && r.once {
			return
		}
		timer.Reset(r.pause())
	}
}

// eager is the pause between checks that have not passed yet: an instance that is
// coming up should not wait for the next turn of a long interval.
const eager = 250 * time.Millisecond

func (r *runner) pause() time.Duration {
	every := time.Duration(r.check.Interval)
	if !r.told { // nothing is known yet; what counts as a failure keeps its time
		return min(every, eager)
	}
	return every
}

// hear takes in one answer.
func (r *runner) hear(err error) {
	if err == nil {
		r.failures = 0
		if !r.told || !r.ok {
			r.told, r.ok = true, true
			r.report(r.name, nil)
		}
		return
	}
	r.failures++
	if r.failures < r.limit() || r.told && !r.ok || !r.told && time.Now().Before(r.patient) {
		return
	}
	r.told, r.ok = true, false
	r.report(r.name, err)
}

// limit is how many failures in a row count as one. Before the first answer they
// come at shorter pauses, so that there are more of them in the same time.
func (r *runner) limit() int {
	if r.told {
		return r.check.Retries
	}
	whole := time.Duration(r.check.Retries) * time.Duration(r.check.Interval)
	return max(r.check.Retries, int(whole/min(time.Duration(r.check.Interval), eager)))
}

// Ask makes a check once. The error says what failed.
func Ask(ctx context.Context, c *app.HealthCheck, p Process) error {
	limited, cancel := context.WithTimeout(ctx, time.Duration(c.Timeout))
	defer cancel()
	var err error
	switch to := (&aim{steer: p.Steer}); {
	case c.HTTP != "":
		err = to.over(askHTTP(limited, c.HTTP, to))
	case c.TCP != "":
		err = to.over(askTCP(limited, c.TCP, to))
	default:
		err = askCommand(limited, c.Exec, p)
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w within %s", ErrSilent, c.Timeout)
	}
	return err
}

// client asks anew each time: a kept connection would tell of the past. It trusts
// any certificate, as it asks whether somebody is there and not who.
func client(to *aim) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:       to.dial,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bodyBound is how much of an answer is read, so that the server sees it taken.
const bodyBound = 64 << 10

func askHTTP(ctx context.Context, url string, to *aim) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	q.Header.Set("User-Agent", "paceline-health")
	a, err := client(to).Do(q)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			return inner // the URL is known
		}
		return err
	}
	_, readErr := io.CopyN(io.Discard, a.Body, bodyBound)
	if err := a.Body.Close(); err != nil {
		return err
	}
	switch {
	case a.StatusCode < 200 || a.StatusCode > 399:
		return fmt.Errorf("status %s", a.Status)
	case readErr != nil && !errors.Is(readErr, io.EOF):
		return fmt.Errorf("read the answer: %w", readErr)
	}
	return nil
}

func askTCP(ctx context.Context, addr string, to *aim) error {
	conn, err := to.dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// askCommand runs a command. What it printed last is the reason if it fails.
func askCommand(ctx context.Context, argv []string, p Process) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a child of it may keep the pipe open
	group(cmd)
	if p.Prepare != nil {
		p.Prepare(cmd)
	}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if line := out.last(); line != "" {
		return fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// tail keeps the end of what a command prints.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 512
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = append([]byte(nil), t.b[len(t.b)-keep:]...)
	}
	return len(p), nil
}

// last is the last line that says something.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return strings.TrimSpace(strings.ToValidUTF8(lines[len(lines)-1], "?"))
}
