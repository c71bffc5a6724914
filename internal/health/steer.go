package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Steer has the connection that comes from one local port to another reach the process
// that is asked, though others share the address. It is called before it is made, and over
// when it has been used: that reports whether it was that process which got it. A nil over
// says that it may be any of them.
type Steer func(from, to uint16) (over func() (reached bool))

// errElsewhere is the failure of a check whose connection went to another process.
var errElsewhere = fmt.Errorf("%w: it did not accept the connection, and another copy got it", ErrSilent)

// aim is the connections of one question.
type aim struct {
	steer Steer

	mu    sync.Mutex // guards what follows: there may be one for each address of a name
	overs []func() bool
}

// dial connects for the question.
func (a *aim) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	if a.steer != nil {
		d.Control = a.control
	}
	return d.DialContext(ctx, network, address)
}

// control steers a socket that is about to connect. Where that fails it goes its way.
func (a *aim) control(network, address string, raw syscall.RawConn) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	to, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	var from uint16
	if err := errors.Join(raw.Control(func(fd uintptr) { from, err = bindAny(fd, network) }), err); err != nil {
		return nil
	}
	if over := a.steer(from, uint16(to)); over != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.overs = append(a.overs, over)
	}
	return nil
}

// over ends the question, and returns errElsewhere if another process was asked.
func (a *aim) over(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	reached := true
	for _, over := range a.overs {
		reached = over() && reached
	}
	a.overs = nil
	if err == nil && !reached {
		return errElsewhere
	}
	return err
}
