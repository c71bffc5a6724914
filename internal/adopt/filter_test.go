//go:build linux

package adopt

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// run does what the kernel does with a filter.
func run(t *testing.T, program []unix.SockFilter, arch, nr, arg1 uint32) (result uint32, steps int) {
	t.Helper()
	data := map[uint32]uint32{offsetNR: nr, offsetArch: arch, offsetArg1: arg1}
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		steps++
		is := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			value, known := data[in.K]
			if !known {
				t.Fatalf("reads at %d", in.K)
			}
			a = value
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K, steps
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			is = a == in.K
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			is = a > in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			is = a >= in.K
		default:
			t.Fatalf("instruction %x", in.Code)
		}
		if is {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	t.Fatal("runs off its end")
	return 0, 0
}

func TestFilterStopsThreeCalls(t *testing.T) {
	const x32 = 0x40000000
	for _, m := range []struct {
		name                         string
		arch, bind, listen, shutdown uint32
	}{
		{"amd64", unix.AUDIT_ARCH_X86_64, 49, 50, 48},
		{"arm64", unix.AUDIT_ARCH_AARCH64, 200, 201, 210},
	} {
		if m.name == runtime.GOARCH && (m.arch != auditArch || m.bind != unix.SYS_BIND || m.listen != unix.SYS_LISTEN || m.shutdown != unix.SYS_SHUTDOWN) {
			t.Errorf("%s: the numbers are not those of this architecture", m.name)
		}
		program := filter(m.arch, m.bind, m.listen, m.shutdown)
		for _, arch := range []uint32{m.arch, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM} {
			for _, base := range []uint32{0, x32} {
				for nr := range uint32(600) {
					for _, how := range []uint32{unix.SHUT_RD, unix.SHUT_WR, unix.SHUT_RDWR, 77} {
						want := uint32(unix.SECCOMP_RET_ALLOW)
						if arch == m.arch && base == 0 && (nr == m.bind || nr == m.listen || nr == m.shutdown && how != unix.SHUT_WR) {
							want = unix.SECCOMP_RET_USER_NOTIF
						}
						got, steps := run(t, program, arch, base+nr, how)
						if got != want {
							t.Errorf("%s: arch %x, call %d, %d: got %x, want %x", m.name, arch, base+nr, how, got, want)
						}
						if (nr > m.bind+20 || nr < m.bind-20) && steps > 4 {
							t.Errorf("%s: call %d takes %d steps", m.name, nr, steps)
						}
					}
				}
			}
		}
	}
}

func TestFilterIsAProgram(t *testing.T) {
	b, err := Filter()
	if err != nil {
		t.Skip(err)
	}
	program := filter(auditArch, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SHUTDOWN)
	want := slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(program)*kernel.FilterSize))
	if !bytes.Equal(b, want) || len(b)%8 != 0 {
		t.Errorf("got % x", b)
	}
}
