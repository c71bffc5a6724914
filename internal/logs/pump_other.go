//go:build !linux

package logs

import (
	"errors"
	"fmt"
	"os"
)

// Pump moves what processes print into their log files. There is none for this system.
type Pump struct{}

// Stream is one output stream that a Pump reads.
type Stream struct{}

// Stage is a pipe between a busy program's pipe and its file. There is none for this system.
type Stage struct{}

// OpenStage returns an error that wraps errors.ErrUnsupported.
func OpenStage(*os.File) (*Stage, error) {
	return nil, fmt.Errorf("make a stage for logs: %w on this system", errors.ErrUnsupported)
}

// File is never reached.
func (s *Stage) File() *os.File { return nil }

// Close is never reached.
func (s *Stage) Close() error { return nil }

// New returns an error that wraps errors.ErrUnsupported.
func New(Options) (*Pump, error) {
	return nil, fmt.Errorf("start log pump: %w on this system: it needs Linux", errors.ErrUnsupported)
}

// Add is not supported.
func (p *Pump) Add(spec StreamSpec) (*Stream, error) {
	return nil, errors.Join(errors.ErrUnsupported, spec.Pipe.Close())
}

// Close does nothing.
func (s *Stream) Close() error { return nil }

// Flush is not supported.
func (p *Pump) Flush(...string) error { return errors.ErrUnsupported }

// Reopen is not supported.
func (p *Pump) Reopen() (int, error) { return 0, errors.ErrUnsupported }

// Trim is not supported.
func (p *Pump) Trim([]string, int64) (Trimmed, error) { return Trimmed{}, errors.ErrUnsupported }

// Written returns zeros.
func (p *Pump) Written(paths []string) []Written { return make([]Written, len(paths)) }

// Close does nothing.
func (p *Pump) Close() error { return nil }

func (p *Pump) watch(string, func()) (func(), error) { return nil, errors.ErrUnsupported }

// nodeOf is needed only where files are compressed.
func nodeOf(os.FileInfo) (node, bool) { return node{}, false }
