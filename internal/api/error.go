package api

import (
	"errors"
	"net/http"
)

// Code says what went wrong, for programs; the message is for people.
type Code string

// The codes of errors.
const (
	CodeNotFound     Code = "not_found"     // no app or instance is meant by a target
	CodeExists       Code = "exists"        // an app of that name runs already
	CodeInvalid      Code = "invalid"       // the request cannot be carried out as it is
	CodeReloading    Code = "reloading"     // a reload of the app is under way
	CodeReloadFailed Code = "reload_failed" // the new release did not come up; the old one serves on
	CodeStartFailed  Code = "start_failed"  // the app did not come up
	CodeBusy         Code = "busy"          // cannot be done now, may be later
	CodeUnsupported  Code = "unsupported"   // this version, or this system, cannot do it
	CodeInternal     Code = "internal"      // a fault on the daemon's side
)

// Codes lists all of them.
func Codes() []Code {
	return []Code{
		CodeNotFound, CodeExists, CodeInvalid, CodeReloading, CodeReloadFailed,
		CodeStartFailed, CodeBusy, CodeUnsupported, CodeInternal,
	}
}

// Status returns the HTTP status that goes with the code.
func (c Code) Status() int {
	switch c {
	case CodeNotFound:
		return http.StatusNotFound
	case CodeExists, CodeReloading:
		return http.StatusConflict
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeReloadFailed, CodeStartFailed:
		return http.StatusUnprocessableEntity
	case CodeBusy:
		return http.StatusServiceUnavailable
	case CodeUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// Error is a request that the daemon refused or could not carry out.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"` // one line: what, which, what to do
	// Reply is what an action did before it failed; nil if nothing.
	Reply *ActionReply `json:"reply,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// ErrorBody is the body of every answer whose status is 400 or more.
type ErrorBody struct {
	Error Error `json:"error"`
}

// AsError returns the *Error in err's chain, or err's text as CodeInternal.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}

// Errors of the connection itself.
var (
	// ErrNoDaemon: nothing listens on the socket.
	ErrNoDaemon = errors.New("no daemon runs")
	// ErrLost: the connection ended before the answer. Whether the request was
	// carried out is not known.
	ErrLost = errors.New("the daemon ended before it answered")
)
