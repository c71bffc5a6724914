package cgroup

import "paceline/internal/kernel"

// Parent is the cgroup that we are in, where groups can be made.
type Parent struct{ dir string }

// Open finds the cgroup that we are in and makes sure that groups can be made in it.
// Errors: kernel.ErrUnsupported.
func Open() (*Parent, error) { return nil, kernel.ErrUnsupported }

// Make makes a group, or takes the one of that name that is there already.
func (p *Parent) Make(name string) (Group, error) { return Group{}, kernel.ErrUnsupported }

// Remove removes a group in which no process is left, and what was made below it.
func (p *Parent) Remove(name string) error { return kernel.ErrUnsupported }

// Sweep removes the groups with that prefix that keep does not want and in which no
// process is left.
func (p *Parent) Sweep(prefix string, keep func(name string) bool) error {
	return kernel.ErrUnsupported
}
