package clone

import "errors"

// Options are ways of reading and writing.
type Options struct {
	Exact bool
}

// Marshal writes v.
func Marshal(v any) ([]byte, error) { return Options{}.Marshal(v) }

// Unmarshal reads a value.
func Unmarshal(data []byte) (any, error) { return Options{}.Unmarshal(data) }

// Marshal writes v.
func (o Options) Marshal(any) ([]byte, error) { return nil, errors.ErrUnsupported }

// Unmarshal reads a value.
func (o Options) Unmarshal([]byte) (any, error) { return nil, errors.ErrUnsupported }
