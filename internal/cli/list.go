package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) listCommand() *cobra.Command {
	var o listing
	cmd := &cobra.Command{
		Use:     "list [target...]",
		Aliases: []string{"ls", "l", "ps", "status"},
		Short:   "List instances, and what is wrong with them",
		Long: `list prints a line for each instance, by id. On a terminal it is a table with
colours, which leaves out columns where there is no room; elsewhere it is aligned
text with "-" for what there is not, whose last column says what is wrong.

Under the name pm2 it is PM2's table, by name.`,
		Example: `  pace list
  pace list api                   # only that app
  pace list --sort memory:desc
  pace list | awk '$6 == "errored"'`,
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if o.watch {
				return c.redraw(cmd.Context(), func() error { return c.listOnce(cmd.Context(), args, o) })
			}
			return c.listOnce(cmd.Context(), args, o)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// listOnce prints the instances that are meant.
func (c *cli) listOnce(ctx context.Context, targets []string, o listing) error {
	if c.asPM2() || o.mini {
		return c.pm2Table(ctx, targets, o)
	}
	list, err := c.client.Instances(ctx, api.InstancesQuery{Targets: targets, Brief: o.sort != "namespace"})
	if err != nil {
		return err
	}
	o.arrange(list)
	c.list(list)
	if len(list) == 0 && c.look.terminal {
		c.say("no apps; to start one: %s", c.renamed("`pace start server.js`"))
	}
	return nil
}

// list prints a table of instances, and on a terminal below it what is wrong.
func (c *cli) list(list []app.Status) {
	if c.silent {
		return
	}
	now := c.Now()
	boxes := c.look.terminal
	columns := []column{
		{head: "id", right: true},
		{head: "name", max: 40},
		{head: "mode", drop: 8},
		{head: "balance", drop: 10},
		{head: "pid", right: true, drop: 7},
		{head: "status"},
		{head: "restarts", right: true, drop: 5},
		{head: "uptime", right: true, drop: 6},
		{head: "cpu", right: true, drop: 3},
		{head: "mem", right: true, drop: 4},
		{head: "port", drop: 9, max: 40},
	}
	if boxes {
		columns[6].head = "↺"
	} else {
		columns = append(columns, column{head: "why"})
	}
	rows := make([][]string, 0, len(list))
	cells := make([]string, 0, len(list)*len(columns)) // of all rows, in one piece
	for i := range list {
		s := &list[i]
		row := append(cells[len(cells):],
			strconv.Itoa(s.ID), s.Name, string(s.Mode), dash(c.balance(s)), "-",
			c.look.paint(stateColour(s.State), string(s.State)), strconv.Itoa(s.Restarts), "-", "-", "-",
			dash(strings.Join(s.Ports, ",")),
		)
		if s.PID != 0 {
			row[4], row[8], row[9] = strconv.Itoa(s.PID), percent(s.CPU), memory(s.MemoryBytes)
			if !s.StartedAt.IsZero() {
				row[7] = uptime(now.Sub(s.StartedAt))
			}
		}
		if !boxes {
			row = append(row, dash(why(s, now)))
		}
		rows = append(rows, row)
		cells = cells[:len(cells)+len(row)]
	}
	c.table(columns, rows)
	if boxes {
		c.reasons(list)
		c.troubles(list, now)
	}
}

// balance is the policy of an instance, on a terminal with a mark if there is
// more to say.
func (c *cli) balance(s *app.Status) string {
	if s.BalanceReason != "" && s.Balance != "" && c.look.terminal {
		return string(s.Balance) + "*"
	}
	return string(s.Balance)
}

// reasons prints what the marks mean: a line for each reason, with its apps.
func (c *cli) reasons(list []app.Status) {
	var order []string
	apps := map[string][]string{}
	for i := range list {
		s := &list[i]
		if s.BalanceReason == "" || s.Balance == "" {
			continue
		}
		if apps[s.BalanceReason] == nil {
			order = append(order, s.BalanceReason)
		}
		if names := apps[s.BalanceReason]; !slices.Contains(names, s.Name) {
			apps[s.BalanceReason] = append(names, s.Name)
		}
	}
	for i, reason := range order {
		if i == maxTroubles {
			c.printf("* and %d more; `pace show NAME` tells\n", len(order)-i)
			break
		}
		names := apps[reason]
		if more := len(names) - maxNames; more > 0 {
			names = append(names[:maxNames:maxNames], fmt.Sprintf("%d more", more))
		}
		c.printf("* %s: %s\n", strings.Join(names, ", "), oneLine(reason))
	}
}

// maxNames bounds the apps that one line names.
const maxNames = 5

// maxTroubles bounds the lines below a table: a broken release of an app with
// hundreds of instances says the same in all of them.
const maxTroubles = 10

// troubles prints a line for each instance that something is wrong with.
func (c *cli) troubles(list []app.Status, now time.Time) {
	told, more := 0, 0
	for i := range list {
		s := &list[i]
		text := why(s, now)
		switch {
		case text == "":
		case told == maxTroubles:
			more++
		default:
			told++
			name := fmt.Sprintf("%s (%d)", s.Name, s.ID)
			c.printf("%s: %s\n", c.look.paint(cmp.Or(troubleColour(s.State), yellow), name), text)
		}
	}
	if more > 0 {
		c.printf("and %d more; `pace show NAME` tells\n", more)
	}
}

func troubleColour(s app.State) string {
	if s == app.Errored {
		return red
	}
	return ""
}
