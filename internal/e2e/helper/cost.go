package helper

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// launchedAt tells a program when it was called, in CLOCK_MONOTONIC nanoseconds.
const launchedAt = "LAUNCHED_AT"

// Monotonic is the time that all processes of the machine have in common.
func Monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // it cannot fail
	}
	return time.Duration(t.Nano())
}

// launch notes the time and becomes another program of this package: launch NAME ARGS.
func launch(c Call) int {
	if len(c.Args) == 0 {
		c.complain("launch what?")
		return 2
	}
	env := append(os.Environ(), launchedAt+"="+strconv.FormatInt(int64(Monotonic()), 10))
	err := syscall.Exec(c.Exe, c.Args, env)
	c.complain("exec %s: %v", c.Exe, err)
	return 1
}

// Listening is what a startup program tells.
type Listening struct {
	PID          int
	Exec, Listen time.Duration // when, as Monotonic counts
}

// startup listens on $PORT, tells by a datagram when it did, and closes what comes.
// With -raw it calls the kernel itself, the least that a server does; else it is
// what Go's net package does for a server.
func startup(c Call) int {
	raw := len(c.Args) > 1 && c.Args[1] == "-raw"
	if len(c.Args) == 0 {
		c.complain("startup: to whom shall it be told?")
		return 2
	}
	listen := listenGo
	if raw {
		listen = listenRaw
	}
	closeAll, err := listen()
	at := Monotonic()
	if err != nil {
		c.complain("startup: %v", err)
		return 1
	}
	exec, err := strconv.ParseInt(os.Getenv(launchedAt), 10, 64)
	if err != nil {
		c.complain("startup: %v", err)
		return 1
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(os.Getpid()))
	b = binary.LittleEndian.AppendUint64(b, uint64(exec))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	to, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: c.Args[0], Net: "unixgram"})
	if err == nil {
		_, err = to.Write(b)
	}
	if err != nil {
		c.complain("startup: %v", err)
		return 1
	}
	return closeAll()
}

// ReadListening reads what the next startup program tells.
func ReadListening(from *net.UnixConn) (Listening, error) {
	var b [24]byte
	n, err := from.Read(b[:])
	if err != nil {
		return Listening{}, err
	}
	if n != len(b) {
		return Listening{}, io.ErrUnexpectedEOF
	}
	word := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }
	return Listening{PID: int(word(0)), Exec: time.Duration(word(1)), Listen: time.Duration(word(2))}, nil
}

func listenGo() (func() int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return nil, err
	}
	return func() int {
		for {
			c, err := l.Accept()
			if err != nil {
				return 1
			}
			_ = c.Close() // nothing is lost
		}
	}, nil
}

func listenRaw() (func() int, error) {
	port, err := strconv.Atoi(os.Getenv("PORT"))
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, 128); err != nil {
		return nil, err
	}
	return func() int {
		for {
			c, _, err := unix.Accept(fd)
			if err != nil {
				return 1
			}
			_ = unix.Close(c) // nothing is lost
		}
	}, nil
}

// callsPerBlock is how many calls a calls program makes at a time: some 2 ms of them,
// so that many a block is not interrupted.
const callsPerBlock = 20_000

// calls listens on $PORT, connects to a unix socket and says its word there. To each
// byte that comes then it makes a block of the cheapest call of the kernel, all on one
// CPU, and tells how many nanoseconds it took: calls SOCKET WORD, of one letter.
func calls(c Call) int {
	if len(c.Args) != 2 {
		c.complain("calls: SOCKET WORD")
		return 2
	}
	if _, err := listenGo(); err != nil {
		c.complain("calls: %v", err)
		return 1
	}
	if err := makeCalls(c.Args[0], c.Args[1]); err != nil {
		c.complain("calls: %v", err)
		return 1
	}
	wait(24 * time.Hour)
	return 0
}

func makeCalls(socket, word string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	cpu := 0
	for !may.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return err
	}
	for b := make([]byte, 8); ; {
		if _, err := io.ReadFull(conn, b[:1]); err != nil {
			return nil // measured enough
		}
		begun := Monotonic()
		for range callsPerBlock {
			_, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
		binary.LittleEndian.PutUint64(b, uint64(Monotonic()-begun))
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
}

// ReadCalls has a calls program make a block of calls and returns what one of them took, in nanoseconds.
func ReadCalls(conn io.ReadWriter) (float64, error) {
	if _, err := conn.Write([]byte{1}); err != nil {
		return 0, err
	}
	var b [8]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return 0, err
	}
	return float64(binary.LittleEndian.Uint64(b[:])) / callsPerBlock, nil
}

// Named is the argv with which a program of this package calls another, or itself
// again: its name stands where a program's file does.
func Named(argv0 string) (name string, ok bool) {
	name = filepath.Base(argv0)
	_, ok = programs()[name]
	return name, ok
}
