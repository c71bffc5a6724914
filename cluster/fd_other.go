//go:build !unix

package cluster

import (
	"errors"
	"os"
)

func closeOnExec(int) {}

func listenOn(*os.File) error { return errors.ErrUnsupported }
