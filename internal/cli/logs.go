package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/dayjs"
)

func (c *cli) logsCommand() *cobra.Command {
	l := logs{cli: c}
	cmd := &cobra.Command{
		Use:     "logs [target...]",
		Aliases: []string{"log"},
		Short:   "Print and follow the output of apps",
		Long: `logs prints the last lines that instances wrote, of all if no target is given, and
follows them until Ctrl-C. Each line begins with the instance's id and name. It
goes on when the daemon is replaced. Names come before --timestamp and --highlight,
which take the next word as their value. The time is known of new lines only.
An unknown target is an error; PM2 waits for it instead.`,
		Example: `  pace logs
  pace logs api --lines 100 --err
  pace logs api --nostream --raw | grep ERROR
  pace logs --json | jq .message
  pace logs web --timestamp HH:mm:ss --highlight ERROR`,
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
	f.BoolVar(&l.pairs, "format", false, "each line as timestamp=… app=… id=… type=out|error message=…")
	f.StringVar(&l.timestamp, "timestamp", "", "the time before each new line, in a `format` of day.js (default "+logStamp+")")
	f.StringVar(&l.highlight, "highlight", "", "mark a `word` in the lines, on a terminal (default: none)")
	f.BoolVar(&l.noStream, "nostream", false, "end after the old lines")
	f.Lookup("timestamp").NoOptDefVal = logStamp
	f.Lookup("highlight").NoOptDefVal = " "
	for _, name := range []string{"timestamp", "highlight"} {
		f.Lookup(name).Annotations = map[string][]string{mayBeAlone: {"greedy"}}
	}
	cmd.MarkFlagsMutuallyExclusive("out", "err")
	cmd.MarkFlagsMutuallyExclusive("raw", "json", "format")
	return cmd
}

// logs is one execution of the command.
type logs struct {
	*cli
	query            api.LogsQuery
	onlyOut, onlyErr bool
	raw, json, pairs bool
	noStream         bool
	timestamp        string // day.js; "" for none
	highlight        string
	lineStamp        dayjs.Format // of timestamp
	pairStamp        dayjs.Format // of pairs
	zone             *time.Location
	started          func() // called when the daemon has begun to send; may be nil
	width            int    // of the widest prefix so far
	prefixes         map[int]string
	colours          map[string]string // by name
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
	l.highlight = strings.TrimSpace(l.highlight) // without a word nothing is marked
	if err := l.readForms(); err != nil {
		return err
	}
	err := l.measure(ctx)
	l.tailing()
	if isNotFound(err) && l.asPM2() && l.noStream {
		l.warn(err.Error()) // PM2 has nothing to show, which is no error there
		return nil
	}
	if err != nil {
		return err
	}
	err = l.follow(ctx)
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
		l.width = max(l.width, width(l.label(list[i].ID, list[i].Name)))
		colourOf(list[i].Name, l.colours)
	}
	return err
}

// label is what stands before the bar: the id and the name, of which PM2 shows eight
// letters.
func (l *logs) label(id int, name string) string {
	if l.asPM2() {
		name = text.Pad(text.Trim(name, pm2Label), pm2Label, ' ')
	}
	return strconv.Itoa(id) + "|" + name
}

const pm2Label = 8

// tailing prints PM2's heading.
func (l *logs) tailing() {
	if !l.asPM2() || l.silent || l.json || l.pairs {
		return
	}
	what, noun := "all", "processes"
	if len(l.query.Targets) > 0 {
		what, noun = l.query.Targets[0], "process"
	}
	l.printf("%s\n", l.look.paint(dim, fmt.Sprintf(
		"[TAILING] Tailing last %d lines for [%s] %s (change the value with --lines option)", l.query.Lines, what, noun)))
}

// errOutput marks an output that cannot be written.
var errOutput = errors.New("write the output")

// follow reads lines until the end, over any number of daemons.
func (l *logs) follow(ctx context.Context) error {
	client, gap := l.client, false
	begun := func() {
		if gap {
			l.errorf("the daemon was replaced; lines written meanwhile are in the log files")
		}
		if l.started != nil {
			l.started()
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
	case l.pairs:
		l.printPairs(line)
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
	l.printf("%s%s %s %s\n", l.stamp(line), l.prefix(line), bar, l.marked(line.Text()))
	return nil
}

// prefix returns what stands before the bar.
func (l *logs) prefix(line api.LogLine) string {
	p, ok := l.prefixes[line.ID]
	if !ok {
		p = l.label(line.ID, line.Name)
		l.width = max(l.width, width(p))
		p = l.look.paint(colourOf(line.Name, l.colours), text.Pad(p, l.width, ' '))
		l.prefixes[line.ID] = p
	}
	return p
}
