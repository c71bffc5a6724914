package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/app"
)

// nothingOnline is the exit status of PM2's runtime when it ends by itself.
const nothingOnline = 2

func (c *cli) runtimeCommand() *cobra.Command {
	s := c.newStarting()
	var r running
	cmd := &cobra.Command{
		Use:   "runtime target... [-- args...]",
		Short: "Run apps in the foreground, as the first process of a container",
		Long: `runtime starts apps as start does and stays until they have ended. Their output is
its own, unchanged unless an option says otherwise; log files are written only where
-o, -e or -l ask for them. It reaps what other processes leave behind, so it can be
the first process of a container, and needs no folder that can be written to.

SIGTERM, SIGINT and SIGQUIT end each app in its own manner (--kill-signal,
--kill-timeout), and then it ends with status 0; a second one ends all by force.
SIGHUP reloads all apps. When they have ended by themselves for good, it ends at
once: with the exit code of the app, 128 and the signal's number if a signal ended
it, or the first of several that is not 0.

Under the names pm2-runtime and pm2-docker it accepts what PM2 does, and ends with
status 2 when nothing is online any more.`,
		Example: `  pace runtime server.js -i max
  pace runtime ./server --kill-signal SIGTERM --kill-timeout 8s
  pace runtime ./server --json      # a JSON object for each line`,
		Args: atLeast(1, "what to run: a script, a program or a command line"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := s.inFront(cmd, args)
			if err != nil {
				return err
			}
			form, err := r.form()
			if err != nil {
				return err
			}
			return c.foreground(!c.asPM2Runtime(), func() error {
				r.front = front{
					starting: s,
					print:    form, noFiles: true, autoExit: !r.noAutoExit,
				}
				if status := nothingOnline; c.asPM2Runtime() {
					r.status = &status
				}
				return r.run(cmd.Context(), args)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.raw, "raw", false, "the output as it is (the default)")
	f.BoolVar(&r.json, "json", false, "each line as a JSON object: message, timestamp, type, process_id, app_name")
	f.BoolVar(&r.format, "format", false, "each line as timestamp=... app=... id=... type=out|error message=...")
	f.BoolVar(&r.formatted, "formatted", false, "id and name before each line")
	f.BoolVar(&r.noAutoExit, "no-auto-exit", false, "stay when all apps have ended")
	f.IntVar(&r.delay, "delay", 0, "`seconds` to wait before the start")
	startFlags(f, &s.options)
	fileFlags(f, &s.files)
	mustComplete(cmd, "balance", texts(app.Balances()))
	mustComplete(cmd, "instances", []string{"max"})
	cmd.FParseErrWhitelist.UnknownFlags = c.asPM2Runtime()
	return cmd
}

// asPM2Runtime tells whether PM2's behaviour is wanted where ours is another.
func (c *cli) asPM2Runtime() bool {
	return slices.Contains([]string{"pm2-runtime", "pm2-docker"}, c.Name)
}

// running is one execution of the command.
type running struct {
	front
	raw, json, format, formatted bool
	noAutoExit                   bool
	delay                        int // in seconds
}

// form is how the output is printed.
func (r *running) form() (app.Print, error) {
	form, chosen := app.PrintRaw, 0
	for _, f := range []struct {
		wanted bool
		form   app.Print
	}{{r.raw, app.PrintRaw}, {r.json, app.PrintJSON}, {r.format, app.PrintFormat}, {r.formatted, app.PrintNames}} {
		if f.wanted {
			form = f.form
			chosen++
		}
	}
	if chosen > 1 {
		return "", errors.New("--raw, --json, --format and --formatted: choose one")
	}
	const longest = 24 * 60 * 60
	if r.delay < 0 || r.delay > longest {
		return "", fmt.Errorf("--delay %d: want seconds, 0 to %d", r.delay, longest)
	}
	return form, nil
}

func (r *running) run(ctx context.Context, targets []string) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(time.Duration(r.delay) * time.Second):
	}
	return r.front.run(ctx, targets)
}
