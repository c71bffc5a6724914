//go:build !unix

package nodechild

import (
	"context"
	"errors"
	"fmt"
	"net"
)

var errSystem = fmt.Errorf("attach to the primary's channel: needs a unix system: %w", errors.ErrUnsupported)

// Child is our end of the channel; there is none on this system.
type Child struct{}

// Attach fails: it needs a unix system.
func Attach(Options) (*Child, error) { return nil, errSystem }

// Done returns nil.
func (c *Child) Done() <-chan struct{} { return nil }

// Send fails.
func (c *Child) Send([]byte) error { return errSystem }

// Query fails.
func (c *Child) Query(context.Context, Request) (Grant, error) { return Grant{}, errSystem }

// Listening fails.
func (c *Child) Listening(Request, int) error { return errSystem }

// Closed fails.
func (c *Child) Closed(string) error { return errSystem }

// Leave fails.
func (c *Child) Leave() error { return errSystem }

// Flush fails.
func (c *Child) Flush(context.Context) error { return errSystem }

// Close does nothing.
func (c *Child) Close() {}

// Source has the connections that a primary hands over; there are none.
type Source struct{}

// Accept fails.
func (s *Source) Accept() (net.Conn, error) { return nil, errSystem }

// Close does nothing.
func (s *Source) Close() {}
