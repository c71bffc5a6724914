package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) eventsCommand() *cobra.Command {
	e := events{cli: c}
	var since, until string
	var types []string
	cmd := &cobra.Command{
		Use:   "events [target...]",
		Short: "Print what has happened, and what happens",
		Long: `events prints what has happened to instances: starts, exits, restarts, reloads, who
asked for what, changes of the configuration, and warnings. The history survives the
daemon, and deleted apps; its oldest part goes when it is larger than 16 MB. With
--follow it goes on with what happens, over any number of daemons, until Ctrl-C.
Messages of apps are shown by --follow alone, as they are not kept.

The types are those that the completion of --type offers: docs/events.md tells of each.`,
		Example: `  pace events api
  pace events --since 1h --type exit,hang
  pace events --follow --json | jq .type`,
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			e.query.Targets = args
			for _, t := range types {
				e.query.Types = append(e.query.Types, app.EventType(t))
			}
			if err := knownTypes(e.query.Types); err != nil {
				return err
			}
			if e.query.Since, err = moment("since", since, c.Now()); err != nil {
				return err
			}
			if e.query.Until, err = moment("until", until, c.Now()); err != nil {
				return err
			}
			if !cmd.Flags().Changed("lines") && !e.query.Since.IsZero() {
				e.query.Lines = 0 // all of that time
			}
			return e.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&types, "type", nil, "only events of these `types` (default: all)")
	f.StringVar(&since, "since", "", "only events of the last `time`, such as 10m, or from one on: 2026-01-31T12:00 (default: any)")
	f.StringVar(&until, "until", "", "only events up to a `time`, likewise (default: any)")
	f.IntVarP(&e.query.Lines, "lines", "n", 50, "`count` of old events at most, the last ones; 0 for all; with --since all")
	f.BoolVar(&e.json, "json", false, "each event as a JSON object, as the API has it")
	f.BoolVarP(&e.query.Follow, "follow", "f", false, "go on with what happens")
	mustComplete(cmd, "type", texts(app.EventTypes()))
	return cmd
}

// knownTypes refuses a type that there is not, as it would select nothing.
func knownTypes(types []app.EventType) error {
	for _, t := range types {
		known := false
		for _, other := range app.EventTypes() {
			known = known || t == other
		}
		if !known {
			return fmt.Errorf("--type %s: there is no such event; there are: %s", t, strings.Join(texts(app.EventTypes()), ", "))
		}
	}
	return nil
}

// moment reads the value of an option: a time, or how long ago it was.
func moment(option, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, value, time.Local); err == nil {
			return at, nil
		}
	}
	ago, err := time.ParseDuration(value)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("--%s %q: want how long ago, such as 10m or 2h, or a time such as %s",
			option, value, now.Format("2006-01-02T15:04:05Z07:00"))
	}
	return now.Add(-ago), nil
}

// events is one execution of the command.
type events struct {
	*cli
	query api.EventsQuery
	json  bool
	width int // of the widest label so far
}

func (e *events) run(ctx context.Context) error {
	if n := e.query.Lines; n < 0 || n > api.MaxLines {
		return fmt.Errorf("--lines %d: want a number from 0 to %d", n, api.MaxLines)
	}
	client, follow := e.client, e.query.Follow
	if follow && e.query.Lines == 0 && !e.query.Old() {
		e.query.Lines = api.MaxLines // what 0 says here
	}
	for {
		err := client.Events(ctx, e.query, api.Handler[app.Event]{Value: e.print, Idle: e.flush})
		switch {
		case errors.Is(err, errOutput):
			return err
		case ctx.Err() != nil && follow:
			return nil // Ctrl-C is how one leaves
		case !follow:
			return err
		case err != nil && !errors.Is(err, api.ErrLost):
			if client == e.local && errors.Is(err, api.ErrNoDaemon) {
				e.errorf("the daemon has ended")
				return nil
			}
			return err
		}
		// The next daemon goes on after the last one; one that was stopped is not
		// started for us.
		client = e.local
		if e.query.After > 0 {
			e.query.Lines = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond): // should each daemon end at once
		}
	}
}

func (e *events) flush() error {
	if err := e.out.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

func (e *events) print(event app.Event) error {
	e.query.After = max(e.query.After, event.Seq)
	if e.json {
		line, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		e.printf("%s\n", line)
		return nil
	}
	label := oneLine(event.Name)
	switch {
	case event.Name == "":
		label = "paceline"
	case event.ID >= 0:
		label += fmt.Sprintf(" (%d)", event.ID)
	}
	e.width = max(e.width, width(label))
	e.printf("%s  %s  %s %s\n", e.look.paint(dim, event.At.Local().Format(time.DateTime)), text.Pad(label, e.width, ' '),
		e.look.paint(eventColour(&event), text.Pad(string(event.Type), 13, ' ')), told(&event))
	return nil
}

// eventColour marks what went wrong, and what may.
func eventColour(e *app.Event) string {
	switch e.Type {
	case app.EventExit:
		if e.Exit != nil && !e.Exit.Wanted && (e.Exit.Code != 0 || e.Exit.Error != "") {
			return red
		}
	case app.EventOverlimit, app.EventReloadFailed, app.EventHang:
		return red
	case app.EventWarning, app.EventMemory:
		return yellow
	case app.EventOnline, app.EventReady, app.EventReload:
		return green
	case app.EventCommand, app.EventConfig:
		return cyan
	}
	return ""
}

// told is what there is to say about an event, on one line.
func told(e *app.Event) string {
	switch e.Type {
	case app.EventExit:
		if e.Exit == nil {
			break
		}
		words := e.Exit.String()
		if e.Exit.Uptime >= app.Duration(time.Millisecond) {
			words += " after " + short(time.Duration(e.Exit.Uptime))
		}
		if n := len(e.Exit.Stderr); n > 0 && !e.Exit.Wanted {
			words += ": " + e.Exit.Stderr[n-1]
		}
		return oneLine(words)
	case app.EventStart:
		words := fmt.Sprintf("pid %d", e.PID)
		if e.Version != "" {
			words += ", " + e.Version
		}
		return oneLine(words)
	case app.EventCommand:
		if e.By != "" {
			return oneLine(e.Detail + " by " + e.By)
		}
	case app.EventMessage:
		return shown(e.Data)
	}
	return oneLine(e.Detail)
}

// short is a duration as people say it: "1.6s", "3m20s", "2h5m".
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
