//go:build !linux

package daemon

import (
	"errors"
	"net/netip"
	"os"
)

// ancestorOf is never asked: nothing is adopted here.
func (h *host) ancestorOf(int) *process { return nil }

func localAddr(*os.File) (netip.AddrPort, error) { return netip.AddrPort{}, errors.ErrUnsupported }

func holdsSocket(int, uint64) bool { return true }
