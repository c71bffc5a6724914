package jseval

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The child is this test program under its hidden role.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Role {
		if err := Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == parentRole {
		fmt.Fprintln(os.Stderr, parent(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// parentRole is this test program as the caller of Eval, for a config that never
// ends and says its pid.
const parentRole = "__parent"

func parent(file string) error {
	log := writer(func(b []byte) { _, _ = os.Stdout.Write(b) })
	_, err := Eval(context.Background(), Source{File: file, Dir: filepath.Dir(file)}, Options{Timeout: roomy, Log: log})
	return err
}
