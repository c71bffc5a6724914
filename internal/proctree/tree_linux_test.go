package proctree

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// start runs a script of the shell as the leader of a session, and reads the numbers
// that it says.
func start(t testing.TB, script string) (leader int, said []int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(line) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, n)
	}
	return cmd.Process.Pid, said
}

func found(t testing.TB, members []Process, err error) []int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pids(members)
}

// A child, and an orphan in the same session.
func TestTree(t *testing.T) {
	leader, said := start(t, `
sleep 1000 & a=$!
o=$(sh -c 'sleep 1000 >/dev/null & echo $!')
echo $a $o
wait`)
	child, orphan := said[0], said[1]
	for _, slow := range []bool{false, true} {
		tree := New(Process{PID: leader})
		tree.slow = slow
		for i := range 3 { // the first by the whole table, later ones by the lists of children
			members, err := tree.Members()
			got := found(t, members, err)
			for _, want := range []int{leader, child, orphan} {
				if !slices.Contains(got, want) {
					t.Errorf("slow %t, look %d: %v lacks %d", slow, i, got, want)
				}
			}
			if slices.Contains(got, os.Getpid()) {
				t.Errorf("%v has ourselves", got)
			}
		}
		members, err := tree.Descendants()
		got := found(t, members, err)
		if !slices.Contains(got, leader) || !slices.Contains(got, child) {
			t.Errorf("descendants %v, want %d and %d", got, leader, child)
		}
	}
}

func TestGone(t *testing.T) {
	tree := New(Process{PID: 1 << 22})
	for range 2 {
		members, err := tree.Members()
		if got := found(t, members, err); len(got) > 0 {
			t.Errorf("%v", got)
		}
	}
	if p, ok := Find(1 << 22); ok {
		t.Errorf("found %+v", p)
	}
	if state, err := ThreadState(1<<22, 1<<22); state != 'X' || err != nil {
		t.Errorf("state %c, %v", state, err)
	}
}

func TestThreads(t *testing.T) {
	n := 0
	err := EachThread(os.Getpid(), func(tid int) error {
		n++
		if state, err := ThreadState(os.Getpid(), tid); err != nil || !strings.ContainsRune("RSDX", rune(state)) {
			t.Errorf("thread %d: %c, %v", tid, state, err)
		}
		return nil
	})
	if err != nil || n < 2 {
		t.Errorf("%d threads, %v", n, err)
	}
	p, ok := Find(os.Getpid())
	if !ok || p.PID != os.Getpid() || p.StartTicks == 0 {
		t.Errorf("found %+v, %t", p, ok)
	}
}

func BenchmarkTree(b *testing.B) {
	leader, _ := start(b, "for i in 1 2 3 4; do sleep 1000 & done; echo 1; wait")
	for name, look := range map[string]func(*Tree) ([]Process, error){
		"descendants": (*Tree).Descendants, "table": (*Tree).scan,
	} {
		b.Run(fmt.Sprintf("processes=5/%s", name), func(b *testing.B) {
			tree := New(Process{PID: leader})
			for b.Loop() {
				if members, err := look(tree); err != nil || len(members) != 5 {
					b.Fatal(members, err)
				}
			}
		})
	}
}
