package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// workers is how many each server under measurement has.
const workers = 2

// app is a Node server under pace, in a home and on a port of its own.
type app struct {
	box  *sandbox.Sandbox
	port *sandbox.Port
	name string
}

// startApp runs a script of the examples with two workers.
func (b *bench) startApp(ctx context.Context, script string, options ...string) (*app, error) {
	port, err := sandbox.ReservePort()
	if err != nil {
		return nil, err
	}
	box, err := sandbox.New(b.pace, "PORT="+strconv.Itoa(port.Number))
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	a := &app{box: box, port: port, name: "app"}
	args := append([]string{"start", filepath.Join(b.examples, script), "--name", a.name, "-i", strconv.Itoa(workers)}, options...)
	if _, err := box.Pace(ctx, args...); err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *app) close(ctx context.Context) error {
	return errors.Join(a.box.Close(ctx), a.port.Release())
}

// answers waits until a server does.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := proc.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		r := load.Run(ctx, load.Config{Addr: addr, Clients: 1, Requests: 1, Timeout: time.Second})
		return r.Requests == 1 && r.Failed == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for an answer on %s: %w", addr, err)
	}
	return nil
}
