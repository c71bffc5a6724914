//go:build !linux

package adopt

import (
	"errors"
	"fmt"
)

var errUnsupported = fmt.Errorf("sharing the port of an unmodified program needs Linux 5.14 or later: %w", errors.ErrUnsupported)

// Filter fails on this system.
func Filter() ([]byte, error) { return nil, errUnsupported }

// Probe says that this system has no such thing.
func Probe() error { return errUnsupported }

// Server cannot be had on this system.
type Server struct{}

// New fails on this system.
func New(Options) (*Server, error) { return nil, errUnsupported }

// Close does nothing on this system.
func (s *Server) Close() error { return nil }
