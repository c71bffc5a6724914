package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// logBytes is how much of the end of the kernel's log is read.
const logBytes = 256 << 10

// LogOf returns what the kernel's log holds of a process, by its number, at most the
// last three lines; nothing where the log is closed to us (kernel.dmesg_restrict), or
// where the number is not the kernel's, as in a container.
func LogOf(pid int) []string {
	buf := make([]byte, logBytes)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return nil
	}
	return linesOf(buf[:n], pid)
}

// linesOf picks the lines of a process: "Out of memory: Killed process 123 (node)",
// "node[123]: segfault at".
func linesOf(log []byte, pid int) (list []string) {
	process, bracket := fmt.Sprintf("process %d ", pid), fmt.Sprintf("[%d]: ", pid)
	for line := range bytes.Lines(log) {
		text := strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
		if _, rest, ok := strings.Cut(text, ">"); ok && strings.HasPrefix(text, "<") { // its priority
			text = rest
		}
		if strings.Contains(text, process) || strings.Contains(text, bracket) {
			list = append(list, text)
		}
	}
	return list[max(0, len(list)-3):]
}
