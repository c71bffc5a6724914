package api

import (
	"time"

	"paceline/internal/app"
)

// AppInfo is one app: what is wanted, and what is there.
type AppInfo struct {
	Spec      app.Spec     `json:"spec"`                // Env is empty unless it was asked for
	EnvNames  []string     `json:"env_names,omitempty"` // the names of the variables in Spec.Env, sorted
	PIDFiles  []string     `json:"pid_files,omitempty"` // in the order of Instances
	Instances []app.Status `json:"instances"`           // by id
	AXM       []app.AXM    `json:"axm,omitempty"`       // in the order of Instances; empty if none has reported anything
}

// StartRequest asks for new apps.
type StartRequest struct {
	// Specs are started in order. One whose name and program are those of an app
	// that is stopped or errored takes its place; if that runs, CodeExists.
	Specs []app.Spec `json:"specs"`
	Force bool       `json:"force,omitempty"` // replace an app of that name even if it runs
}

// ApplyAction is what happens to the apps of an ApplyRequest that are there already.
type ApplyAction string

// The actions of an ApplyRequest.
const (
	ApplyRestart ApplyAction = "restart" // their processes are stopped and started
	ApplyReload  ApplyAction = "reload"  // successors replace them
)

// ApplyRequest asks that apps become what the specs say. Those whose names are not
// there yet are started, each after the apps that it depends on; the others get the
// new spec, as many instances as it says, and the action.
type ApplyRequest struct {
	Specs    []app.Spec  `json:"specs"`
	Action   ApplyAction `json:"action"`
	Parallel int         `json:"parallel,omitempty"` // as in TargetsRequest
	Verify   bool        `json:"verify,omitempty"`   // as in TargetsRequest
	// Rename is an app that becomes the one of Specs, which has another name. It is
	// stopped meanwhile, whatever Action says; its ids stay.
	Rename string `json:"rename,omitempty"`
}

// TargetsRequest asks for an action on instances.
type TargetsRequest struct {
	// Targets are ids, names, namespaces, "all" or /regular expressions/ on the
	// name, at least one. CodeNotFound, before anything is done, if one means nothing.
	Targets []string `json:"targets"`
	// Parallel is how many instances of an app are acted on at once. Zero leaves
	// it to the daemon.
	Parallel int `json:"parallel,omitempty"`
	// Verify asks OpReload to count what became of the connections meanwhile:
	// ActionReply.Verified. The other operations ignore it.
	Verify bool `json:"verify,omitempty"`
}

// ScaleRequest asks for another number of instances.
type ScaleRequest struct {
	App       string `json:"app"`
	Instances string `json:"instances"` // "4", "+2", "-1", "max"; see Count
}

// ActionReply tells what an action has led to.
type ActionReply struct {
	Instances []app.Status `json:"instances"`          // those acted on, as they are now, by id
	Warnings  []string     `json:"warnings,omitempty"` // one line each, for people
	// Verified says what a reload did to connections, if TargetsRequest.Verify
	// asked for it: one for each address of each app, in order.
	Verified []Verification `json:"verified,omitempty"`
	// Changes says what an apply has changed in apps that were there.
	Changes []app.Change `json:"changes,omitempty"`
}

// Unknown is a count of a Verification that cannot be known here.
const Unknown = -1

// Verification counts what became of the connections to one address of an app
// from the beginning of a reload to its end. A count may be Unknown.
type Verification struct {
	App     string `json:"app"`
	Address string `json:"address"` // as in app.Status.Ports
	// Served is how many connections the kernel queued on the app's sockets.
	Served int64 `json:"served"`
	// Refused is how many were dropped since a queue was full or no socket listened.
	Refused int64 `json:"refused"`
	// Reset is how many had a request in flight, or were not accepted yet, when
	// their old process ended.
	Reset int64 `json:"reset"`
	// Moved is how many went, not yet accepted, from an old process to another one.
	Moved      int64    `json:"moved"`
	DurationMS int64    `json:"duration_ms"`     // of the reload, in milliseconds
	Notes      []string `json:"notes,omitempty"` // why a count is Unknown, and the like; one line each
}

// Progress is one event of a streamed action: a step on the way, or the end,
// which has a Reply or an Error.
type Progress struct {
	Step  string       `json:"step,omitempty"` // what has been done; one line, for people
	Reply *ActionReply `json:"reply,omitempty"`
	Error *Error       `json:"error,omitempty"`
}

// InstancesQuery selects instances.
type InstancesQuery struct {
	Targets []string // as in TargetsRequest; none means all
	Brief   bool     // without what a table does not show: see Brief
}

// AppsQuery selects apps.
type AppsQuery struct {
	Targets []string // as in TargetsRequest; none means all
	Env     bool     // with the environment's values, which may be secrets
}

// Brief returns s without what a list does not show: a list of 500 instances is
// half as long by it, and read in half the time.
func Brief(s app.Status) app.Status {
	s.Namespace, s.Mechanism, s.Notes, s.Gen = "", "", nil, 0
	s.OutFile, s.ErrFile, s.LogFile = "", "", ""
	s.Metrics, s.Actions, s.Checks = nil, nil, nil
	s.CreatedAt = time.Time{}
	s.StartedAt = s.StartedAt.Truncate(time.Millisecond)
	if s.LastExit != nil {
		exit := *s.LastExit
		exit.Stderr, exit.Started, exit.PID = nil, time.Time{}, 0
		s.LastExit = &exit
	}
	return s
}
