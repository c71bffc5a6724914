package adopt

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// Probe says why programs cannot be adopted here; nil if they can. What it finds is
// remembered. Errors: kernel.ErrUnsupported if the kernel is too old; an errno if a
// call is denied.
func Probe() error {
	if _, err := Filter(); err != nil {
		return err
	}
	// process_vm_readv has a substitute, see readMemory.
	needed := []string{"pidfd_open", "pidfd_getfd", "seccomp user notification", "seccomp notification: ADDFD"}
	for _, p := range kernel.Probes() {
		if !slices.Contains(needed, p.Name) {
			continue
		}
		err := p.Run()
		switch {
		case err == nil:
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("%w (a container may need CAP_SYS_PTRACE or another seccomp profile)", err)
		default:
			return err
		}
	}
	return nil
}
