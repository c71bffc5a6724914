// Command demo shows the main job of pace with real servers and checks its own claims.
//
// It works in a private home in a temporary folder and on a free port, and
// leaves nothing behind, also when it is interrupted. It exits with 1 if one of
// its claims does not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pace := flags.String("pace", "bin/pace", "the pace `binary` to show")
	script := flags.String("script", "examples/node/server.js", "the `server` to run")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()

	s := newScreen(stdout)
	err := show(ctx, s, *pace, *script)
	switch {
	case ctx.Err() != nil:
		complain(stderr, errors.New("interrupted"))
		err = ctx.Err()
	case err != nil:
		complain(stderr, err)
	}
	return s.verdict(err)
}

// show makes the stage, plays the scenes and clears up.
func show(ctx context.Context, s *screen, pace, script string) error {
	d, err := newDemo(s, pace, script)
	if err != nil {
		return err
	}
	defer func() {
		if clearErr := d.clear(ctx); clearErr != nil {
			s.claim(false, "what the demo started can be removed: %v", clearErr)
		}
	}()
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"Start: one command, a worker per CPU, one port", d.start},
		{"Balance: every worker answers", d.balance},
		{"A busy worker: the others go on answering", d.block},
		{"Reload under load: new workers, no failed request", d.reload},
		{"A worker is killed: it comes back", d.killWorker},
		{"The daemon is killed: the app does not notice", d.killDaemon},
		{"End: nothing is left behind", d.end},
	} {
		s.scene(scene.title)
		if err := scene.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	return nil
}

func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "demo:", err) //nolint:errcheck // there is nowhere left to say it
}
