package ecosystem

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"

	"paceline/internal/app"
)

// A Go program with package cluster is known by its binary, also a stripped one; one
// without is not, though it is of the same module.
func TestSDKProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]string{"sdk-cluster": app.RuntimeSDK, "go": ""} {
		exe := filepath.Join(dir, name)
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", exe, "./examples/"+name)
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		o := StartOptions{Target: exe, Dir: dir, Instances: "2"}
		spec, warnings, err := FromArgs(context.Background(), o)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("start %s: %v, warnings %v", name, err, warnings)
		}
		if spec.Runtime != want || spec.SDKWorkers() != (want != "") || spec.NodeWorkers() {
			t.Errorf("%s: runtime %q, want %q", name, spec.Runtime, want)
		}
	}
}

func TestNeedsModule(t *testing.T) {
	for _, c := range []struct {
		info debug.BuildInfo
		want bool
	}{
		{debug.BuildInfo{Main: debug.Module{Path: sdkModule}}, true},
		{debug.BuildInfo{Main: debug.Module{Path: "x"}, Deps: []*debug.Module{{Path: "y"}, {Path: sdkModule}}}, true},
		{debug.BuildInfo{Main: debug.Module{Path: "x"}, Deps: []*debug.Module{{Path: sdkModule + "/y"}}}, false},
	} {
		if got := needsModule(&c.info, sdkModule); got != c.want {
			t.Errorf("%+v: %v, want %v", c.info, got, c.want)
		}
	}
}

func TestHolds(t *testing.T) {
	block := strings.Repeat("x", 256<<10)
	for _, c := range []struct {
		text string
		want bool
	}{
		{"", false},
		{"mark", true},
		{block[:len(block)-2] + "mark" + block, true},
		{block + "mark", true},
		{block + block[1:] + "mark", true},
		{block + "mar" + block + "k", false},
	} {
		if got := holds(strings.NewReader(c.text), []byte("mark")); got != c.want {
			t.Errorf("text of %d bytes: %v, want %v", len(c.text), got, c.want)
		}
		if got := holds(iotest.OneByteReader(bytes.NewReader([]byte(c.text))), []byte("mark")); len(c.text) < 10 && got != c.want {
			t.Errorf("%q byte by byte: %v, want %v", c.text, got, c.want)
		}
	}
	if holds(iotest.ErrReader(errors.New("bad disk")), []byte("mark")) {
		t.Error("what cannot be read holds it")
	}
}
