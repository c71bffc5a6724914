//go:build !linux

package watch

import (
	"errors"
	"syscall"
)

// remedy says what to do about the system's refusal to watch a folder.
func remedy(err error) string {
	if errors.Is(err, syscall.EMFILE) {
		return "raise the number of open files (ulimit -n), or ignore more folders"
	}
	return ""
}
