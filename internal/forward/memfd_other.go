//go:build !linux

package forward

import (
	"errors"
	"net"
)

func tooLarge(error) bool { return false }

func sendFile(*net.UnixConn, []byte) error { return errors.ErrUnsupported }
