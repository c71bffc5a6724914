// Package client speaks to a running Paceline from Go: it lists, starts, stops, reloads
// and explains apps, and follows their logs and events, over the unix socket of one
// home folder. It needs nothing but the standard library.
//
//	c, err := client.New("")
//	list, err := c.Instances(ctx)
//	for _, s := range list {
//		fmt.Println(s.ID, s.Name, s.State)
//	}
//
// Nothing is started by it: without a daemon each call returns ErrNoDaemon. What the
// daemon refuses is an *Error, whose Code says why. A Client may be used by several
// goroutines at once. Requests that only read are repeated if the daemon is replaced
// meanwhile; the others return ErrLost then, as nobody knows whether they were carried
// out.
//
// Under one version of the API fields, codes and methods are added, and none changes its
// meaning. `pace api openapi` prints the description of what lies below.
package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"paceline/internal/api"
)

// Client speaks to the daemon of one home.
type Client struct{ api *api.Client }

// New returns a client for a home folder; "" means $PACELINE_HOME, or .paceline in the
// user's home folder. It connects at the first call. Errors: the user has no home
// folder.
func New(home string) (*Client, error) {
	if home == "" {
		home = os.Getenv("PACELINE_HOME")
	}
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("find Paceline's home: %w", err)
		}
		home = filepath.Join(user, ".paceline")
	}
	if strings.HasPrefix(home, "@") { // a home without files
		return &Client{api.New(api.Options{Home: home})}, nil
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, fmt.Errorf("find Paceline's home: %w", err)
	}
	return &Client{api.New(api.Options{Home: home})}, nil
}

// Close ends idle connections. A client that is not closed lets go of them after a
// second by itself.
func (c *Client) Close() { c.api.Close() }

// Version tells which daemon answers.
func (c *Client) Version(ctx context.Context) (Version, error) { return c.api.Version(ctx) }

// Instances lists the instances that the targets mean, by id: ids, names, namespaces,
// "all" or /regular expressions/. None means all. Errors: CodeNotFound if a target means
// nothing.
func (c *Client) Instances(ctx context.Context, targets ...string) ([]Status, error) {
	return c.api.Instances(ctx, api.InstancesQuery{Targets: targets})
}

// Apps lists the apps that the targets mean, with their configuration. The values of
// variables, which may be secrets, are left out.
func (c *Client) Apps(ctx context.Context, targets ...string) ([]App, error) {
	return c.api.Apps(ctx, api.AppsQuery{Targets: targets})
}

// Why explains how instances have come to be as they are.
func (c *Client) Why(ctx context.Context, targets ...string) ([]Why, error) {
	return c.api.Why(ctx, api.WhyQuery{Targets: targets})
}

// Start starts apps, and returns when each is ready or has failed: CodeStartFailed.
// Begin each Spec with Defaults. An app that runs already is CodeExists.
func (c *Client) Start(ctx context.Context, specs ...Spec) ([]Status, error) {
	return instances(c.api.Start(ctx, api.StartRequest{Specs: specs}))
}

// Stop stops instances, and returns when they are gone.
func (c *Client) Stop(ctx context.Context, targets ...string) ([]Status, error) {
	return instances(c.api.Stop(ctx, api.TargetsRequest{Targets: targets}))
}

// Restart stops and starts instances, and returns as Start does.
func (c *Client) Restart(ctx context.Context, targets ...string) ([]Status, error) {
	return instances(c.api.Restart(ctx, api.TargetsRequest{Targets: targets}))
}

// Reload replaces instances by successors without a gap, where that can be done. If the
// new processes do not come up, the old ones stay: CodeReloadFailed. Progress is told of
// each step, a line for people; it may be nil.
func (c *Client) Reload(ctx context.Context, progress func(step string), targets ...string) ([]Status, error) {
	return instances(c.api.Reload(ctx, api.TargetsRequest{Targets: targets}, progress))
}

// Scale gives an app another number of instances: "4", "+2", "-1" or "max".
func (c *Client) Scale(ctx context.Context, app, count string) ([]Status, error) {
	return instances(c.api.Scale(ctx, api.ScaleRequest{App: app, Instances: count}))
}

// Delete stops and forgets instances.
func (c *Client) Delete(ctx context.Context, targets ...string) ([]Status, error) {
	return instances(c.api.Delete(ctx, api.TargetsRequest{Targets: targets}))
}

// Signal sends a signal to processes: "SIGHUP", "HUP" or "1".
func (c *Client) Signal(ctx context.Context, signal string, targets ...string) ([]Status, error) {
	return instances(c.api.Signal(ctx, api.SignalRequest{Targets: targets, Signal: signal}))
}

// Logs hands line over the lines that q selects, one after the other, until they end:
// with Follow when ctx ends, the daemon is replaced (ErrLost, or nil), or line returns an
// error, which is then returned.
func (c *Client) Logs(ctx context.Context, q LogsQuery, line func(LogLine) error) error {
	return c.api.Logs(ctx, q, api.Handler[LogLine]{Value: line})
}

// Events hands over the events that q selects, as Logs does with lines. To go on where a
// stream has ended, set q.After to the Seq of the last event.
func (c *Client) Events(ctx context.Context, q EventsQuery, event func(Event) error) error {
	return c.api.Events(ctx, q, api.Handler[Event]{Value: event})
}

// instances is what an action acted on. A failed one has been tried with all of them.
func instances(r api.ActionReply, err error) ([]Status, error) { return r.Instances, err }

// IsCode reports whether err is the daemon's refusal with a code.
func IsCode(err error, code Code) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}
