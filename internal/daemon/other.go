//go:build !linux

package daemon

import (
	"errors"
	"net"
	"os"
)

var errLinux = errors.New("the daemon needs Linux")

// peerOf fails: asking who is at the other end is written for Linux.
func peerOf(*net.UnixConn) (peer, error) { return peer{uid: -1}, errLinux }

// openPipe fails: the daemon needs Linux.
func openPipe() (read, write *os.File, err error) { return nil, nil, errLinux }

// openInputPipe fails: the daemon needs Linux.
func openInputPipe() (read, write *os.File, err error) { return nil, nil, errLinux }

// writeInput fails: the daemon needs Linux.
func writeInput(*os.File, []byte) error { return errLinux }

// duplicate fails: the daemon needs Linux.
func duplicate(*os.File) (*os.File, error) { return nil, errLinux }

// endAll does nothing: there is no process without a keeper.
func (h *host) endAll() {}
