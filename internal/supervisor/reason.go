package supervisor

import (
	"strings"

	"paceline/internal/app"
)

// Reason is why an instance got another process, in one word, to count by.
type Reason string

// The reasons.
const (
	ByCommand   Reason = "command"      // somebody asked for a restart
	ByReload    Reason = "reload"       // a reload replaced it
	ByExit      Reason = "exit"         // it ended by itself
	BySignal    Reason = "signal"       // a signal ended it that we did not send
	ByOOM       Reason = "oom"          // the kernel killed it for want of memory
	ByNoStart   Reason = "start_failed" // it could not be started
	ByHealth    Reason = "health"       // a check failed
	ByFiles     Reason = "files"        // watched files changed
	BySchedule  Reason = "schedule"     // its cron_restart was due
	ByMemory    Reason = "memory"       // it exceeded its max_memory_restart
	causeFiles         = "changed: "
	causeCron          = "cron_restart"
	causeUser          = "by command"
	aboveMemory        = "above its max_memory_restart"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{
		ByCommand, ByReload, ByExit, BySignal, ByOOM, ByNoStart, ByHealth, ByFiles, BySchedule, ByMemory,
	}
}

// ReasonOf says why there was a restart or a reload; exit is how the instance's last
// process ended, nil if that is not known, and memory whether an EventMemory came
// since the last. It returns "" for other events.
func ReasonOf(e app.Event, exit *app.Exit, memory bool) Reason {
	switch {
	case e.Type == app.EventReload && memory:
		return ByMemory
	case e.Type == app.EventReload:
		return ByReload
	case e.Type != app.EventRestart:
		return ""
	case e.Detail == causeUser:
		return ByCommand
	case e.Detail == causeCron:
		return BySchedule
	case strings.HasPrefix(e.Detail, causeFiles):
		return ByFiles
	case exit == nil:
		return ByExit
	case e.Detail != ending(exit):
		return ByHealth
	case exit.Error != "":
		return ByNoStart
	case exit.OOM:
		return ByOOM
	case exit.Signal != "":
		return BySignal
	}
	return ByExit
}
