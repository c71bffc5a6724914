// Package kernel says what the running kernel offers and permits.
package kernel

import (
	"errors"
	"fmt"
)

// ErrUnsupported is what every *UnsupportedError is: the kernel does not have
// the feature, or not for us.
var ErrUnsupported = errors.New("not supported by this kernel")

// UnsupportedError says that a feature is missing, and which kernel has it.
type UnsupportedError struct {
	Feature string
	Since   string // "5.3": the first version of Linux that has it; "" if none does
	Running string // "4.18": the version here; "" if that is unknown, or not Linux
	Err     error  // what the attempt gave; may be nil
}

// Error says which kernel would do, or what else may be in the way.
func (e *UnsupportedError) Error() string {
	running, known := parseVersion(e.Running)
	since, _ := parseVersion(e.Since)
	switch {
	case e.Running == "":
		return fmt.Sprintf("%s needs Linux %s", e.Feature, e.Since)
	case known && running.less(since):
		return fmt.Sprintf("%s needs Linux %s, this is %s", e.Feature, e.Since, e.Running)
	case e.Err == nil:
		return fmt.Sprintf("%s is not available on this Linux %s", e.Feature, e.Running)
	}
	return fmt.Sprintf("%s is not available on this Linux %s: switched off in its configuration, or by a sandbox (%v)",
		e.Feature, e.Running, e.Err)
}

// Is makes every UnsupportedError an ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Unwrap returns what the attempt gave.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// Probe is one thing of the kernel's that Paceline uses or is bound by.
type Probe struct {
	Name  string
	Use   string // what Paceline does with it: "signals never hit a recycled pid"
	Needs string // "Linux 5.3"; "" for a limit or setting, which every version has
	// Run tries it once on this process and leaves no trace. Nil means that it
	// works. It may be called at any time; conclusive answers are remembered.
	Run func() error
	// Found says in a few words what is there: "20000 descriptors". It is ""
	// where there is no more to say than Run does.
	Found func() string
}

// version is the first two numbers of a kernel's version.
type version struct{ major, minor int }

func (v version) less(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

// parseVersion reads "6.18.44-fc-v657" or "5.3".
func parseVersion(text string) (v version, ok bool) {
	n, _ := fmt.Sscanf(text, "%d.%d", &v.major, &v.minor)
	return v, n == 2
}
