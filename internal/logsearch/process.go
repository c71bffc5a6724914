package logsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"paceline/internal/api"
	"paceline/internal/logs/search"
)

// Role is the argument by which the program plays this part.
const Role = "__logsearch"

// Request is what a search is asked for.
type Request struct {
	Query   api.LogsQuery
	Sources []Source
}

// Source is a log, and for a follower the place from which it goes on.
type Source struct {
	search.Source
	Pos string `json:",omitempty"` // "" if there is none
}

// Process is a search that runs.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	events io.ReadCloser
	stderr bytes.Buffer
	found  chan struct{}

	mu    sync.Mutex // guards ended, and writes to in
	ended bool
}

// Start starts a search as a process of the program exe. It ends when ctx does. The
// caller reads Events to their end and then calls Wait.
func Start(ctx context.Context, exe string, r Request) (*Process, error) {
	request, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the search: %w", err)
	}
	p := &Process{cmd: exec.CommandContext(ctx, exe), found: make(chan struct{})}
	p.cmd.Args = []string{filepath.Base(exe), Role}
	p.cmd.Dir = "/"
	p.cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=single"}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "TZ=") { // of times without a zone
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Stderr = &firstBytes{w: &p.stderr, left: 1 << 10}
	done, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("prepare the search: %w", err)
	}
	p.cmd.ExtraFiles = []*os.File{theirs}
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		p.events, err = p.cmd.StdoutPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, fmt.Errorf("start the search: %w", errors.Join(err, done.Close()))
	}
	go func() { // it ends with the process at the latest
		defer close(p.found)
		_, _ = done.Read(make([]byte, 1))
		_ = done.Close() // read only
	}()
	// The process reads its request before it does anything else.
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		return nil, fmt.Errorf("send the search: %w", errors.Join(err, p.Wait()))
	}
	if !r.Query.Follow {
		p.end()
	}
	return p, nil
}

// Events is the stream of events.
func (p *Process) Events() io.Reader { return p.events }

// Found is closed when all that was there has been searched; what follows is new.
func (p *Process) Found() <-chan struct{} { return p.found }

// Add adds a log to a search that follows: what is written to it from now on.
func (p *Process) Add(s Source) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("add a log to the search: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("add a log to the search: %w", err)
	}
	return nil
}

func (p *Process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		_ = p.in.Close() // nothing is buffered; the process may have gone
	}
}

// Wait waits until the process has ended, and says what it complained about.
func (p *Process) Wait() error {
	p.end()
	err := p.cmd.Wait()
	if text, _, _ := strings.Cut(strings.TrimSpace(p.stderr.String()), "\n"); err != nil && text != "" {
		return fmt.Errorf("search logs: %s", text)
	}
	if err != nil {
		return fmt.Errorf("search logs: %w", err)
	}
	return nil
}

// firstBytes passes on the beginning of what is written.
type firstBytes struct {
	w    io.Writer
	left int
}

func (f *firstBytes) Write(b []byte) (int, error) {
	n := min(f.left, len(b))
	f.left -= n
	if _, err := f.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}
