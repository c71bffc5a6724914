package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"paceline/internal/app"
)

// ErrNotRunning says that an instance has no process.
var ErrNotRunning = errors.New("not running")

// Running returns the processes of instances. Errors: ErrNotFound, and ErrNotRunning
// for the first one that has none.
func (s *Supervisor) Running(ids []int) ([]Ref, []app.Status, error) {
	var refs []Ref
	var found []app.Status
	for _, st := range s.List() {
		if !slices.Contains(ids, st.ID) {
			continue
		}
		if st.PID == 0 {
			return nil, nil, fmt.Errorf("%s (%d) is %s: %w", st.Name, st.ID, st.State, ErrNotRunning)
		}
		refs, found = append(refs, Ref{ID: st.ID, Gen: st.Gen}), append(found, st)
	}
	if len(refs) == 0 {
		return nil, nil, ErrNotFound
	}
	return refs, found, nil
}

// Signal sends a signal to the processes of instances, not to what descends from
// them. It changes nothing of what is wanted: a process that it ends has ended by
// itself. Errors: as Running, with nobody signalled then.
func (s *Supervisor) Signal(ids []int, sig syscall.Signal) ([]app.Status, error) {
	refs, found, err := s.Running(ids)
	if err != nil {
		return nil, fmt.Errorf("signal: %w", err)
	}
	for i, r := range refs {
		if sendErr := s.host.Signal(r, sig, false); sendErr != nil {
			err = errors.Join(err, fmt.Errorf("signal %s (%d): %w", found[i].Name, r.ID, sendErr))
		}
	}
	return found, err
}
