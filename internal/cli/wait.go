package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) waitCommand() *cobra.Command {
	w := wait{cli: c}
	conditions := []string{"online", "ready", "stopped", "errored"}
	cmd := &cobra.Command{
		Use:   "wait target " + strings.Join(conditions, "|"),
		Short: "Wait until an app is in a state",
		Long: `wait returns when every instance of the target is online, ready (it listens, or said
so), stopped or errored. It fails at once if that cannot come any more: when an
instance is errored, or stopped, where online or ready is waited for.`,
		Example: `  pace wait api ready
  pace wait api online --timeout 30s && echo up`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name a target and a state, e.g. `pace wait api ready`")
			}
			if !slices.Contains(conditions, args[1]) {
				return fmt.Errorf("%q is none of %s", args[1], strings.Join(conditions, ", "))
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return c.completeTargets(cmd, args, word)
			case 1:
				return conditions, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			w.target, w.condition = args[0], args[1]
			return w.run(cmd.Context())
		},
	}
	cmd.Flags().Var((*durationFlag)(&w.timeout), "timeout", "how long to wait: a `duration` such as 500ms, 10s or 1m (default 60s)")
	return cmd
}

// durationFlag reads durations as the options of start do.
type durationFlag time.Duration

// String returns nothing: the default is in the usage.
func (d *durationFlag) String() string { return "" }

// Type names the shape of the value.
func (d *durationFlag) Type() string { return "duration" }

// Set reads a value.
func (d *durationFlag) Set(text string) error {
	v, err := app.ParseDuration(text)
	if err == nil && v <= 0 {
		err = fmt.Errorf("%q is not above zero", text)
	}
	*d = durationFlag(v)
	return err
}

// wait is one execution of the command.
type wait struct {
	*cli
	target, condition string
	timeout           time.Duration
}

// waitTimeout is how long wait waits if nothing else is said.
const waitTimeout = time.Minute

// waitPoll is how often the state is looked at without an event: not all that
// can change is one.
const waitPoll = 250 * time.Millisecond

var errWaited = errors.New("waited long enough")

func (w *wait) run(ctx context.Context) error {
	if w.timeout == 0 {
		w.timeout = waitTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.timeout, errWaited)
	defer cancel()
	changed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.watch(ctx, changed)
	}()
	err := w.until(ctx, changed)
	cancel()
	<-ended
	return err
}

// until looks at the state whenever it may have changed.
func (w *wait) until(ctx context.Context, changed <-chan struct{}) error {
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	seen := "did not answer"
	for {
		list, err := w.client.Instances(ctx, api.InstancesQuery{Targets: []string{w.target}, Brief: true})
		if err == nil {
			var met bool
			if met, err = w.met(list); met || err != nil {
				return err
			}
			seen = "is " + states(list)
		}
		if err == nil {
			select {
			case <-ctx.Done():
			case <-changed:
			case <-poll.C:
			}
		}
		switch {
		case errors.Is(context.Cause(ctx), errWaited):
			return fmt.Errorf("%s %s, not %s, after %s; `pace show %s` tells more", w.target, seen, w.condition, w.timeout, w.target)
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// met tells whether all instances are as wanted; an error means that they will
// not be.
func (w *wait) met(list []app.Status) (bool, error) {
	all := true
	for i := range list {
		s := &list[i]
		switch w.condition {
		case "ready":
			all = all && s.State == app.Online && s.Ready
		default:
			all = all && string(s.State) == w.condition
		}
		hopeless := s.State == app.Errored || s.State == app.Stopped
		if hopeless && (w.condition == "ready" || w.condition == "online") {
			text := fmt.Sprintf("%s (%d) is %s", s.Name, s.ID, s.State)
			if reason := why(s, w.Now()); reason != "" {
				text += ": " + reason
			}
			return false, fmt.Errorf("%s; `pace show %d` tells more", text, s.ID)
		}
	}
	return all && len(list) > 0, nil
}

// states lists the states of instances: "online, launching".
func states(list []app.Status) string {
	var all []string
	for i := range list {
		state := string(list[i].State)
		if list[i].State == app.Online && !list[i].Ready {
			state = "online but not ready"
		}
		all = append(all, state)
	}
	return strings.Join(unique(all), ", ")
}

// watch tells of changes until ctx ends. It may miss some, for which there is
// the poll.
func (w *wait) watch(ctx context.Context, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		err := w.local.Events(ctx, api.EventsQuery{Follow: true}, api.Handler[app.Event]{Begun: tell, Value: func(app.Event) error { tell(); return nil }})
		if err != nil && !errors.Is(err, api.ErrLost) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(waitPoll): // a daemon that ends each stream at once
		}
	}
}
