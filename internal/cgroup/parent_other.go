//go:build !linux

package cgroup

import (
	"fmt"

	"paceline/internal/kernel"
)

// Parent is the cgroup that we are in; only Linux has one.
type Parent struct{}

// Open returns ErrUnsupported.
func Open() (*Parent, error) {
	return nil, fmt.Errorf("make a cgroup: %w: it needs Linux", kernel.ErrUnsupported)
}

// Make is never reached.
func (p *Parent) Make(string) (Group, error) { return Group{}, kernel.ErrUnsupported }

// Remove is never reached.
func (p *Parent) Remove(string) error { return kernel.ErrUnsupported }

// Sweep is never reached.
func (p *Parent) Sweep(string, func(name string) bool) error { return kernel.ErrUnsupported }

// OpenLimited returns ErrUnsupported.
func OpenLimited(Limits) (*Parent, error) {
	return nil, fmt.Errorf("limits: %w: they need Linux", kernel.ErrUnsupported)
}

// Limit is never reached.
func (p *Parent) Limit(string, Limits) error { return kernel.ErrUnsupported }
