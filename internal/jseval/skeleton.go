package jseval

import (
	"context"
	"errors"
	"io"
)

// Eval returns the value of a config as JSON.
func Eval(ctx context.Context, src Source, o Options) ([]byte, error) { return nil, errors.ErrUnsupported }

// Main is the child.
func Main(stdin io.Reader, stdout io.Writer) error { return errors.ErrUnsupported }

func packageType(string) string { return "" }
