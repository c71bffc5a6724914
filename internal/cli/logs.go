package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
		Short:   "Print, search and follow the output of apps",
		Long: `logs prints the last lines that instances wrote, of all if no target is given, and
follows them until Ctrl-C. Each line begins with the instance's id and name. It
goes on when the daemon is replaced. Names come before --timestamp and --highlight,
which take the next word as their value. An unknown target is an error; PM2 waits for
it instead.

With --since, --until, --grep or --level it is a search: rotated and compressed files
are read too, what is found is merged by time, all of it unless --lines says how many
of each stream, and then new lines are held against the same. Times are how long ago
(10m, 36h, 7d), a time of day (12:30) or a date (2026-01-31T12:30:00Z). The time and
the level of a line are what it says itself; docs/logs.md tells how they are read.

On a terminal, control characters other than colours are shown as \x1b and the like;
--raw leaves them.`,
		Example: `  pace logs
  pace logs api --lines 100 --err
  pace logs --since 10m --level error
  pace logs api --grep 'timeout|refused' --nostream
  pace logs --since 12:30 --until 12:45 --json | jq .message
  pace logs web --timestamp HH:mm:ss --highlight ERROR`,
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			l.query.Targets = append(args, l.apps...)
			l.linesAsked = cmd.Flags().Changed("lines")
			return l.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVarP(&l.query.Lines, "lines", "n", 15, "`count` of old lines of each stream to begin with, 0 for none; a search begins with all")
	f.StringVar(&l.since, "since", "", "search: lines from a `time` on: 10m ago, 12:30, 2026-01-31T12:30:00Z (default: none)")
	f.StringVar(&l.until, "until", "", "search: lines up to a `time`, and none that are new (default: none)")
	f.StringVar(&l.query.Grep, "grep", "", "search: lines that match a regular `expression` of RE2 (default: any)")
	f.BoolVar(&l.query.IgnoreCase, "ignore-case", false, "--grep matches letters in any case")
	f.BoolVar(&l.query.Invert, "invert", false, "lines that do not match --grep")
	f.StringVar(&l.query.Level, "level", "", "search: lines of this `level` at least: trace, debug, info, warn, error or fatal (default: any)")
	f.StringSliceVar(&l.apps, "app", nil, "a `target`, as if it came before the options (default: all)")
	f.BoolVar(&l.follow, "follow", true, "go on with new lines; --follow=false is --nostream")
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
	noStream, follow bool
	since, until     string
	apps             []string
	linesAsked       bool
	sought           *regexp.Regexp    // what is marked on a terminal; nil: nothing
	places           map[logKey]string // where each log has been read to
	goesOn           bool              // the present daemon goes on there
	found, again     int               // lines that it has sent, and how many of them are known
	timestamp        string            // day.js; "" for none
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
	l.query.Follow = l.follow && !l.noStream && l.until == ""
	l.query.Places = l.query.Follow
	l.highlight = strings.TrimSpace(l.highlight) // without a word nothing is marked
	if err := errors.Join(l.readForms(), l.readSearch()); err != nil {
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
	err = l.read(ctx)
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

// readSearch reads what is searched for.
func (l *logs) readSearch() (err error) {
	now := time.Now()
	for _, t := range []struct {
		name, text string
		at         *time.Time
	}{{"--since", l.since, &l.query.Since}, {"--until", l.until, &l.query.Until}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = api.ParseMoment(t.text, now); err != nil {
			return fmt.Errorf("%s %w", t.name, err)
		}
	}
	if err := l.query.Check(); err != nil {
		return err
	}
	switch {
	case l.query.Grep == "" && (l.query.IgnoreCase || l.query.Invert):
		return errors.New("--ignore-case and --invert are about --grep; name its expression")
	case l.query.Searches() && !l.linesAsked:
		l.query.Lines = api.AllLines
	}
	switch {
	case l.highlight != "":
		l.sought = regexp.MustCompile(regexp.QuoteMeta(l.highlight))
	case l.query.Grep != "" && !l.query.Invert:
		expr := l.query.Grep
		if l.query.IgnoreCase {
			expr = "(?i)" + expr
		}
		l.sought, err = regexp.Compile(expr)
	}
	return err
}

// logKey names one log.
type logKey struct {
	id     int
	stream api.Stream
}

// keep notes where a log has been read to.
func (l *logs) keep(line api.LogLine) {
	if line.Pos == "" {
		return
	}
	if l.places == nil {
		l.places = map[logKey]string{}
	}
	stream := line.Stream
	if stream == api.Place {
		stream = api.Stream(line.Line)
	}
	l.places[logKey{line.ID, stream}] = line.Pos
}

// goOn has the next daemon go on where this one was; false if nobody knows where that
// was.
func (l *logs) goOn() bool {
	if len(l.places) == 0 && l.query.Lines == api.AllLines {
		l.again, l.found = max(l.again, l.found), 0 // the search was not over: it begins anew, and finds the same
		return true
	}
	l.query.Lines, l.query.After, l.again = 0, nil, 0
	for k, pos := range l.places {
		l.query.After = append(l.query.After, api.LogPlace{ID: k.id, Stream: k.stream, Pos: pos})
	}
	return len(l.places) > 0
}

// seen counts the lines that a search finds, and reports whether this one was printed
// before.
func (l *logs) seen() bool {
	l.found++
	return l.found <= l.again
}

// read reads lines until the end, over any number of daemons.
func (l *logs) read(ctx context.Context) error {
	client, gap := l.client, false
	begun := func() {
		if gap && !l.goesOn {
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
		client, gap = l.local, true
		l.goesOn = l.goOn()
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
	l.keep(line)
	if line.Stream == api.Place {
		return nil
	}
	if line.Stream == api.Notice && line.ID < 0 {
		return errors.New(line.Text()) // the search has failed
	}
	if line.Stream != api.Notice && len(l.places) == 0 && l.seen() {
		return nil
	}
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
	l.printf("%s%s %s %s\n", l.stamp(line), l.prefix(line), bar, l.marked(l.harmless(line.Text())))
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
