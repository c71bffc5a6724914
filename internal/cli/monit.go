package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"paceline/internal/monit"
)

func (c *cli) monitCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "monit",
		Aliases: []string{"dash", "imonit"},
		Short:   "Watch apps, figures and logs on the whole terminal",
		Long: `monit shows apps and instances with their state, cpu and memory now and in the last
minutes, restarts and waiting connections, the logs of the one that is selected and
what is known of it. Keys restart, reload, stop and scale it, after a question; "?"
lists them. It goes on when the daemon is replaced. docs/monit.md tells more.`,
		Example: `  pace monit
  pace monit --no-color
  NO_COLOR=1 pace monit           # the same`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.monit(cmd.Context()) },
	}
}

func (c *cli) monit(ctx context.Context) error {
	in, isFile := c.Stdin.(*os.File)
	if isFile {
		_, isFile = c.Terminal(in)
	}
	if _, ok := c.Terminal(c.Stdout); !ok || !isFile {
		return errors.New("needs a terminal as its input and output; `pace list` prints the same once")
	}
	if !c.look.terminal {
		return errors.New("needs a terminal whose cursor can be moved, and TERM is dumb; `pace list --watch` and `pace logs` are for such")
	}
	err := monit.Run(ctx, monit.Options{
		First: c.client, Later: c.local, In: in, Out: c.Stdout, Environ: c.Environ,
		Colour: c.look.colour && !c.look.noColour,
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
