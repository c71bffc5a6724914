package supervisor

import "errors"

// What callers may want to tell apart. The errors returned wrap these and say
// more.
var (
	ErrNotFound     = errors.New("not found")               // no app or instance of that name
	ErrTarget       = errors.New("bad target")              // a target that cannot be read
	ErrExists       = errors.New("already exists")          // an app of that name is running
	ErrUnchanged    = errors.New("nothing to do")           // it is so already
	ErrStartFailed  = errors.New("cannot be started")       // a process could not be started, or did not last
	ErrReloading    = errors.New("a reload is under way")   // the app's, and there can be only one
	ErrReloadFailed = errors.New("reload failed")           // the new processes were not fit to take over
	ErrUnkillable   = errors.New("cannot be killed")        // a process survived SIGKILL
	ErrSave         = errors.New("state cannot be saved")   // and so nothing was changed
	ErrClosed       = errors.New("supervisor is shut down") // the daemon is going away
)

// failure is an error with a text of its own that is one of the above.
type failure struct {
	kind error
	text string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }
