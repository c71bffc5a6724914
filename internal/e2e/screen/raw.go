package screen

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func isRaw(fd int) (bool, error) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return false, fmt.Errorf("ask the terminal: %w", err)
	}
	return t.Lflag&(unix.ICANON|unix.ECHO) == 0, nil
}
