//go:build linux

package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

func TestProbe(t *testing.T) {
	if err := Probe(); err != nil {
		if !errors.Is(err, kernel.ErrUnsupported) {
			t.Fatal(err)
		}
		t.Skipf("adoption (Linux 5.9): %v", err)
	}
}

// A sandbox may deny one of the calls that are needed.
func TestProbeNamesWhatIsDenied(t *testing.T) {
	for name, test := range map[string]struct {
		nr    uint32
		errno unix.Errno
		want  []string
	}{
		"pidfd_getfd": {unix.SYS_PIDFD_GETFD, unix.EPERM, []string{"pidfd_getfd is not permitted", "CAP_SYS_PTRACE"}},
		"old kernel":  {unix.SYS_PIDFD_GETFD, unix.ENOSYS, []string{"pidfd_getfd is not available"}},
		"seccomp":     {unix.SYS_SECCOMP, unix.EPERM, []string{"seccomp", "profile"}},
		"readv":       {unix.SYS_PROCESS_VM_READV, unix.EPERM, []string{"<nil>"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := self(t, "probe")
			got := startWith(t, cmd, func() error { return startDenied(cmd, test.nr, test.errno) }).all()
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
}

// A program whose memory cannot be had by the usual call is adopted too.
func TestMemoryIsReadWithoutProcessVMReadv(t *testing.T) {
	at := addressOf(t)
	done := make(chan error)
	kernel.OnOwnThread(func() { // which alone is denied the call
		if err := deny(unix.SYS_PROCESS_VM_READV, unix.ENOSYS); err != nil {
			done <- err
			return
		}
		model := inet4(at)
		b := make([]byte, sizeInet)
		err := readMemory(os.Getpid(), uint64(pointer(model)), b)
		if err == nil && !bytes.Equal(b, model[:sizeInet]) {
			err = fmt.Errorf("got % x", b)
		}
		if bad := readMemory(os.Getpid(), 4096, b); !errors.Is(bad, unix.EFAULT) {
			err = errors.Join(err, fmt.Errorf("got %w, want EFAULT", bad))
		}
		done <- err
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// deny puts a filter on the calling thread by which a call fails.
func deny(nr uint32, errno unix.Errno) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	return nil
}

func startDenied(cmd *exec.Cmd, nr uint32, errno unix.Errno) error {
	done := make(chan error)
	kernel.OnOwnThread(func() {
		err := deny(nr, errno)
		if err == nil {
			err = cmd.Start()
		}
		done <- err
	})
	return <-done
}
