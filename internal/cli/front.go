package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

// foreground has run called in front of a keeper in the foreground.
func (c *cli) foreground(private bool, run func() error) error {
	switch {
	case c.Front != nil:
		return run()
	case c.Foreground == nil:
		return fmt.Errorf("stay in the foreground: %w", errors.ErrUnsupported)
	}
	return c.Foreground(private)
}

// printNames is the form that tells people which app a line is of.
func (c *cli) printNames() app.Print {
	if c.look.colour && !c.look.noColour {
		return app.PrintColours
	}
	return app.PrintNames
}

// front is a command in front of a keeper in the foreground: it starts apps and
// lasts as long as they do. The keeper ends with it, and it with the keeper.
type front struct {
	starting
	print    app.Print
	noFiles  bool            // no log files but those that are asked for
	autoExit bool            // end when all apps have
	status   *int            // the exit status then; nil is that of the apps
	prepare  func(*app.Spec) // has a word on each app; may be nil
	heard    func(app.Event) // is told what happens; may be nil
}

// glance is how long after an event the state is looked at again: the event may
// come before the state that it tells of.
const glance = 100 * time.Millisecond

// frontPoll is how often the state is looked at without an event: nearly all that
// can end an app is one.
const frontPoll = 10 * time.Second

// secondThoughts is how long an app that was stopped by a command may be started
// again before its end counts: PM2 takes as long in any case.
const secondThoughts = 12 * time.Second

// ownOutputs are the names by which images have logs written to their output.
func ownOutputs() []string {
	return []string{"/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2"}
}

// inFront takes the words and options of a command in the foreground, and returns what
// is to be run.
func (s *starting) inFront(cmd *cobra.Command, args []string) ([]string, error) {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		args, s.args = args[:at], args[at:]
	}
	s.quiet = true
	s.tellIdle(cmd.Flags())
	if err := s.gather(cmd.Flags()); err != nil {
		return nil, err
	}
	if len(args) > 1 && args[0] == "start" { // `pm2-runtime start app.js`
		args = args[1:]
	}
	if len(args) == 0 {
		return nil, errors.New(`name what to run before "--"`)
	}
	return args, nil
}

func (f *front) run(ctx context.Context, targets []string) error {
	f.client = f.local // the keeper is there, or all is over
	f.force, f.insist = true, true
	f.each = f.adjust
	ctx, cancel := context.WithCancel(ctx)
	changed, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		f.watch(ctx, changed)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := f.begin(ctx, targets); err != nil {
		return err
	}
	return f.last(ctx, changed)
}

// adjust makes an app one of the foreground.
func (f *front) adjust(s *app.Spec) {
	s.Print = f.print
	for _, file := range []*string{&s.OutFile, &s.ErrFile, &s.LogFile} {
		if slices.Contains(ownOutputs(), *file) { // where it goes in any case
			*file = os.DevNull
		}
	}
	if f.noFiles {
		s.OutFile, s.ErrFile = cmp.Or(s.OutFile, os.DevNull), cmp.Or(s.ErrFile, os.DevNull)
	}
	if f.prepare != nil {
		f.prepare(s)
	}
	if s.Job != "" { // it comes again
		f.autoExit = false
	}
}

// begin starts the apps. One that has failed is no reason to leave the others.
func (f *front) begin(ctx context.Context, targets []string) error {
	err := f.all(ctx, targets)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeStartFailed {
		f.errorf("%s", err)
		err = nil
	}
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // asked to end meanwhile, which is how it has to end
	}
	return errors.Join(err, f.out.Flush())
}

// watch tells of events until ctx ends. It may miss some, for which there is the poll.
func (f *front) watch(ctx context.Context, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		err := f.local.Events(ctx, api.EventsQuery{Follow: true}, api.Handler[app.Event]{Begun: tell, Value: func(e app.Event) error {
			if f.heard != nil {
				f.heard(e)
			}
			tell()
			return nil
		}})
		if errors.Is(err, api.ErrNoDaemon) {
			tell()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(glance): // a daemon that ends each stream at once
		}
	}
}

// last waits for the end.
func (f *front) last(ctx context.Context, changed <-chan struct{}) error {
	look := time.NewTimer(0)
	defer look.Stop()
	reloaded := make(chan error, 1)
	reloading := false
	var since time.Time // when all were found to have been ended by a command
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.Front:
			if f.look.terminal {
				return nil // it is gone, and so is whoever looked
			}
			if !reloading {
				reloading = true
				go func() { reloaded <- f.reloadAll(ctx) }()
			}
			continue
		case err := <-reloaded:
			reloading = false
			if err != nil && ctx.Err() == nil {
				f.errorf("reload: %s", f.explain(err))
			}
			continue
		case <-changed:
			look.Reset(glance)
		case <-look.C:
			look.Reset(frontPoll)
		}
		list, err := f.local.Instances(ctx, api.InstancesQuery{Brief: true})
		switch {
		case errors.Is(err, api.ErrNoDaemon):
			return errQuiet // the keeper has ended, and knows why
		case errors.Is(err, api.ErrLost):
			look.Reset(glance)
			continue
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		over, commanded := allOver(list)
		switch {
		case !over || !f.autoExit:
			since = time.Time{}
		case !commanded:
			return f.end(list)
		case since.IsZero():
			since = time.Now()
			look.Reset(secondThoughts)
		case time.Since(since) >= secondThoughts:
			return f.end(list)
		default:
			look.Reset(secondThoughts - time.Since(since))
		}
	}
}

func (f *front) reloadAll(ctx context.Context) error {
	_, err := f.local.Reload(ctx, api.TargetsRequest{Targets: []string{"all"}}, nil)
	return err
}

// allOver tells whether all instances have ended for good, and whether a command
// had its part in it.
func allOver(list []app.Status) (over, commanded bool) {
	for i := range list {
		s := &list[i]
		if s.State != app.Stopped && s.State != app.Errored || s.Draining {
			return false, false
		}
		commanded = commanded || s.LastExit != nil && s.LastExit.Wanted
	}
	return true, commanded || len(list) == 0
}

// end says what the apps have ended with, if that is not well, and makes it the
// status of this command.
func (f *front) end(list []app.Status) error {
	status, ended := statusOf(list)
	if status != 0 {
		f.errorf("all apps have ended: %s", ended)
	}
	if f.status != nil {
		status = *f.status
	}
	if status == 0 {
		return nil
	}
	return exitStatus(status)
}

// statusOf is the exit status of the first instance that did not end well, and what
// there is to say of those; 0 if all ended well.
func statusOf(list []app.Status) (status int, ended string) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b app.Status) int { return endOf(&a).Compare(endOf(&b)) })
	var bad []string
	for i := range list {
		if code := exitCode(&list[i]); code != 0 {
			status = cmp.Or(status, code)
			text := string(list[i].State)
			switch {
			case list[i].LastExit != nil:
				text = list[i].LastExit.String()
			case list[i].Reason != "":
				text = list[i].Reason
			}
			bad = append(bad, fmt.Sprintf("%s (%d): %s", list[i].Name, list[i].ID, text))
		}
	}
	return status, strings.Join(bad, "; ")
}

func endOf(s *app.Status) time.Time {
	if s.LastExit == nil {
		return time.Time{}
	}
	return s.LastExit.At
}

// exitCode is what a shell would make of an instance's end.
func exitCode(s *app.Status) int {
	e := s.LastExit
	switch {
	case e == nil && s.State == app.Errored:
		return 1 // it could not be started
	case e == nil || e.Wanted:
		return 0
	case e.Signal != "":
		if sig, err := app.ParseSignal(strings.TrimPrefix(e.Signal, "signal ")); err == nil {
			return 128 + int(sig)
		}
		return 1
	case e.Error != "":
		return cmp.Or(max(e.Code, 0), 1)
	}
	return e.Code
}
