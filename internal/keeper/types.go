package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Version is the number of the protocol between keeper and daemon. It grows when
// a frame changes its meaning; a new kind of request does not count, since a
// keeper answers a request that it does not know with [ErrUnknownRequest].
const Version = 1

// Conditions that callers branch on.
var (
	// ErrRunning says that another keeper serves this home.
	ErrRunning = errors.New("a keeper is running already")
	// ErrGone says that nothing is left of the process that was to be signalled.
	ErrGone = errors.New("process is gone")
	// ErrExists says that a process with this key is there and not forgotten.
	ErrExists = errors.New("key is in use")
	// ErrAlive says that a process cannot be forgotten yet.
	ErrAlive = errors.New("process or its tree still runs")
	// ErrForced says that a second signal has ended everything by force.
	ErrForced = errors.New("ended by force")
	// ErrLost says that the keeper hung up or was killed.
	ErrLost = errors.New("keeper is lost")
	// ErrUnknownRequest says that this keeper is older than the request.
	ErrUnknownRequest = errors.New("request unknown to this keeper")
)

// Options describe a keeper.
type Options struct {
	// Home is the directory of this keeper's files, as [Ensure] makes it; or a name
	// that begins with "@", for a keeper without files, whose API socket is in the
	// abstract namespace. Required.
	Home string
	// Daemon is the argv of the daemon; the first word is an absolute path. Required.
	Daemon []string
	// Log receives the keeper's messages and the daemon's stdout and stderr. Nil
	// discards them. It stays the caller's.
	Log *os.File
	// Front makes it a keeper in the foreground. Nil is none.
	Front *Front
}

// Front is what a keeper in the foreground serves: it lasts as long as one process,
// which is started beside the daemon and has the keeper's standard input and output.
//
// When that process ends, or the keeper gets SIGTERM, SIGINT or SIGQUIT, the daemon
// is asked to stop by SIGTERM, and Run returns after it has. A second such signal,
// [Impatience] later or more, kills whatever is left at once. SIGHUP, SIGUSR1 and
// SIGUSR2 are passed on to the process. The daemon's standard output is the
// keeper's, and the keeper tells its log what is wrong and nothing else.
type Front struct {
	// Argv is the process's; the first word is an absolute path. Required.
	Argv []string
	// Status is how it ended, if it did so before anybody had asked for the end.
	Status *syscall.WaitStatus
}

// Impatience is how much later a second signal counts as one: a terminal and a
// wrapper such as npm both pass a Ctrl-C on.
const Impatience = 250 * time.Millisecond

// Run serves as the keeper of a home until a daemon asks for the end with
// [Client.Shutdown]. When ctx ends or the process gets SIGTERM, SIGINT or SIGHUP, and
// does not ignore it, the daemon is asked to stop by SIGTERM and Run returns after it
// has. It returns ErrRunning if another keeper serves the home. With a [Front] it
// ends as said there, and may return ErrForced.
//
// Run takes over the whole process: every child, those signals, the collector's
// pace, descriptors inherited by accident. Call it once, from the goroutine of main,
// and before any signal.Notify or NotifyContext: that binds a thread for good, as a
// rule the main thread, which Run makes use of. Without it Run works too, but has to
// read the process table at each exit, and says so in the log.
func Run(ctx context.Context, o Options) error { return run(ctx, o, tuning{}) }

// Ensure returns when home has a keeper whose API socket accepts connections. If
// there is none it starts `exe __keeper` in a session of its own, with
// PACELINE_HOME set and its output going to pace.log. Callers may race: one keeper
// comes of it. A missing home is made, and an existing one closed to others (0700);
// a home that belongs to another user is refused.
func Ensure(ctx context.Context, home, exe string) error { return ensure(ctx, home, exe) }

// Ended returns when no keeper serves home any more, as after [Client.Shutdown], or
// with the error of ctx. It starts nothing.
func Ended(ctx context.Context, home string) error { return ended(ctx, home) }

// Inventory is what a keeper holds when a daemon connects.
type Inventory struct {
	// Version is the keeper's protocol version.
	Version int
	// DaemonStarts is how many daemons this keeper has started, this one included.
	DaemonStarts int
	// Reverted is the binary given to Replace that died at each start, so that the
	// keeper went back to the one before; "" if there was none.
	Reverted string
	// Processes are those not forgotten yet, in the order of their start.
	Processes []Process
	// Entries are what is kept, by name.
	Entries map[string]Entry
}

// Process is a process of the keeper.
type Process struct {
	// Key is the name that its spawner gave it.
	Key string
	// PID is its process id, and at the same time its session and group.
	PID int
	// Started is when it was started.
	Started time.Time
	// StartTicks is its start time as in field 22 of /proc/PID/stat. 0 if it had
	// ended before that could be read.
	StartTicks uint64
	// Exit is how it ended, nil while it lives.
	Exit *Exit
	// Gone says that it and its whole tree have ended.
	Gone bool
}

// Exit says how a process ended.
type Exit struct {
	// Key names the process.
	Key string
	// Status is as from wait(2).
	Status syscall.WaitStatus
	// At is when the keeper saw it.
	At time.Time
	// Left is how many processes of its tree are alive, at the time of telling.
	Left int
	// OOM says that the kernel killed it for want of memory. False also if that
	// could not be told.
	OOM bool
}

// Event is something that happened to a process. One of the fields is set.
type Event struct {
	// Exited says that a process ended. Children of it may live on.
	Exited *Exit
	// Gone is the key of a process of which nothing is left any more. It always
	// follows the process's Exited.
	Gone string
}

// Entry is something kept.
type Entry struct {
	// Note is the keeper's copy of what was noted, nil if nothing was.
	Note []byte
	// File is the descriptor kept, nil if there is none. It is the caller's to close.
	File *os.File
}

// Named is something to keep under a name.
type Named struct {
	// Name is free to choose; a slash at its end is reserved for Drop.
	Name string
	// Note is kept beside the descriptor. Nil leaves an existing note as it is.
	Note []byte
	// File is kept open by the keeper. Nil leaves an existing one as it is. It is
	// duplicated; the caller's own stays open.
	File *os.File
}

// Spawn describes a process to start. It becomes leader of a session of its own.
type Spawn struct {
	// Key is the caller's name of the process, unique among the not forgotten.
	Key string
	// Path is the program; a relative one is looked up in Dir, never in PATH.
	Path string
	// Argv are its arguments, the program's name first.
	Argv []string
	// Env is its whole environment but for PACELINE_KEY, which the keeper sets.
	Env []string
	// Dir is its working directory. "" is the keeper's.
	Dir string
	// Files are its descriptors 0, 1, 2, ... Nil is /dev/null for the first three
	// and closed for others. They stay the caller's, and become blocking if package
	// os had made them nonblocking.
	Files []*os.File
	// Keep is kept from the moment that the process exists.
	Keep []Named
	// Credential is the user it runs as. Nil is the keeper's.
	Credential *Credential
	// CgroupFD is the cgroup (v2) directory that it starts in. Nil is the keeper's
	// cgroup. It stays the caller's.
	CgroupFD *os.File
	// Trap is the name of the trap that it starts in, see [Client.Trap], for itself
	// and all that descend from it. "" is none.
	Trap string
}

// Trap is a seccomp filter whose stopped calls somebody has to answer.
type Trap struct {
	// Notify is the descriptor by which that is done. It is the caller's to close.
	Notify *os.File
	// NoNewPrivs says that the processes in it cannot gain rights by executing
	// set-uid programs such as sudo: without CAP_SYS_ADMIN there is no filter
	// otherwise.
	NoNewPrivs bool
	// WaitKillable says that a call whose answer is being worked out is interrupted
	// by nothing but its caller's end. Otherwise (before Linux 5.19) a signal makes
	// it begin again.
	WaitKillable bool
}

// Credential is a user to run a process as.
type Credential struct {
	// UID is the user.
	UID uint32
	// GID is the group.
	GID uint32
	// Groups are all the supplementary groups.
	Groups []uint32
}

// Scope says whom a signal reaches.
type Scope uint8

// The scopes of a signal.
const (
	// Leader is the process itself.
	Leader Scope = iota
	// Tree is the process, its session and process group, whatever descends from
	// it, and orphans that have its key in their environment. After a SIGKILL
	// what appears late in the tree is killed as well.
	Tree
)

// Step is a part of starting a process.
type Step uint8

// The steps of starting a process, in their order.
const (
	// StepFork is making the process: out of memory, of pids, or a cgroup that
	// takes none.
	StepFork Step = iota
	// StepUser is becoming the wanted user.
	StepUser
	// StepDir is changing to the working directory.
	StepDir
	// StepInterpreter is finding the interpreter or dynamic loader that an existing
	// program names.
	StepInterpreter
	// StepExec is executing the program.
	StepExec
)

// SpawnError says which step of starting a process failed.
type SpawnError struct {
	// Step is what failed.
	Step Step
	// Path is the program, or the directory for StepDir.
	Path string
	// Errno is why. errors.Is and errors.As find it.
	Errno syscall.Errno
}

func (e *SpawnError) Error() string {
	switch e.Step {
	case StepFork:
		return fmt.Sprintf("create process for %s: %v", e.Path, e.Errno)
	case StepUser:
		return fmt.Sprintf("change user for %s: %v", e.Path, e.Errno)
	case StepDir:
		return fmt.Sprintf("change to directory %s: %v", e.Path, e.Errno)
	case StepInterpreter:
		return fmt.Sprintf("find interpreter of %s: %v", e.Path, e.Errno)
	default:
		return fmt.Sprintf("run %s: %v", e.Path, e.Errno)
	}
}

// Unwrap gives the errno.
func (e *SpawnError) Unwrap() error { return e.Errno }
