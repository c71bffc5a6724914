package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ping",
		Short:   "Start the daemon if none runs, and hear from it",
		Long:    `ping prints pong when the daemon has answered. It starts one if there is none.`,
		Example: `  pace ping`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := c.client.Version(cmd.Context()); err != nil {
				return err
			}
			if c.asPM2() {
				c.say("{ msg: 'pong' }")
				return nil
			}
			c.say("pong")
			return nil
		},
	}
}

// goneTimeout bounds how long kill waits for the daemon's end after its answer.
const goneTimeout = 10 * time.Second

func (c *cli) killCommand() *cobra.Command {
	var q api.KillRequest
	cmd := &cobra.Command{
		Use:   "kill",
		Short: "Stop all apps, the daemon and the keeper",
		Long: `kill stops every app, forgets it, and ends Paceline's own processes. Without a
daemon there is nothing to do, which is no error. With --remember the apps stay in
the list: the next command that needs a daemon starts those that ran. That is how
apps come back after a reboot; see startup.`,
		Example: `  pace kill
  pace kill --remember`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply, err := c.local.Kill(cmd.Context(), q)
			if errors.Is(err, api.ErrNoDaemon) {
				c.say("no daemon runs")
				return nil
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), goneTimeout)
			defer cancel()
			err = c.local.Gone(ctx)
			if err == nil && c.Ended != nil {
				err = c.Ended(ctx, c.Home) // the socket goes a little earlier
			}
			if err != nil {
				return fmt.Errorf("wait for keeper %d to end: %w; look at pace.log in %s", reply.KeeperPID, err, c.Home)
			}
			c.say("stopped %s; daemon %d and keeper %d have ended", count(reply.Stopped, "instance"), reply.PID, reply.KeeperPID)
			return nil
		},
	}
	cmd.Flags().BoolVar(&q.Remember, "remember", false, "have the next daemon start what runs now")
	return cmd
}

// updateTimeout bounds how long the new daemon may take to answer.
const updateTimeout = 30 * time.Second

func (c *cli) updateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "update",
		Aliases: []string{"updatePM2"},
		Short:   "Replace the running daemon by this version",
		Long: `update puts this program in the place of the daemon that runs. No app is restarted:
processes, sockets and logs stay with the keeper meanwhile.`,
		Example: `  pace update`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), updateTimeout)
			defer cancel()
			before, err := c.local.Version(ctx)
			if errors.Is(err, api.ErrNoDaemon) {
				c.say("no daemon runs; the next one will be this version, %s", c.Version)
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := c.local.Update(ctx, api.UpdateRequest{Binary: c.Exe}); err != nil {
				return err
			}
			after, err := c.successor(ctx, before.PID)
			if err != nil {
				return fmt.Errorf("wait for the new daemon: %w; look at pace.log in %s", err, c.Home)
			}
			if after.Version != c.Version {
				return fmt.Errorf("the daemon still is %s, not %s; look at pace.log in %s", after.Version, c.Version, c.Home)
			}
			c.say("updated from %s to %s; daemon %d took over from %d", before.Version, after.Version, after.PID, before.PID)
			return nil
		},
	}
}

// successor waits until a daemon other than old answers.
func (c *cli) successor(ctx context.Context, old int) (api.Version, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		v, err := c.local.Version(ctx)
		if err != nil && !errors.Is(err, api.ErrLost) {
			return api.Version{}, err
		}
		if err == nil && v.PID != old {
			return v, nil
		}
		c.local.Close() // the old daemon's connection, which would be used again
		select {
		case <-ctx.Done():
			return api.Version{}, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (c *cli) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this system lets Paceline do",
		Long: `doctor tries the kernel features and rights that Paceline can use, and says which
work here, and what they need where they do not. It needs no daemon and starts
none.`,
		Example: `  pace doctor`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.fields(c.about(cmd.Context()))
			if c.Doctor == nil {
				return nil
			}
			c.printf("\n")
			columns := []column{{head: "feature"}, {head: "works"}, {head: "needs", drop: 1}, {head: "detail", max: 200}}
			var rows [][]string
			for _, check := range c.Doctor() {
				works := c.look.paint(green, "yes")
				if !check.OK {
					works = c.look.paint(red, "no")
				}
				rows = append(rows, []string{check.Name, works, dash(check.Needs), dash(oneLine(check.Detail))})
			}
			c.table(columns, rows)
			return nil
		},
	}
}

// about lists what belongs to this installation.
func (c *cli) about(ctx context.Context) [][2]string {
	daemon := "none runs"
	v, err := c.local.Version(ctx)
	switch {
	case err == nil:
		daemon = fmt.Sprintf("%s, pid %d, up %s; keeper pid %d", v.Version, v.PID, uptime(c.Now().Sub(v.StartedAt)), v.KeeperPID)
	case !errors.Is(err, api.ErrNoDaemon):
		daemon = oneLine(err.Error())
	}
	return [][2]string{
		{"version", c.Version},
		{"program", c.Exe},
		{"home", c.Home},
		{"daemon", daemon},
		{"CPUs", fmt.Sprintf("%d usable", c.CPUs())},
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    `version prints the version of this program. What the daemon runs: pace doctor.`,
		Example: `  pace version`,
		Args:    noWords,
		RunE: func(*cobra.Command, []string) error {
			c.printf("%s\n", c.Version)
			return nil
		},
	}
}
