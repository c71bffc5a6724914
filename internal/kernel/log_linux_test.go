package kernel

import (
	"strings"
	"testing"
)

func TestLinesOfAProcess(t *testing.T) {
	const log = "<4>[  1.5] oom-kill:constraint=CONSTRAINT_MEMCG,task=node,pid=123,uid=0\n" +
		"<3>[  1.6] Memory cgroup out of memory: Killed process 123 (node) total-vm:1kB\n" +
		"<6>[  1.7] node[1234]: segfault at 0\n<6>[  1.8] Killed process 1234 (x)\n\xff\n"
	if got := strings.Join(linesOf([]byte(log), 123), "|"); got != "[  1.6] Memory cgroup out of memory: Killed process 123 (node) total-vm:1kB" {
		t.Errorf("got %s", got)
	}
	if got := linesOf([]byte(log), 1234); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}
