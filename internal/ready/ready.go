// Package ready lets a process of Paceline's own tell whoever supervises it that
// it is ready, as Node's programs do by process.send('ready').
package ready

import (
	"fmt"
	"strconv"
	"syscall"
)

// channel is the variable with the descriptor on which it is said: JSON and a line
// feed.
const channel = "NODE_CHANNEL_FD"

// Say says so, if there is somebody to say it to.
func Say(getenv func(string) string) error {
	descriptor := getenv(channel)
	if descriptor == "" {
		return nil
	}
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s: %q is not a descriptor", channel, descriptor)
	}
	// Not an os.File, which would close it one day: to the other side that is our end.
	if _, err := syscall.Write(fd, []byte("\"ready\"\n")); err != nil {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	return nil
}
