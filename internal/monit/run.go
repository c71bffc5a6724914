package monit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"paceline/internal/api"
)

// Options are the surroundings of the dashboard.
type Options struct {
	First   *api.Client // for the first request: it may start a daemon
	Later   *api.Client // for all others: it starts none
	In      io.Reader   // a terminal
	Out     io.Writer   // a terminal
	Environ []string    // "KEY=value"
	Colour  bool        // false: bold, dim and inverse only
}

// framesPerSecond bounds how often the screen is drawn. What has changed within a
// frame costs a slow line once.
const framesPerSecond = 20

// Run shows the dashboard until the user leaves (nil) or ctx ends (its cause). The
// terminal is as it was when Run returns, also after a panic, which is an error then.
func Run(ctx context.Context, o Options) error {
	// A hang-up or a SIGQUIT from elsewhere would leave the terminal as it is now.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	inner, cancel := context.WithCancel(ctx)
	defer cancel() // ends the requests when the user leaves
	return run(ctx, o, func(send func(tea.Msg)) backend {
		return &daemon{ctx: inner, first: o.First, later: o.Later, send: send}
	})
}

func run(ctx context.Context, o Options, with func(send func(tea.Msg)) backend) error {
	profile := colorprofile.ASCII
	if o.Colour {
		profile = colorprofile.ANSI
	}
	var p *tea.Program
	m := newModel(with(func(msg tea.Msg) { p.Send(msg) }), o.Colour)
	p = tea.NewProgram(m, tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Environ),
		tea.WithColorProfile(profile), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	// Not tea.WithContext, which closes the input while it is still read.
	stop := context.AfterFunc(ctx, p.Quit)
	defer stop()
	_, err := p.Run()
	switch {
	case err == nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return nil
	case errors.Is(err, os.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, syscall.EIO):
		return nil // the terminal is gone, and with it who looked
	}
	return fmt.Errorf("draw the dashboard: %w", err)
}
