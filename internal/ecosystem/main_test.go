package ecosystem

import (
	"fmt"
	"os"
	"testing"

	"paceline/internal/jseval"
)

// TestMain lets this binary evaluate JavaScript, as pace does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == jseval.Role {
		if err := jseval.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
