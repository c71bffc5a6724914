package app

import (
	"fmt"
	"syscall"
	"time"
)

// State is where an instance is in its life.
type State string

// The states. PM2 writes Waiting as "waiting restart".
const (
	Stopped   State = "stopped"   // no process, none wanted
	Launching State = "launching" // a process exists, not yet known to run
	Online    State = "online"    // the process runs
	Stopping  State = "stopping"  // asked to end, not gone yet
	Waiting   State = "waiting"   // ended, the next start is scheduled
	Errored   State = "errored"   // given up; Status.Reason says why
)

// States lists all of them, for tables.
func States() []State {
	return []State{Stopped, Launching, Online, Stopping, Waiting, Errored}
}

// Status is a snapshot of one instance.
type Status struct {
	ID        int     `json:"id"` // PM2's pm_id
	Name      string  `json:"name"`
	Namespace string  `json:"namespace,omitempty"`
	Index     int     `json:"index"` // slot within the app: NODE_APP_INSTANCE
	Mode      Mode    `json:"mode"`
	Balance   Balance `json:"balance,omitempty"`   // policy in use, for apps that share a port
	Mechanism string  `json:"mechanism,omitempty"` // how it is done: "kernel", "shared socket", "hand-off"
	// BalanceReason says why the policy or the mechanism is not the one that was
	// asked for, or not the best that Paceline has; "" if it is.
	BalanceReason string   `json:"balance_reason,omitempty"`
	Notes         []string `json:"notes,omitempty"` // facts on how the process was adopted; one line each, for people
	State         State    `json:"state"`
	Ready         bool     `json:"ready,omitempty"` // it listens, or has said that it is ready
	// OutOfRotation says that it gets no new connections, because its checks say that
	// it is not ready, while other copies do.
	OutOfRotation bool   `json:"out_of_rotation,omitempty"`
	PID           int    `json:"pid,omitempty"` // 0 without a process
	Gen           uint64 `json:"gen,omitempty"` // counts the processes of this instance

	Restarts  int       `json:"restarts"`            // since the app was started
	Unstable  int       `json:"unstable,omitempty"`  // fast failures in a row
	CreatedAt time.Time `json:"created_at,omitzero"` // of the instance
	StartedAt time.Time `json:"started_at,omitzero"` // of the present process

	Ports       []string  `json:"ports,omitempty"` // what it listens on: "*:3000", "127.0.0.1:80", "/run/x.sock"
	LastExit    *Exit     `json:"last_exit,omitempty"`
	NextRestart time.Time `json:"next_restart,omitzero"` // when Waiting
	NextRun     time.Time `json:"next_run,omitzero"`     // when its cron_restart or job is due
	Reason      string    `json:"reason,omitempty"`      // why errored, or a warning about a running instance
	Draining    bool      `json:"draining,omitempty"`    // an older process of it is still finishing its requests
	Checks      []Checked `json:"checks,omitempty"`      // what its health checks have said last, by name

	CPU         float64 `json:"cpu"`                    // per cent of one core, over the last seconds
	MemoryBytes uint64  `json:"memory_bytes,omitempty"` // resident memory of the process

	Metrics []Metric `json:"metrics,omitempty"` // what the process reports of itself, in its order
	Actions []string `json:"actions,omitempty"` // what `pace trigger` can call in it, in its order

	OutFile string `json:"out_file,omitempty"`
	ErrFile string `json:"error_file,omitempty"`
	LogFile string `json:"log_file,omitempty"`
}

// What a note of Status.Notes begins with, up to its colon, where programs look
// for it as well.
const (
	// NoteEpollFirst: the process had its socket in an epoll set before it
	// listened on it, so a socket in its place may serve nobody.
	NoteEpollFirst = "epoll before listen"
	// NoteSmallBacklog: it listens with a queue of less than SmallBacklog.
	NoteSmallBacklog = "small backlog"
	// NoteDaemonized: the process that was started has left, and another one
	// listens.
	NoteDaemonized = "daemonized"
)

// SmallBacklog is the length of an accept queue below which a short burst of
// connections may find it full. 128 was Linux' own bound before 5.4.
const SmallBacklog = 128

// Checked is the last answer of one of a process's health checks.
type Checked struct {
	Name string    `json:"name"` // "startup", "readiness", "liveness"
	OK   bool      `json:"ok,omitempty"`
	Why  string    `json:"why,omitempty"` // what the last failure was
	At   time.Time `json:"at,omitzero"`   // when the answer changed
}

// Exit says how a process ended.
type Exit struct {
	Code    int       `json:"code"`             // exit code; -1 if a signal ended it
	Signal  string    `json:"signal,omitempty"` // "SIGKILL", ...
	OOM     bool      `json:"oom,omitempty"`    // the kernel killed it for want of memory
	Error   string    `json:"error,omitempty"`  // why it could not be started at all
	At      time.Time `json:"at,omitzero"`      // when
	Uptime  Duration  `json:"uptime,omitempty"` // how long it had run
	Stderr  []string  `json:"stderr,omitempty"` // the last lines it wrote there, 5 at most
	Wanted  bool      `json:"wanted,omitempty"` // it was asked to end
	PID     int       `json:"pid,omitempty"`    // which process
	Started time.Time `json:"started,omitzero"` // when that process began
}

// ExitOf translates a wait status.
func ExitOf(ws syscall.WaitStatus) Exit {
	if ws.Signaled() {
		return Exit{Code: -1, Signal: SignalName(ws.Signal())}
	}
	return Exit{Code: ws.ExitStatus()}
}

// String says it in a few words: "exit code 1", "killed by SIGKILL (out of memory)".
func (e Exit) String() string {
	switch {
	case e.Error != "":
		return e.Error
	case e.OOM:
		return "killed by " + e.Signal + " (out of memory)"
	case e.Signal != "":
		return "killed by " + e.Signal
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// EventType names what happened.
type EventType string

// The events of an instance's life, with PM2's names where it has one.
const (
	EventStart     EventType = "start"             // a process was started
	EventOnline    EventType = "online"            // it runs
	EventReady     EventType = "ready"             // it listens, or said so
	EventExit      EventType = "exit"              // it ended; Exit says how
	EventRestart   EventType = "restart"           // a new process follows an old one
	EventStop      EventType = "stop"              // stopped by command, or done: its exit is one that no restart follows
	EventDelete    EventType = "delete"            // forgotten by command
	EventOverlimit EventType = "restart overlimit" // given up after too many fast failures
	EventReload    EventType = "reload"            // replaced by a successor
	EventMessage   EventType = "message"           // the app sent a message on its channel
	EventWarning   EventType = "warning"           // something the user should know; Detail says what

	EventCommand      EventType = "command"       // somebody has asked for something: Detail says what, By who
	EventConfig       EventType = "config"        // the app's configuration has changed; Detail names fields and variables, no values
	EventReloadFailed EventType = "reload failed" // the new processes did not come up, the old ones stay; Detail says why
	EventMemory       EventType = "memory"        // it uses more than its max_memory_restart, and is replaced
	EventHang         EventType = "hang"          // it runs, but does not answer
)

// EventTypes lists all of them.
func EventTypes() []EventType {
	return []EventType{
		EventStart, EventOnline, EventReady, EventExit, EventRestart, EventStop, EventDelete, EventOverlimit,
		EventReload, EventMessage, EventWarning, EventCommand, EventConfig, EventReloadFailed, EventMemory, EventHang,
	}
}

// Event is something that happened to an instance.
type Event struct {
	// Seq orders events: each has a greater one than all before it, also over daemons
	// and whatever the clock does. There are gaps.
	Seq    uint64    `json:"seq,omitempty"`
	At     time.Time `json:"at"`
	Type   EventType `json:"type"`
	ID     int       `json:"id"`   // -1: of the app as a whole
	Name   string    `json:"name"` // "": of no app
	Gen    uint64    `json:"gen,omitempty"`
	PID    int       `json:"pid,omitempty"`
	Exit   *Exit     `json:"exit,omitempty"`
	Detail string    `json:"detail,omitempty"`
	// By says who asked for an EventCommand: "root (pace, pid 4711)".
	By string `json:"by,omitempty"`
	// Version tells the code of an EventStart from other code: the git commit, if there
	// is one, and when the file of the program was written.
	Version string `json:"version,omitempty"`
	Data    []byte `json:"data,omitempty"` // EventMessage: the message as the app wrote it
}
