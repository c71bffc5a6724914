//go:build !linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errUnsupported is what everything answers where there is no subreaper, pidfd or
// waitid without reaping.
var errUnsupported = fmt.Errorf("keeper needs Linux 5.3 or later: %w", errors.ErrUnsupported)

type tuning struct{}

func run(context.Context, Options, tuning) error { return errUnsupported }

func ensure(context.Context, string, string) error { return errUnsupported }

func ended(context.Context, string) error { return nil }

// Client is the daemon's connection with its keeper. There is none on this system.
type Client struct{ events *mailbox }

// Dial fails on this system.
func Dial(context.Context, *os.File) (*Client, *Inventory, error) { return nil, nil, errUnsupported }

// Close does nothing on this system.
func (c *Client) Close() error { return nil }

// Events gives a channel on which nothing comes.
func (c *Client) Events() <-chan Event { return nil }

// Spawn fails on this system.
func (c *Client) Spawn(context.Context, Spawn) (Process, error) { return Process{}, errUnsupported }

// Signal fails on this system.
func (c *Client) Signal(string, syscall.Signal, Scope) error { return errUnsupported }

// Keep fails on this system.
func (c *Client) Keep(...Named) error { return errUnsupported }

// Note fails on this system.
func (c *Client) Note(Named) error { return errUnsupported }

// Drop fails on this system.
func (c *Client) Drop(...string) error { return errUnsupported }

// Forget fails on this system.
func (c *Client) Forget(string) error { return errUnsupported }

// Replace fails on this system.
func (c *Client) Replace(string) error { return errUnsupported }

// Trap fails on this system.
func (c *Client) Trap(string, []byte) (Trap, error) { return Trap{}, errUnsupported }

// Shutdown fails on this system.
func (c *Client) Shutdown() error { return errUnsupported }
