package clone_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paceline/worker/clone"
)

// eachNode runs a test with each Node of the matrix, and with the one in PATH.
func eachNode(t *testing.T, f func(t *testing.T, node string)) {
	t.Helper()
	found, err := filepath.Glob("../../.cache/node/*/node_modules/*/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if path, err := exec.LookPath("node"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("no Node: run scripts/node-matrix.sh")
		}
		t.Skip("no Node: run scripts/node-matrix.sh")
	}
	for _, node := range found {
		name := strings.TrimPrefix(filepath.ToSlash(node), "../../.cache/node/")
		t.Run(strings.Split(name, "/node_modules")[0], func(t *testing.T) {
			t.Parallel()
			f(t, node)
		})
	}
}

// runNode runs a script and reads what it prints as JSON.
func runNode(t *testing.T, to any, stdin []byte, node string, args ...string) {
	t.Helper()
	cmd := exec.Command(node, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	if err := json.Unmarshal(out, to); err != nil {
		t.Fatalf("%v printed %q: %v", cmd.Args, out, err)
	}
}

// What Node writes, read and written here, is for Node what its structuredClone
// makes of it, with Exact to the last shared reference.
func TestRoundTripEqualsStructuredClone(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		var table map[string]string
		runNode(t, &table, nil, node, "testdata/table.js", "write")
		if len(table) < 75 {
			t.Errorf("Node has written %d values, the table has more", len(table))
		}
		answers := map[string]map[string]string{}
		for name, text := range table {
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			answers[name] = map[string]string{}
			for mode, options := range map[string]clone.Options{"exact": {Exact: true}, "natural": {}} {
				v, err := options.Unmarshal(data)
				if err != nil {
					t.Errorf("%s (%s): %v\n%x", name, mode, err, data)
					continue
				}
				// A copy in Go is as good as the original.
				if v, err = clone.Clone(v); err != nil {
					t.Errorf("%s (%s): %v", name, mode, err)
					continue
				}
				out, err := clone.Marshal(v)
				if err != nil {
					t.Errorf("%s (%s): %v", name, mode, err)
					continue
				}
				answers[name][mode] = base64.StdEncoding.EncodeToString(out)
			}
		}
		stdin, err := json.Marshal(answers)
		if err != nil {
			t.Fatal(err)
		}
		var differ map[string]string
		runNode(t, &differ, stdin, node, "testdata/table.js", "check")
		for name, how := range differ {
			if len(how) > 600 {
				how = how[:600] + "…"
			}
			t.Errorf("%s: %s", name, how)
		}
	})
}
