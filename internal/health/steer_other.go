//go:build !linux

package health

import "errors"

// bindAny fails: connections are steered on Linux alone.
func bindAny(uintptr, string) (uint16, error) { return 0, errors.ErrUnsupported }
