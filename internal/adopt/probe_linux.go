package adopt

import (
	"errors"
	"fmt"
	"slices"

	"paceline/internal/kernel"
)

// Probe says why programs cannot be adopted here; nil if they can. What it finds is
// remembered. Errors: kernel.ErrUnsupported if the kernel is too old.
func Probe() error {
	if _, err := Filter(); err != nil {
		return err
	}
	needed := []string{
		"pidfd_open", "pidfd_getfd", "process_vm_readv", "seccomp user notification", "seccomp notification: ADDFD",
	}
	var missing []error
	for _, p := range kernel.Probes() {
		if !slices.Contains(needed, p.Name) {
			continue
		}
		if err := p.Run(); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("copies of a program cannot share a port here: %w", errors.Join(missing...))
}
