package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"paceline/internal/app"
)

// Options say which daemon a Client speaks to.
type Options struct {
	Home string // absolute path of the home folder
	// Ensure starts a daemon where none listens. Nil: ErrNoDaemon instead.
	Ensure func(ctx context.Context) error
}

// Client speaks to the daemon of one home. Its methods may be called
// concurrently and wait until the daemon has answered or ctx ends: a daemon that
// is being replaced finds the request in its socket's queue.
//
// Errors: *Error for what the daemon refused, ErrNoDaemon, ErrLost.
type Client struct {
	options Options
	http    http.Client
	version atomic.Pointer[string]
}

// New returns a client. It connects at the first request.
func New(o Options) *Client {
	c := &Client{options: o}
	c.http.Transport = &http.Transport{
		DialContext:        c.dial,
		DisableCompression: true,
		MaxIdleConns:       2,
		IdleConnTimeout:    time.Second, // a daemon that is replaced must not wait for us
	}
	return c
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// DaemonVersion returns the version of the daemon that answered last, or "".
func (c *Client) DaemonVersion() string {
	if v := c.version.Load(); v != nil {
		return *v
	}
	return ""
}

// Version tells who answers.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.get(ctx, "/v1/version", nil, &v)
}

// Instances returns the instances that q selects, by id.
func (c *Client) Instances(ctx context.Context, q InstancesQuery) (list []app.Status, err error) {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	if q.Brief {
		v.Set("brief", "1")
		return list, c.get(ctx, "/v1/instances", v, (*Briefs)(&list))
	}
	return list, c.get(ctx, "/v1/instances", v, &list)
}

// Apps returns the apps that q selects, each with those of its instances that
// are meant.
func (c *Client) Apps(ctx context.Context, q AppsQuery) (list []AppInfo, err error) {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	if q.Env {
		v.Set("env", "1")
	}
	return list, c.get(ctx, "/v1/apps", v, &list)
}

// Start starts new apps and waits until each is ready or has failed.
func (c *Client) Start(ctx context.Context, q StartRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/apps", q)
}

// Stop stops instances and waits until they are gone.
func (c *Client) Stop(ctx context.Context, q TargetsRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/stop", q)
}

// Restart stops and starts instances.
func (c *Client) Restart(ctx context.Context, q TargetsRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/restart", q)
}

// Apply brings apps to new specs. Progress is as for Reload.
func (c *Client) Apply(ctx context.Context, q ApplyRequest, progress func(step string)) (ActionReply, error) {
	if progress == nil {
		return c.act(ctx, "/v1/apply", q)
	}
	return c.follow(ctx, "/v1/apply", q, progress)
}

// Reload replaces instances without a gap, where that can be done. Progress is
// called with each step that the daemon tells of, a line for people; it may be nil.
func (c *Client) Reload(ctx context.Context, q TargetsRequest, progress func(step string)) (ActionReply, error) {
	if progress == nil {
		return c.act(ctx, "/v1/reload", q)
	}
	return c.follow(ctx, "/v1/reload", q, progress)
}

// Delete stops and forgets instances.
func (c *Client) Delete(ctx context.Context, q TargetsRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/delete", q)
}

// Reset sets counters to zero.
func (c *Client) Reset(ctx context.Context, q TargetsRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/reset", q)
}

// Flush empties log files.
func (c *Client) Flush(ctx context.Context, q TargetsRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/flush", q)
}

// Scale changes an app's number of instances.
func (c *Client) Scale(ctx context.Context, q ScaleRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/scale", q)
}

// Kill stops every app, the daemon and the keeper.
func (c *Client) Kill(ctx context.Context, q KillRequest) (r KillReply, err error) {
	return r, c.post(ctx, "/v1/kill", q, &r)
}

// Update replaces the daemon by another binary. It returns when the old one has
// agreed, not when the new one runs.
func (c *Client) Update(ctx context.Context, q UpdateRequest) (r UpdateReply, err error) {
	return r, c.post(ctx, "/v1/update", q, &r)
}

// Doctor returns what the daemon finds about its system.
func (c *Client) Doctor(ctx context.Context) (checks []Check, err error) {
	return checks, c.get(ctx, "/v1/doctor", nil, &checks)
}

// Handler receives a stream. Its functions are called one at a time; an error of
// one ends the stream and is returned.
type Handler[T any] struct {
	Begun func()        // the daemon has accepted the query; may be nil
	Value func(T) error // one value, in order
	Idle  func() error  // no further value has arrived yet; may be nil
}

// Logs hands over the lines that q selects until the daemon ends the stream
// (nil) or the connection is lost (ErrLost).
func (c *Client) Logs(ctx context.Context, q LogsQuery, h Handler[LogLine]) error {
	return stream(ctx, c, "/v1/logs", q.values(), h)
}

// Events hands over the events that q selects, as Logs does with lines. To go on after
// ErrLost, ask for those After the last one's number.
func (c *Client) Events(ctx context.Context, q EventsQuery, h Handler[app.Event]) error {
	return stream(ctx, c, "/v1/events", q.values(), h)
}

// Why explains the instances that q selects, by id.
func (c *Client) Why(ctx context.Context, q WhyQuery) (list []Why, err error) {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	return list, c.get(ctx, "/v1/why", v, &list)
}

// History returns what instances have used.
func (c *Client) History(ctx context.Context, q HistoryQuery) (h History, err error) {
	return h, c.get(ctx, "/v1/history", q.values(), &h)
}

// Ports returns the addresses that apps share, by app and address.
func (c *Client) Ports(ctx context.Context, q PortsQuery) (list []Port, err error) {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	return list, c.get(ctx, "/v1/ports", v, &list)
}

// Metrics returns all figures of the moment in the text format of Prometheus, of type
// MetricsType.
func (c *Client) Metrics(ctx context.Context, q MetricsQuery) (text []byte, err error) {
	v := url.Values{}
	if q.PSS {
		v.Set("pss", "1")
	}
	return text, retry(ctx, func() error {
		response, err := c.do(ctx, http.MethodGet, "/v1/metrics", v, nil, "")
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // nothing was written
		text, err = c.body(ctx, response)
		return err
	})
}

// Gone waits until nothing listens on the socket any more.
func (c *Client) Gone(ctx context.Context) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		conn, err := connect(ctx, filepath.Join(c.options.Home, SocketName))
		if errors.Is(err, ErrNoDaemon) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return fmt.Errorf("close connection: %w", err)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}
