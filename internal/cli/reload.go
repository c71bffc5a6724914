package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) reloadCommand() *cobra.Command {
	ch := &changing{cli: c, action: api.ApplyReload}
	cmd := c.action(&cobra.Command{
		Use:   "reload target... [-- args...]",
		Short: "Replace instances without a failed request",
		Long: `reload starts the new release of each instance beside the old one, waits until it
is ready, and only then lets the old one finish its requests and end. If the new
one crashes, hangs or listens elsewhere, the old ones keep serving and reload
fails saying why.

--verify counts meanwhile what became of the connections to each address of the
app. A count that cannot be known is shown as "unknown".
  served    queued by the kernel on the app's sockets
  refused   dropped, since a queue was full or no socket listened
  reset     with a request in flight, or not accepted yet, when their old process
            ended
  moved     not accepted yet, and handed from an old process to another one

Options change the apps on the way, as with restart.

` + fileWords,
		Example: `  pace reload api
  pace reload api --parallel 4    # four instances at a time
  pace reload api --verify        # and count what it cost
  pace reload ecosystem.config.js --env production
  pace reload all`,
	}, nil, nil, nil)
	var verbose bool
	ch.plain = func(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error) {
		return c.reload(ctx, q, verbose)
	}
	cmd.RunE = ch.run
	cmd.Flags().BoolVar(&ch.request.Verify, "verify", false, "count what was served, refused and reset meanwhile")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "tell each step on the error output, as on a terminal")
	cmd.Flags().BoolP("force", "f", false, "no effect: there is no lock to override")
	cmd.Flags().Lookup("force").Hidden = true
	ch.declare(cmd)
	return cmd
}

// reload asks for a reload, and tells its steps where somebody looks.
func (c *cli) reload(ctx context.Context, q api.TargetsRequest, verbose bool) (api.ActionReply, error) {
	var progress func(string)
	if _, terminal := c.Terminal(c.Stderr); (terminal || verbose) && !c.silent {
		progress = c.step
	}
	reply, err := c.client.Reload(ctx, q, progress)
	if q.Verify && err == nil && len(reply.Verified) == 0 {
		reply.Warnings = append(reply.Warnings, "--verify: the daemon counted no connections")
	}
	return reply, err
}

// step tells what has been done so far.
func (c *cli) step(text string) {
	fmt.Fprintln(c.Stderr, oneLine(text)) //nolint:errcheck // there is nowhere left to say it
}

// verified prints what a reload did to connections, and warns of those lost.
func (c *cli) verified(list []api.Verification) {
	if len(list) == 0 {
		return
	}
	if !c.silent {
		rows := make([][]string, 0, len(list))
		for i := range list {
			v := &list[i]
			took := time.Duration(v.DurationMS) * time.Millisecond
			rows = append(rows, []string{
				v.App, v.Address, tally(v.Served), tally(v.Refused), tally(v.Reset), tally(v.Moved), took.String(),
			})
		}
		c.table([]column{
			{head: "app", max: 40},
			{head: "address", max: 40},
			{head: "served", right: true},
			{head: "refused", right: true},
			{head: "reset", right: true},
			{head: "moved", right: true, drop: 2},
			{head: "took", right: true, drop: 1},
		}, rows)
	}
	for i := range list {
		v := &list[i]
		if !c.silent {
			for _, note := range v.Notes {
				c.printf("%s %s: %s\n", v.App, v.Address, oneLine(note))
			}
		}
		if text := lost(v); text != "" {
			c.warn(text)
		}
	}
}

// tally writes a count of a Verification.
func tally(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return strconv.FormatInt(n, 10)
}

// lost says which connections a reload cost, "" if none.
func lost(v *api.Verification) string {
	var parts []string
	total := int64(0)
	for _, p := range []struct {
		n    int64
		what string
	}{{v.Refused, "refused"}, {v.Reset, "reset"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
			total += p.n
		}
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%s on %s lost %s in the reload: %s; `pace check %s` may tell why",
		v.App, v.Address, count(int(total), "connection"), strings.Join(parts, ", "), v.App)
}
