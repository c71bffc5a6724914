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
}

// StartRequest asks for new apps.
type StartRequest struct {
	// Specs are started in order. One whose name and program are those of an app
	// that is stopped or errored takes its place; if that runs, CodeExists.
	Specs []app.Spec `json:"specs"`
	Force bool       `json:"force,omitempty"` // replace an app of that name even if it runs
}

// TargetsRequest asks for an action on instances.
type TargetsRequest struct {
	// Targets are ids, names, namespaces, "all" or /regular expressions/ on the
	// name, at least one. CodeNotFound, before anything is done, if one means nothing.
	Targets []string `json:"targets"`
	// Parallel is how many instances of an app are acted on at once. Zero leaves
	// it to the daemon.
	Parallel int `json:"parallel,omitempty"`
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
	s.Namespace, s.Mechanism, s.Gen = "", "", 0
	s.OutFile, s.ErrFile, s.LogFile = "", "", ""
	s.CreatedAt = time.Time{}
	s.StartedAt = s.StartedAt.Truncate(time.Millisecond)
	if s.LastExit != nil {
		exit := *s.LastExit
		exit.Stderr, exit.Started, exit.PID = nil, time.Time{}, 0
		s.LastExit = &exit
	}
	return s
}
