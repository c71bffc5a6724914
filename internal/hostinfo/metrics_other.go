//go:build !linux

package hostinfo

import (
	"context"
	"errors"
	"time"
)

// Sample cannot measure here.
func Sample(context.Context, time.Duration) (Host, error) {
	return Host{}, errors.New("host metrics need Linux, whose /proc they are read from")
}
