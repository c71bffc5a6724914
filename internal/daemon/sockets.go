package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"paceline/internal/app"
)

// ExecRole is the subcommand of our binary that becomes a program which is handed
// its sockets: `pace __exec PATH ARGV...`.
const ExecRole = "__exec"

// withListenPID has the program started through ListenPID: who is handed sockets
// looks whether LISTEN_PID is its own pid (sd_listen_fds(3)), which nobody knows
// before it exists.
func withListenPID(exe, path string, argv []string) (string, []string) {
	return exe, append([]string{"pace", ExecRole, path}, argv...)
}

// ListenPID sets LISTEN_PID and becomes the program: args are its path and argv. It
// returns only if that cannot be.
func ListenPID(args []string) error {
	if len(args) < 2 {
		return errors.New("no program given")
	}
	path, argv := args[0], args[1:]
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			return err
		}
		path = found
	}
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "LISTEN_PID=") })
	env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, env))
}

// socketNames is LISTEN_FDNAMES. A socket without a name is "unknown", as systemd
// has it.
func socketNames(sockets []string) string {
	names := make([]string, len(sockets))
	for i, text := range sockets {
		names[i] = "unknown"
		if s, err := app.ParseSocket(text); err == nil && s.Name != "" {
			names[i] = s.Name
		}
	}
	return strings.Join(names, ":")
}
