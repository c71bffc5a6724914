package api

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// Bounds of what is said to processes.
const (
	MaxInput       = 64 << 10 // bytes of one SendRequest.Data
	MaxAction      = 256      // bytes of TriggerRequest.Action
	MaxParams      = 64 << 10 // bytes of TriggerRequest.Params
	TriggerTimeout = 10 * time.Second
	MaxTriggerWait = 10 * time.Minute
)

// SignalRequest asks for a signal to processes.
type SignalRequest struct {
	Targets []string `json:"targets"` // as in TargetsRequest
	Signal  string   `json:"signal"`  // "SIGUSR2", "usr2" or "12"
}

// SendRequest asks to write to the standard input of processes.
type SendRequest struct {
	Targets []string `json:"targets"` // as in TargetsRequest
	Data    []byte   `json:"data"`    // as it is, the end of the line included; at most MaxInput bytes
}

// TriggerRequest asks processes to run one of the actions that they have
// registered with @pm2/io.
type TriggerRequest struct {
	Targets []string `json:"targets"`          // as in TargetsRequest
	Action  string   `json:"action"`           // its name, at most MaxAction bytes
	Params  *string  `json:"params,omitempty"` // handed to the action; at most MaxParams bytes
	// TimeoutMS bounds the wait for the replies, in milliseconds. Zero means
	// TriggerTimeout; at most MaxTriggerWait.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
}

// Timeout returns how long to wait for the replies.
func (q TriggerRequest) Timeout() time.Duration {
	if q.TimeoutMS == 0 {
		return TriggerTimeout
	}
	return time.Duration(q.TimeoutMS) * time.Millisecond
}

// TriggerReply tells what became of an action in each process that has it, by id.
type TriggerReply struct {
	Replies []ActionReturn `json:"replies"`
}

// ActionReturn is the reply of one process: either Return or Error.
type ActionReturn struct {
	ID        int             `json:"id"`
	Name      string          `json:"name"`
	Namespace string          `json:"namespace,omitempty"` // "" means "default"
	Return    json.RawMessage `json:"return,omitempty"`    // what the action returned
	Error     string          `json:"error,omitempty"`     // why there is no reply; one line
}

// ReopenReply tells how many log files are in use.
type ReopenReply struct {
	Files int `json:"files"`
}

// DecodeSignal reads and checks the body of OpSignal. Errors: *Error with CodeInvalid.
func DecodeSignal(r io.Reader) (SignalRequest, error) {
	var q SignalRequest
	if err := decode(r, &q); err != nil {
		return SignalRequest{}, err
	}
	if err := checkSome(q.Targets); err != nil {
		return SignalRequest{}, err
	}
	if _, err := app.ParseSignal(q.Signal); err != nil {
		return SignalRequest{}, invalid("%v", err)
	}
	return q, nil
}

// DecodeSend reads and checks the body of OpSend. Errors: *Error with CodeInvalid.
func DecodeSend(r io.Reader) (SendRequest, error) {
	var q SendRequest
	if err := decode(r, &q); err != nil {
		return SendRequest{}, err
	}
	if err := checkSome(q.Targets); err != nil {
		return SendRequest{}, err
	}
	if n := len(q.Data); n == 0 || n > MaxInput {
		return SendRequest{}, invalid("%d bytes cannot be sent at once, only 1 to %d", n, MaxInput)
	}
	return q, nil
}

// DecodeTrigger reads and checks the body of OpTrigger. Errors: *Error with CodeInvalid.
func DecodeTrigger(r io.Reader) (TriggerRequest, error) {
	var q TriggerRequest
	if err := decode(r, &q); err != nil {
		return TriggerRequest{}, err
	}
	if err := checkSome(q.Targets); err != nil {
		return TriggerRequest{}, err
	}
	switch {
	case q.Action == "" || len(q.Action) > MaxAction:
		return TriggerRequest{}, invalid("the action's name has %d bytes, not 1 to %d", len(q.Action), MaxAction)
	case strings.ContainsFunc(q.Action, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
		return TriggerRequest{}, invalid("the action %q holds an unprintable character", q.Action)
	case q.Params != nil && len(*q.Params) > MaxParams:
		return TriggerRequest{}, invalid("the parameters have %d bytes, more than %d", len(*q.Params), MaxParams)
	case q.TimeoutMS < 0 || q.TimeoutMS > MaxTriggerWait.Milliseconds():
		return TriggerRequest{}, invalid("timeout_ms %d is not between 0 and %d", q.TimeoutMS, MaxTriggerWait.Milliseconds())
	}
	return q, nil
}

// checkSome is checkTargets for requests that need one.
func checkSome(targets []string) error {
	if len(targets) == 0 {
		return invalid("the request names no target")
	}
	return checkTargets(targets)
}

// Signal sends a signal to the processes of instances, to each alone. Nothing is
// signalled if one has no process: CodeInvalid.
func (c *Client) Signal(ctx context.Context, q SignalRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/signal", q)
}

// Send writes to the standard input of processes. CodeInvalid for one that has none,
// CodeBusy for one that does not read it.
func (c *Client) Send(ctx context.Context, q SendRequest) (ActionReply, error) {
	return c.act(ctx, "/v1/send", q)
}

// Trigger has processes run an action and waits for their replies. CodeNotFound, and
// which there are, if none of them has it.
func (c *Client) Trigger(ctx context.Context, q TriggerRequest) (r TriggerReply, err error) {
	return r, c.post(ctx, "/v1/trigger", q, &r)
}

// Reopen has the daemon look for log files that were moved away, and make them anew.
func (c *Client) Reopen(ctx context.Context) (r ReopenReply, err error) {
	return r, c.post(ctx, "/v1/reopen", struct{}{}, &r)
}
