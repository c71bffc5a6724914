package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) triggerCommand() *cobra.Command {
	timeout := api.TriggerTimeout
	cmd := &cobra.Command{
		Use:   "trigger target action [params]",
		Short: "Run an action that an app offers by @pm2/io",
		Long: `trigger has each process that the target means run an action that the app has
registered with @pm2/io's io.action(name, function), and prints what each returns.
It is an error if none of them has the action, and if one does not reply in time.
` + "`pace show`" + ` lists the actions.
` + targetWords,
		Example: `  pace trigger api clear-cache
  pace trigger api set-level debug
  pace trigger all stats --timeout 30s`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || args[0] == "" || args[1] == "" {
				return errors.New("name a target and an action, e.g. `pace trigger api clear-cache`")
			}
			return nil
		},
		ValidArgsFunction: c.completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < time.Millisecond || timeout > api.MaxTriggerWait {
				return fmt.Errorf("--timeout %s: want a duration from 1ms to %s", timeout, api.MaxTriggerWait)
			}
			q := api.TriggerRequest{Targets: args[:1], Action: args[1], TimeoutMS: timeout.Milliseconds()}
			if len(args) > 2 {
				params := strings.Join(args[2:], " ")
				q.Params = &params
			}
			return c.trigger(cmd.Context(), q)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "`duration` to wait for the replies, e.g. 30s")
	return cmd
}

// trigger runs an action and prints the replies in PM2's form.
func (c *cli) trigger(ctx context.Context, q api.TriggerRequest) error {
	reply, err := c.client.Trigger(ctx, q)
	if err != nil {
		return err
	}
	c.say("%d processes have received command %s", len(reply.Replies), q.Action)
	failed := 0
	for _, r := range reply.Replies {
		namespace := r.Namespace
		if namespace == "" {
			namespace = "default"
		}
		if r.Error != "" {
			failed++
			c.errorf("trigger %s: %s (%d): %s", q.Action, r.Name, r.ID, r.Error)
			continue
		}
		c.printf("[%s:%d:%s]=%s\n", r.Name, r.ID, namespace, shown(r.Return))
	}
	if failed > 0 {
		return errQuiet // said already
	}
	return nil
}

// shown is a JSON value on one line. Control characters are escaped in it.
func shown(value json.RawMessage) string {
	b, err := json.Marshal(value)
	if err != nil {
		return string(value)
	}
	return printable(string(b))
}

func (c *cli) reloadLogsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reloadLogs",
		Short: "Make log files anew that were moved away",
		Long: `reloadLogs has the daemon look at its log files and make those anew that somebody,
such as logrotate, has moved away. It would find out within a second of the next
line anyhow. SIGUSR2 to the daemon does the same.`,
		Example: `  mv ~/.paceline/logs/api-out.log /archive/ && pace reloadLogs`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply, err := c.client.Reopen(cmd.Context())
			if err == nil {
				c.say("reopened %s", count(reply.Files, "log file"))
			}
			return err
		},
	}
}
