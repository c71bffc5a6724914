//go:build !linux

package logs

import (
	"context"
	"errors"
	"fmt"
)

// Printer does not exist on this system.
type Printer struct{}

// NewPrinter returns a printer to which nothing can be added.
func NewPrinter(PrinterOptions) *Printer { return nil }

// Add fails on this system.
func (p *Printer) Add(s PrintSpec) error {
	_ = s.Pipe.Close() // it is taken over
	return fmt.Errorf("print %s: %w", s.Name, errors.ErrUnsupported)
}

// Wait does nothing on this system.
func (p *Printer) Wait(context.Context) {}

// Close does nothing on this system.
func (p *Printer) Close() {}
