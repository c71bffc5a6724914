//go:build !linux

package cluster

import (
	"errors"
	"syscall"
)

// Nobody calls these: there are no workers without Linux; see nodeipc.Pair.

func duplicate(int) (int, error) { return -1, errors.ErrUnsupported }

func closeFD(int) {}

func reuseAddr(_, _ string, _ syscall.RawConn) error { return errors.ErrUnsupported }
