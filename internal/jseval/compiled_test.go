package jseval

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"modernc.org/quickjs"

	"paceline/internal/jsengine"
	"paceline/internal/nodelib"
)

func engineOf(t *testing.T) *jsengine.Engine {
	t.Helper()
	vm, err := quickjs.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	e, err := jsengine.Of(vm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestCompiledScriptsAreCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("on %s the engine's code may differ; the scripts are compiled there when they are needed", runtime.GOARCH)
	}
	files, err := fs.Glob(scripts, "node/*.js")
	if err != nil || len(files) < 3 || len(nodelib.Names()) < 7 {
		t.Fatalf("scripts: %v, %v, %v", files, nodelib.Names(), err)
	}
	where := map[string]string{} // the folder of each
	for _, name := range nodelib.Names() {
		where[name] = "../nodelib/"
	}
	for _, file := range files {
		where[strings.TrimSuffix(path.Base(file), ".js")] = "node/"
	}
	for name, folder := range where {
		text, err := os.ReadFile(folder + name + ".js")
		if err != nil {
			t.Fatal(err)
		}
		want, err := engineOf(t).Compile("node:"+name, string(text))
		if err != nil {
			t.Fatal(err)
		}
		bin := folder + name + ".bin"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(bin, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, got, err := internalScript(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s compiles to (%v); `make scripts` writes it", bin, name+".js", err)
		}
	}
}

// A script of another version of the engine is no error: its text is there.
func TestForeignCodeIsRefused(t *testing.T) {
	e := engineOf(t)
	code, err := e.Compile("node:x", "1 + 1")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Run(code); !ok || err != nil {
		t.Fatalf("its own code: %v, %v", ok, err)
	}
	code[0]++ // the version
	if ok, err := e.Run(code); ok || !errors.Is(err, jsengine.ErrForeign) {
		t.Errorf("code of another version: %v, %v", ok, err)
	}
	if ok, err := e.Eval("node:x", "1 + 1"); !ok || err != nil {
		t.Errorf("the text afterwards: %v, %v", ok, err)
	}
}
