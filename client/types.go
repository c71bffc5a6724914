package client

import (
	"paceline/internal/api"
	"paceline/internal/app"
)

type (
	// Version says which daemon answers.
	Version = api.Version
	// App is what is wanted of an app, and its instances.
	App = api.AppInfo
	// Spec is what is wanted of an app; begin with Defaults.
	Spec = app.Spec
	// Status is an instance at one moment.
	Status = app.Status
	// State is where an instance is in its life.
	State = app.State
	// Exit says how a process ended.
	Exit = app.Exit
	// Why says how an instance has come to be as it is.
	Why = api.Why
	// Step is something to do.
	Step = api.Step
)

type (
	// Event is something that happened.
	Event = app.Event
	// EventType names what happened.
	EventType = app.EventType
	// EventsQuery selects events.
	EventsQuery = api.EventsQuery
	// LogLine is a line of a log.
	LogLine = api.LogLine
	// LogsQuery selects lines.
	LogsQuery = api.LogsQuery
	// Stream says where a line comes from.
	Stream = api.Stream
)

type (
	// Duration is a time.Duration that JSON shows as 1.6s.
	Duration = app.Duration
	// Mode says whether instances share what they listen on.
	Mode = app.Mode
	// Balance says who gets a new connection.
	Balance = app.Balance
	// Health are health checks.
	Health = app.Health
	// HealthCheck is one health check.
	HealthCheck = app.HealthCheck
	// Limits are what the kernel lets an instance have.
	Limits = app.Limits
	// Dependency is an app that comes first.
	Dependency = app.Dependency
	// Watch says which changed files restart an app.
	Watch = app.Watch
	// Hook is what is done when something happens.
	Hook = app.Hook
	// User is whom an app runs as.
	User = app.User
)

// Error is what the daemon refused or could not carry out. Its Code is for programs, its
// message for people.
type Error = api.Error

// Code says why.
type Code = api.Code

// The codes.
const (
	CodeNotFound     = api.CodeNotFound
	CodeExists       = api.CodeExists
	CodeInvalid      = api.CodeInvalid
	CodeReloading    = api.CodeReloading
	CodeReloadFailed = api.CodeReloadFailed
	CodeStartFailed  = api.CodeStartFailed
	CodeBusy         = api.CodeBusy
	CodeUnsupported  = api.CodeUnsupported
	CodeInternal     = api.CodeInternal
)

// The states.
const (
	Stopped   = app.Stopped
	Launching = app.Launching
	Online    = app.Online
	Stopping  = app.Stopping
	Waiting   = app.Waiting
	Errored   = app.Errored
)

// The modes.
const (
	Fork    = app.Fork
	Cluster = app.Cluster
)

// The streams of logs.
const (
	Out = api.Out
	Err = api.Err
	All = api.All
)

// The events.
const (
	EventStart        = app.EventStart
	EventOnline       = app.EventOnline
	EventReady        = app.EventReady
	EventExit         = app.EventExit
	EventRestart      = app.EventRestart
	EventStop         = app.EventStop
	EventDelete       = app.EventDelete
	EventOverlimit    = app.EventOverlimit
	EventReload       = app.EventReload
	EventMessage      = app.EventMessage
	EventWarning      = app.EventWarning
	EventCommand      = app.EventCommand
	EventConfig       = app.EventConfig
	EventReloadFailed = app.EventReloadFailed
	EventMemory       = app.EventMemory
	EventHang         = app.EventHang
)

// Errors of the connection.
var (
	// ErrNoDaemon: nothing listens on the home's socket; `pace ping` starts a daemon.
	ErrNoDaemon = api.ErrNoDaemon
	// ErrLost: the connection ended before the answer.
	ErrLost = api.ErrLost
)

// Defaults returns a Spec with all defaults. Name, Exec, an absolute path, and Cwd are
// still to be set.
func Defaults() Spec { return app.Defaults() }
