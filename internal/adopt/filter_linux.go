package adopt

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// Filter returns the filter, an array of struct sock_filter, that stops the calls. It
// is for the architecture of this binary. Errors: kernel.ErrUnsupported.
func Filter() ([]byte, error) {
	if auditArch == 0 {
		return nil, fmt.Errorf("sharing the port of an unmodified program on %s: %w", runtime.GOARCH, kernel.ErrUnsupported)
	}
	program := filter()
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(program)*kernel.FilterSize)), nil
}

// Where the fields are in struct seccomp_data. The arguments have 64 bits; what is an
// int is in the lower half, which comes first on the architectures that we know.
const (
	offsetNR   = 0
	offsetArch = 4
	offsetArg1 = 16 + 8
)

// filter leaves after three instructions for nearly every call: the numbers are close
// together. Those of another architecture that happen to lie between are sent on
// their way by the check at the end. (The numbers of x32 are above all others.) Being
// decided by number and architecture alone, all calls but the three are not even run
// through it since Linux 5.11.
func filter() []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		above = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		leave = unix.BPF_RET | unix.BPF_K
	)
	const (
		first = min(unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SHUTDOWN)
		last  = max(unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SHUTDOWN)
	)
	return []unix.SockFilter{
		{Code: load, K: offsetNR},
		{Code: above, K: last, Jt: 9},
		{Code: least, K: first, Jf: 8},
		{Code: equal, K: unix.SYS_BIND, Jt: 4},
		{Code: equal, K: unix.SYS_LISTEN, Jt: 3},
		{Code: equal, K: unix.SYS_SHUTDOWN, Jf: 5},
		{Code: load, K: offsetArg1},
		{Code: equal, K: unix.SHUT_WR, Jt: 3}, // the half that every server closes
		{Code: load, K: offsetArch},
		{Code: equal, K: auditArch, Jf: 1},
		{Code: leave, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: leave, K: unix.SECCOMP_RET_ALLOW},
	}
}
