package adopt

import "paceline/internal/kernel"

// Filter returns the filter, an array of struct sock_filter, that stops the calls. It
// is for the architecture of this binary. Errors: kernel.ErrUnsupported.
func Filter() ([]byte, error) { return nil, kernel.ErrUnsupported }

// Probe says why programs cannot be adopted here; nil if they can.
func Probe() error { return kernel.ErrUnsupported }

// Server answers the calls that a filter stops.
type Server struct{}

// New starts a server. Close ends it.
func New(o Options) (*Server, error) { return nil, kernel.ErrUnsupported }

// Close waits until what is being handled has ended. Calls that are not answered are
// left to the next server.
func (s *Server) Close() error { return nil }
