package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

const (
	// blocked is how long a copy is kept busy.
	blocked = 2 * time.Second
	// hang is what no request may take: longer than the one copy that had accepted
	// it before it was blocked can explain.
	hang = blocked + 2*time.Second
)

// server is one app and what its clients have seen in this round.
type server struct {
	name, file string
	copies     int
	port       *sandbox.Port

	mu    sync.Mutex // guards what follows
	made  []made
	kills []span
}

// made is one request, and for how long the server was asked to take over it.
type made struct {
	load.Request
	asked time.Duration
}

// span is the time from a kill until the process was gone.
type span struct{ from, to time.Time }

func (s *server) start(ctx context.Context, box *sandbox.Sandbox) error {
	file, err := filepath.Abs(s.file)
	if err != nil {
		return err
	}
	// The program finds its port in the environment of the command that starts it.
	cmd := box.Command(ctx, "start", file, "--name", s.name, "-i", fmt.Sprint(s.copies),
		"--kill-timeout", "10s", "--listen-timeout", "30s", "--max-restarts", "1000")
	cmd.Env = append(slices.Clone(box.Env), fmt.Sprintf("PORT=%d", s.port.Number))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("start %s: %w: %s", s.name, err, out)
	}
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = proc.Poll(wait, 20*time.Millisecond, func() (bool, error) {
		return load.Run(wait, load.Config{Addr: s.port.Addr(), Clients: 1, Requests: 1}).Failed == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for an answer of %s: %w", s.name, err)
	}
	return nil
}

// ask makes requests until ctx ends.
func (s *server) ask(ctx context.Context, rate float64) {
	load.Run(ctx, load.Config{Addr: s.port.Addr(), Rate: rate, Check: check, Each: func(q load.Request) { s.note(q, 0) }})
}

func check(body []byte) error {
	if !bytes.HasPrefix(body, []byte("process ")) || !bytes.HasSuffix(body, []byte("\n")) {
		return errors.New("not this server's")
	}
	return nil
}

func (s *server) note(q load.Request, asked time.Duration) {
	q.Body = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, made{q, asked})
}

// block keeps one copy busy and returns when it is free again.
func (s *server) block(ctx context.Context) {
	load.Run(ctx, load.Config{
		Addr: s.port.Addr(), Path: fmt.Sprintf("/timer?ms=%d", blocked.Milliseconds()),
		Clients: 1, Requests: 1, Timeout: 20 * time.Second, Check: check,
		Each: func(q load.Request) { s.note(q, blocked) },
	})
}

// kill kills one copy.
func (s *server) kill(ctx context.Context, pid int) error {
	from := time.Now()
	if err := proc.Kill(pid); err != nil {
		return err
	}
	err := proc.WaitGone(ctx, pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills = append(s.kills, span{from, time.Now()})
	return err
}

// tally is what a round has seen of a server.
type tally struct {
	requests, excused, failed, hung, kills int
	slowest                                time.Duration
	first                                  string // of the failures that nothing excuses
}

// take returns the tally since the last call. A failure is excused if the request
// was under way while a copy was being killed: it may have been that copy's.
func (s *server) take() tally {
	s.mu.Lock()
	all, kills := s.made, s.kills
	s.made, s.kills = nil, nil
	s.mu.Unlock()
	t := tally{requests: len(all), kills: len(kills)}
	for _, q := range all {
		t.slowest = max(t.slowest, q.Took-q.asked)
		if q.Took-q.asked > hang {
			t.hung++
		}
		end := q.Begun.Add(q.Took)
		switch {
		case q.Err == nil:
		case slices.ContainsFunc(kills, func(k span) bool { return q.Begun.Before(k.to) && end.After(k.from) }):
			t.excused++
		default:
			if t.failed++; t.first == "" {
				t.first = fmt.Sprintf("%s, begun at %s, failed after %v: %s", s.name, q.Begun.Format(time.StampMilli), q.Took, strings.TrimSpace(q.Err.Error()))
			}
		}
	}
	return t
}
