package freeze

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"paceline/internal/proctree"
)

// helperEnv makes the test binary play another program.
const helperEnv = "FREEZE_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "counter":
		os.Exit(helperCounter())
	case "vfork":
		os.Exit(helperVfork())
	case "daemon":
		os.Exit(helperDaemon())
	default:
		os.Exit(99)
	}
}

// counters is memory that a test and its programs share: each thread of these counts
// in a place of its own.
type counters struct {
	file *os.File
	at   []uint64
}

const places = 512

func mapCounters(t testing.TB) *counters {
	t.Helper()
	fd, err := unix.MemfdCreate("counters", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "counters")
	if err := f.Truncate(8 * places); err != nil {
		t.Fatal(err)
	}
	at, free, err := mapFile(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { free(); f.Close() })
	return &counters{file: f, at: at}
}

func mapFile(f *os.File) (at []uint64, free func(), err error) {
	b, err := unix.Mmap(int(f.Fd()), 0, 8*places, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), places), func() { _ = unix.Munmap(b) }, nil
}

func (c *counters) sum() (n uint64) {
	for i := range c.at {
		n += atomic.LoadUint64(&c.at[i])
	}
	return n
}

// awaitMove waits until something counts.
func (c *counters) awaitMove(t testing.TB) {
	t.Helper()
	before := c.sum()
	eventually(t, "counting", func() bool { return c.sum() != before })
}

// wantStill makes sure that nothing counts for 10 ms, in which each thread would.
func (c *counters) wantStill(t testing.TB) {
	t.Helper()
	before := c.sum()
	<-time.After(10 * time.Millisecond)
	if n := c.sum() - before; n != 0 {
		t.Errorf("%d counts while all should stand still", n)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s within 10 s", what)
		}
	}
}

// program is a session leader of a test.
type program struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func (p *program) pid() int { return p.cmd.Process.Pid }

// process names it for good.
func (p *program) process(t testing.TB) Process {
	t.Helper()
	found, ok := proctree.Find(p.pid())
	if !ok {
		t.Fatalf("process %d has ended", p.pid())
	}
	return Process{PID: found.PID, StartTicks: found.StartTicks}
}

func (p *program) target(t testing.TB) Target {
	// A machine with other work may well not run a thread for 50 ms.
	return Target{Roots: []Process{p.process(t)}, Limit: 5 * time.Second}
}

// start runs a command whose first line of output says that it is ready; descriptor
// 3 is f. Its whole session is killed at the end.
func start(t testing.TB, cmd *exec.Cmd, f *os.File, group *os.File) *program {
	t.Helper()
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: cmd, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%v: %q, %v", cmd.Args, line, err)
	}
	return p
}

func helper(role string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+role)
	return cmd
}

// state returns the states of a process's threads.
func states(t testing.TB, pid int) (s string) {
	t.Helper()
	err := proctree.EachThread(pid, func(tid int) error {
		state, err := proctree.ThreadState(pid, tid)
		s += string(state)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// helperCounter counts with as many threads as its first argument says, from the place
// in its second, and starts as many processes like itself as its third says. Half the
// threads compute all the time, the others sleep often.
func helperCounter() int {
	threads, _ := strconv.Atoi(os.Args[1])
	place, _ := strconv.Atoi(os.Args[2])
	children, _ := strconv.Atoi(os.Args[3])
	at, _, err := mapFile(os.NewFile(3, "counters"))
	if err != nil {
		return 1
	}
	running := make(chan bool)
	for i := range threads {
		go func() {
			runtime.LockOSThread()
			running <- true
			for n := 0; ; n++ {
				atomic.AddUint64(&at[place+i], 1)
				if n == 1000 || i%2 == 0 {
					n = 0
					_ = unix.Nanosleep(&unix.Timespec{Nsec: 100e3}, nil)
				}
			}
		}()
	}
	for range threads {
		<-running
	}
	for c := range children {
		cmd := helper("counter", os.Args[1], strconv.Itoa(place+(c+1)*threads), "0")
		cmd.ExtraFiles = []*os.File{os.NewFile(3, "counters")}
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			return 1
		}
		if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			return 1
		}
	}
	fmt.Println("ready")
	select {}
}

// helperVfork has a thread wait in vfork for ever: its child neither executes nor ends.
func helperVfork() int {
	runtime.LockOSThread()
	fmt.Println("ready")
	pid, _, _ := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.CLONE_VFORK|syscall.SIGCHLD), 0, 0)
	if pid == 0 {
		for {
			_, _, _ = syscall.RawSyscall(syscall.SYS_PPOLL, 0, 0, 0)
		}
	}
	return 0
}

// helperDaemon freezes process 1 of its arguments, in the group 2 if that is given,
// says so, and is killed then.
func helperDaemon() int {
	z, err := New(os.NewFile(3, "note"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	pid, _ := strconv.Atoi(os.Args[1])
	p, _ := proctree.Find(pid)
	t := Target{Roots: []Process{{PID: pid, StartTicks: p.StartTicks}}, Cgroup: os.Args[2], Limit: 5 * time.Second}
	if _, err := z.Freeze(t); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	select {}
}

// openDescriptors counts those of this process.
func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// python is the path of an interpreter.
func python(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs Python 3 (apt-get install python3)")
	}
	// A shim of a version manager would be the leader, and Python its child.
	out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
