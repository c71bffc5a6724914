package logs

import (
	"errors"
	"os"
	"time"
)

// Limits of a log file whose FileSpec says nothing else.
const (
	DefaultMaxBytes = 10 << 20
	DefaultKeep     = 10
)

// ErrClosed is returned by a Pump after Close.
var ErrClosed = errors.New("log pump is closed")

// Options are what a Pump needs.
type Options struct {
	// Log gets what an administrator should know: a disk that is full, a file that
	// cannot be rotated. It must not block, and is called from more than one
	// goroutine. Nil is silence.
	Log func(format string, a ...any)
	// Journal is a small file in which the pump notes who wrote last to each log,
	// for the pump that follows it after a kill (see the package comment). It must
	// be on a local file system and used by one pump at a time; a pump that cannot
	// lock it logs that and goes on without. "" means none.
	Journal string
	// Stage makes large bursts cheaper, for the pump and for the program. Nil: they go
	// straight to their files. The pump takes it over, also if New fails.
	Stage *Stage

	timing timing // zero fields mean the constants
}

// timing is what tests make shorter.
type timing struct {
	settle time.Duration // before compression, for others to follow
	retry  time.Duration // between tries to write to a full disk
}

// StreamSpec is one output stream of one process.
type StreamSpec struct {
	Name string   // for messages: "api 0 out"
	Pipe *os.File // the read end of a pipe; taken over, also if Add fails
	// Files get every line: the stream's own file and, if wanted, a combined one.
	// None, or os.DevNull, discards the output.
	Files []FileSpec
	// Done is called once, from a goroutine of its own, when all writers have
	// closed the pipe and all is written. It is not called after Stream.Close or
	// Pump.Close. It may be nil.
	Done func()
}

// FileSpec is a log file. Missing directories are made. Streams with the same
// file share it; the limits of the one that was added last hold.
type FileSpec struct {
	Path     string
	MaxBytes int64 // size at which it is rotated, after the end of a line; zero means DefaultMaxBytes, negative never
	Keep     int   // rotated files that stay; zero means DefaultKeep, negative none
	// Form is how the lines are written; nil: as they come. It belongs to the stream,
	// so that streams which share a file may have different ones.
	Form *Form
}

// maxBytes returns the size at which the file is rotated, or 0 for never.
func (f FileSpec) maxBytes() int64 {
	switch {
	case f.MaxBytes < 0:
		return 0
	case f.MaxBytes == 0:
		return DefaultMaxBytes
	}
	return f.MaxBytes
}

// keep returns how many rotated files stay.
func (f FileSpec) keep() int {
	switch {
	case f.Keep < 0:
		return 0
	case f.Keep == 0:
		return DefaultKeep
	}
	return f.Keep
}
