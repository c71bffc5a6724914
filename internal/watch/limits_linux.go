package watch

import (
	"errors"
	"syscall"
)

// remedy says what to do about the system's refusal to watch a folder.
func remedy(err error) string {
	var instance *instanceError
	switch {
	case errors.As(err, &instance) && errors.Is(err, syscall.EMFILE):
		return "raise the number of inotify instances, as in sysctl fs.inotify.max_user_instances=1024"
	case errors.Is(err, syscall.ENOSPC):
		return "raise the number of inotify watches, as in sysctl fs.inotify.max_user_watches=524288, or ignore more folders"
	}
	return ""
}
