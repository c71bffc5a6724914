package cli

import (
	"context"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/app"
)

// devDelay is how long dev waits before it starts what has crashed: PM2's.
const devDelay = "1s"

func (c *cli) devCommand() *cobra.Command {
	s := c.newStarting()
	var d dev
	cmd := &cobra.Command{
		Use:   "dev target... [-- args...]",
		Short: "Run apps in the foreground and restart them when their files change",
		Long: `dev starts apps as start does, prints what they write with their names, and starts
them again when a file in their folder changes, or a second after they have crashed.
It has a home of its own, so it is not in the way of apps that run already; Ctrl-C
ends all of them and removes it.`,
		Example: `  pace dev server.js
  pace dev server.js --ignore "public logs/*.txt" --post-exec "npm test"
  pace dev "python3 app.py" --auto-exit`,
		Args: atLeast(1, "what to run: a script, a program or a command line"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := s.inFront(cmd, args)
			if err != nil {
				return err
			}
			return c.foreground(true, func() error {
				if s.options.Restart.Delay == "" {
					s.options.Restart.Delay = devDelay
				}
				d.starting = s
				d.print, d.noFiles, d.autoExit, d.heard, d.prepare = c.printNames(), true, d.exits, d.hear, d.watched
				return d.run(cmd.Context(), args)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&d.ignore, "ignore", nil, "`files` whose changes do not count, apart by blanks or commas, beside dotfiles and node_modules; may be repeated (default: none)")
	f.StringVar(&d.postExec, "post-exec", "", "`command line` for the shell, after each restart (default: none)")
	f.BoolVar(&d.exits, "auto-exit", false, "end when all apps have ended")
	startFlags(f, &s.options)
	fileFlags(f, &s.files)
	mustComplete(cmd, "balance", texts(app.Balances()))
	mustComplete(cmd, "instances", []string{"max"})
	return cmd
}

// dev is one execution of the command.
type dev struct {
	front
	ignore   []string
	postExec string
	exits    bool
	restarts chan struct{} // holds a token when a restart has not been followed yet
}

// alwaysIgnored are what no change of counts, beside --ignore: dotfiles and
// node_modules, as app.Watch leaves out by itself if nothing is named.
func alwaysIgnored() []string { return []string{`/[\/\\]\./`, "/node_modules/"} }

// watched has the files of an app watched.
func (d *dev) watched(s *app.Spec) {
	if s.Watch == nil {
		s.Watch = &app.Watch{}
	}
	s.Watch.Off = false
	var ignore []string
	for _, list := range d.ignore {
		ignore = append(ignore, strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	if len(ignore) > 0 && s.Watch.Ignore == nil {
		ignore = append(ignore, alwaysIgnored()...)
	}
	s.Watch.Ignore = append(s.Watch.Ignore, ignore...)
}

// run runs the apps, and the command that follows each restart.
func (d *dev) run(ctx context.Context, targets []string) error {
	d.restarts = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.follow(ctx)
	}()
	err := d.front.run(ctx, targets)
	cancel()
	<-ended
	return err
}

// hear tells of what becomes of the apps.
func (d *dev) hear(e app.Event) {
	switch e.Type {
	case app.EventStart:
		if e.Gen <= 1 {
			d.errorf("%s (%d) started, pid %d", e.Name, e.ID, e.PID)
			return
		}
		d.errorf("%s (%d) restarted, pid %d", e.Name, e.ID, e.PID)
		select {
		case d.restarts <- struct{}{}:
		default: // the command will run after this one as well
		}
	case app.EventExit:
		if e.Exit != nil && !e.Exit.Wanted {
			d.errorf("%s (%d) has ended: %s", e.Name, e.ID, e.Exit)
		}
	case app.EventOverlimit, app.EventWarning, app.EventMemory, app.EventHang:
		d.errorf("%s (%d): %s", e.Name, e.ID, e.Detail)
	}
}

// follow runs the command after restarts, until ctx ends.
func (d *dev) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.restarts:
		}
		if d.postExec == "" {
			continue
		}
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", d.postExec)
		cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = d.Stdout, d.Stderr, d.Dir, d.Environ
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			d.errorf("--post-exec: %s", err)
		}
	}
}
