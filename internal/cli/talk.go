package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) sendSignalCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sendSignal signal target...",
		Short: "Send a signal to processes",
		Long: `sendSignal sends a signal to the process of each instance, not to its children. If
one of them is not running, nothing is signalled. A process that ends by it is
restarted as after any other exit; to end it for good, stop it.
` + targetWords,
		Example: `  pace sendSignal SIGUSR2 api
  pace sendSignal HUP 0 1`,
		Args:              atLeast(2, "a signal and a target, e.g. `pace sendSignal SIGUSR2 api`"),
		ValidArgsFunction: c.completeAfterFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := app.ParseSignal(args[0])
			if err != nil {
				return err
			}
			reply, err := c.client.Signal(cmd.Context(), api.SignalRequest{Targets: args[1:], Signal: args[0]})
			return c.done(reply, err, func(list []app.Status) {
				c.say("sent %s to %s", app.SignalName(sig), names(list))
			})
		},
	}
}

// completeAfterFirst offers targets for all words but the first.
func (c *cli) completeAfterFirst(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeTargets(cmd, args, word)
}

// completeFirst offers targets for the first word.
func (c *cli) completeFirst(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeTargets(cmd, args, word)
}

func (c *cli) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send target line...",
		Short: "Write a line to the standard input of a process",
		Long: `send writes the words, with blanks between them, and a newline to the standard input
of each process that the target means. Apps in fork mode have one; as with PM2,
those in cluster mode have not. A process that does not read its input is an error
once 128 KB wait there; nothing of the line is written then.
` + targetWords,
		Example: `  pace send 0 reload-rules
  pace send api 'log level debug'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || args[0] == "" {
				return errors.New("name a target and a line, e.g. `pace send 0 'rs'`")
			}
			return nil
		},
		ValidArgsFunction: c.completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := strings.Join(args[1:], " ")
			reply, err := c.client.Send(cmd.Context(), api.SendRequest{Targets: args[:1], Data: []byte(line + "\n")})
			return c.done(reply, err, func(list []app.Status) {
				c.say("sent a line to %s", names(list))
			})
		},
	}
}

func (c *cli) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attach id [separator]",
		Short: "Connect the terminal to the input and output of a process",
		Long: `attach shows what an instance writes from now on, as it is, and sends each line that
is typed to its standard input, with a separator in place of the newline if one is
given. Ctrl-C leaves; the app goes on. It goes on over restarts of the app.`,
		Example: `  pace attach 0
  pace attach 0 ';'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 || args[0] == "" {
				return errors.New("name one instance by its id, and a separator if it is not a newline")
			}
			return nil
		},
		ValidArgsFunction: c.completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			end := "\n"
			if len(args) == 2 {
				end = args[1]
			}
			return c.attach(cmd.Context(), args[0], end)
		},
	}
}

// attach connects the terminal to the one instance that target means.
func (c *cli) attach(ctx context.Context, target, end string) error {
	list, err := c.client.Instances(ctx, api.InstancesQuery{Targets: []string{target}})
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("%s means %s; name one of them by its id", target, names(list))
	}
	s := &list[0]
	switch {
	case s.Mode != app.Fork:
		return fmt.Errorf("%s (%d) is in %s mode and has no input, only apps in fork mode do; `pace logs %d` shows its output", s.Name, s.ID, s.Mode, s.ID)
	case s.PID == 0:
		return fmt.Errorf("%s (%d) is %s; start it first", s.Name, s.ID, s.State)
	}
	id := fmt.Sprint(s.ID)
	out := logs{cli: c, raw: true, query: api.LogsQuery{Targets: []string{id}, Follow: true}}
	typed := false
	out.started = func() {
		if c.Stdin == nil || typed {
			return
		}
		typed = true
		// It ends with the program, or when nothing more is typed: a read of a
		// terminal cannot be called off.
		go c.forward(ctx, id, end)
	}
	err = out.read(ctx)
	if ctx.Err() != nil && !errors.Is(err, errOutput) {
		return nil
	}
	return err
}

// forward sends each line of the input to an instance.
func (c *cli) forward(ctx context.Context, id, end string) {
	lines := bufio.NewReaderSize(c.Stdin, 4<<10)
	for {
		line, err := lines.ReadString('\n')
		text, whole := strings.CutSuffix(line, "\n")
		if whole || text != "" {
			_, sendErr := c.client.Send(ctx, api.SendRequest{Targets: []string{id}, Data: []byte(text + end)})
			if sendErr != nil && ctx.Err() == nil {
				c.errorf("%s", c.explain(sendErr)) // the next line may reach it
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.errorf("read the input: %v", err)
			}
			return
		}
	}
}
