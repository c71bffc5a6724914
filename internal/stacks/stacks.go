// Package stacks tells what a process that hangs is doing: its threads as the kernel
// sees them, and the calls its program is in, where its runtime can be asked.
package stacks

import "errors"

// ErrSilent is the error of a runtime that could not be asked, or did not answer.
var ErrSilent = errors.New("the runtime cannot be asked")
