// Package dispatch decides, inside the kernel, which socket of a group gets the
// next connection.
package dispatch

import "errors"

// MaxSlots is how many slots a Dealer can deal to. The list of slots is
// published as one byte per slot.
const MaxSlots = 256

// Buckets is how many parts the hash of the clients' addresses has: so many that
// 16 slots have shares that differ by a tenth or so.
const Buckets = 1 << bucketBits

const bucketBits = 10

// ErrUnsupported says that the kernel, or the rights of this process, do not
// allow to deal connections in the kernel. The error that wraps it says why.
var ErrUnsupported = errors.New("kernel dispatch is not possible here")
