package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) logsCommand() *cobra.Command {
	l := logs{cli: c}
	cmd := &cobra.Command{
		Use:     "logs [target...]",
		Aliases: []string{"log"},
		Short:   "Print and follow the output of apps",
		Long: `logs prints the last lines that instances wrote, of all if no target is given, and
follows them until Ctrl-C. Each line begins with the instance's id and name. It
goes on when the daemon is replaced. An unknown target is an error; PM2 waits for
it instead.`,
		Example: `  pace logs
  pace logs api --lines 100 --err
  pace logs api --nostream --raw | grep ERROR
  pace logs --json | jq .message`,
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			l.query.Targets = args
			return l.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&l.query.Lines, "lines", 15, "`count` of old lines of each stream to begin with, 0 for none")
	f.BoolVar(&l.onlyOut, "out", false, "only the standard output")
	f.BoolVar(&l.onlyErr, "err", false, "only the standard error")
	f.BoolVar(&l.raw, "raw", false, "the lines as they are, without id and name; standard error goes to standard error")
	f.BoolVar(&l.json, "json", false, "each line as a JSON object: message, timestamp, type, process_id, app_name")
	f.BoolVar(&l.noStream, "nostream", false, "end after the old lines")
	cmd.MarkFlagsMutuallyExclusive("out", "err")
	cmd.MarkFlagsMutuallyExclusive("raw", "json")
	return cmd
}

// logs is one execution of the command.
type logs struct {
	*cli
	query               api.LogsQuery
	onlyOut, onlyErr    bool
	raw, json, noStream bool
	width               int // of the widest prefix so far
	prefixes            map[int]string
	colours             map[string]string // by name
}

func (l *logs) run(ctx context.Context) error {
	if n := l.query.Lines; n < 0 || n > api.MaxLines {
		return fmt.Errorf("--lines %d: want a number from 0 to %d", n, api.MaxLines)
	}
	switch {
	case l.onlyOut:
		l.query.Stream = api.Out
	case l.onlyErr:
		l.query.Stream = api.Err
	}
	l.query.Follow = !l.noStream
	if err := l.measure(ctx); err != nil {
		return err
	}
	err := l.follow(ctx)
	if ctx.Err() != nil && !errors.Is(err, errOutput) {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

// measure makes all prefixes as wide as the widest, and finds that a target
// means nothing.
func (l *logs) measure(ctx context.Context) error {
	l.prefixes, l.colours = map[int]string{}, map[string]string{}
	list, err := l.client.Instances(ctx, api.InstancesQuery{Targets: l.query.Targets, Brief: true})
	for i := range list {
		l.width = max(l.width, width(prefix(list[i].ID, list[i].Name)))
		colourOf(list[i].Name, l.colours)
	}
	return err
}

func prefix(id int, name string) string { return strconv.Itoa(id) + "|" + name }

// errOutput marks an output that cannot be written.
var errOutput = errors.New("write the output")

// follow reads lines until the end, over any number of daemons.
func (l *logs) follow(ctx context.Context) error {
	client, gap := l.client, false
	begun := func() {
		if gap {
			l.errorf("the daemon was replaced; lines written meanwhile are in the log files")
		}
	}
	for {
		err := client.Logs(ctx, l.query, api.Handler[api.LogLine]{Begun: begun, Value: l.print, Idle: l.flush})
		switch {
		case !l.query.Follow:
			return err
		case err != nil && !errors.Is(err, api.ErrLost):
			if client == l.local && errors.Is(err, api.ErrNoDaemon) {
				l.errorf("the daemon has ended")
				return nil
			}
			return err
		}
		// The next daemon goes on; one that was stopped is not started for us.
		// Where we were it cannot know, so what came meanwhile is left out here.
		l.query.Lines, client = 0, l.local
		gap = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond): // should each daemon end at once
		}
	}
}

func (l *logs) flush() error {
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// print writes one line in the form that was asked for.
func (l *logs) print(line api.LogLine) error {
	switch {
	case l.json:
		return l.printJSON(line)
	case line.Stream == api.Notice:
		if err := l.flush(); err != nil {
			return err
		}
		l.errorf("%s", line.Text())
		return nil
	case l.raw:
		end := "\n"
		if line.More {
			end = ""
		}
		if line.Stream == api.Err {
			if _, err := l.Stderr.Write([]byte(line.Text() + end)); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			return nil
		}
		l.printf("%s%s", line.Text(), end)
		return nil
	}
	bar := "|"
	if line.Stream == api.Err {
		bar = l.look.paint(red, bar)
	}
	l.printf("%s %s %s\n", l.prefix(line), bar, line.Text())
	return nil
}

// prefix returns what stands before the bar.
func (l *logs) prefix(line api.LogLine) string {
	p, ok := l.prefixes[line.ID]
	if !ok {
		p = prefix(line.ID, line.Name)
		l.width = max(l.width, width(p))
		p = l.look.paint(colourOf(line.Name, l.colours), text.Pad(p, l.width, ' '))
		l.prefixes[line.ID] = p
	}
	return p
}

// pm2LogLine is what PM2's logs --json prints.
type pm2LogLine struct {
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp,omitzero"`
	Type      string    `json:"type"` // "out", "err"; "notice" is ours
	ID        int       `json:"process_id"`
	Name      string    `json:"app_name"`
}

func (l *logs) printJSON(line api.LogLine) error {
	b, err := json.Marshal(pm2LogLine{line.Text(), line.At, string(line.Stream), line.ID, line.Name})
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	l.printf("%s\n", b)
	return nil
}
