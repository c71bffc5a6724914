package kernel

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketChecks are about sharing a port.
var socketChecks = []check{
	{"SO_REUSEPORT with a classic BPF program", "4.5", "connections go to chosen instances without rights", tryClassicBPF},
	{"eBPF program for SO_REUSEPORT", "5.14", "exact round robin in the kernel, and nothing is lost when an instance ends", tryReuseportBPF},
	{"net.ipv4.tcp_migrate_req", "5.14", "without eBPF: waiting connections of a process that ends go to its siblings", func() (string, error) {
		switch value := setting("net/ipv4/tcp_migrate_req"); value {
		case "":
			return "", errMissing
		case "0":
			return "0: off, as it is by default", nil
		default:
			return value + ": on", nil
		}
	}},
	{"kernel.unprivileged_bpf_disabled", "", "eBPF without root", func() (string, error) {
		switch value := setting("kernel/unprivileged_bpf_disabled"); value {
		case "0":
			return "0: every user may load simple programs; those for SO_REUSEPORT need CAP_BPF and CAP_NET_ADMIN", nil
		case "":
			return "", nil
		default:
			return value + ": eBPF needs CAP_BPF", nil
		}
	}},
	{"net.core.somaxconn", "", "how many connections can wait for an instance", func() (string, error) {
		value := setting("net/core/somaxconn")
		// 511 is Node's default backlog, which the kernel would cut in silence.
		if n, ok := number(value); ok && n < 511 {
			return value, fmt.Errorf("net.core.somaxconn is %d: backlogs are cut to it; set 4096, the default since Linux 5.4", n)
		}
		return value, nil
	}},
}

// withSocket calls f with a TCP socket in a group of its own, not yet bound.
func withSocket(f func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // never bound
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	return f(fd)
}

func tryClassicBPF() (string, error) {
	return "", withSocket(func(fd int) error {
		first := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}} // always the first socket
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(first)), Filter: &first[0]})
	})
}

// Of linux/bpf.h; x/sys has the commands but not these.
const (
	bpfProgTypeSkReuseport = 21
	bpfSelectOrMigrate     = 40 // BPF_SK_REUSEPORT_SELECT_OR_MIGRATE, 5.14
)

// bpfProgLoad is the part of union bpf_attr that BPF_PROG_LOAD reads here.
type bpfProgLoad struct {
	progType, insnCount    uint32
	insns, license         uint64
	logLevel, logSize      uint32
	logBuf                 uint64
	kernelVersion, flags   uint32
	name                   [16]byte
	ifindex, expectedShape uint32 // expected_attach_type
}

// tryReuseportBPF loads a program that says "pass" and attaches it to a socket.
func tryReuseportBPF() (string, error) {
	insns := []uint64{
		0x00000001_000000b7, // r0 = 1: SK_PASS
		0x00000000_00000095, // exit
	}
	license := [...]byte{'M', 'I', 'T', 0}
	attr := bpfProgLoad{
		progType: bpfProgTypeSkReuseport, expectedShape: bpfSelectOrMigrate,
		insnCount: uint32(len(insns)),
		insns:     uint64(uintptr(unsafe.Pointer(&insns[0]))),
		license:   uint64(uintptr(unsafe.Pointer(&license))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(insns)
	runtime.KeepAlive(&license)
	switch errno {
	case 0:
	case unix.EPERM, unix.EACCES:
		return "", fmt.Errorf("not permitted to this user: it needs CAP_BPF and CAP_NET_ADMIN (%w)", errno)
	default:
		return "", errno
	}
	defer unix.Close(int(fd)) //nolint:errcheck // the program goes with it
	return "", withSocket(func(socket int) error {
		return unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, int(fd))
	})
}
