package jseval

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"modernc.org/libc"
	"modernc.org/libquickjs"
	"modernc.org/quickjs"
)

// compiled is the engine's own code of a script. Lines stay for errors; the text does
// not, so that the functions of internal scripts show no code, as Node's do not.
func (r raw) compiled(t *testing.T, name, text string) []byte {
	t.Helper()
	libquickjs.XJS_SetStripInfo(r.tls, libquickjs.XJS_GetRuntime(r.tls, r.ctx), libquickjs.MJS_STRIP_SOURCE)
	at, free, err := r.strings(name, text)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	script := libquickjs.XJS_Eval(r.tls, r.ctx, at[1], libquickjs.Tsize_t(len(text)), at[0], libquickjs.MJS_EVAL_TYPE_GLOBAL|libquickjs.MJS_EVAL_FLAG_COMPILE_ONLY)
	defer libquickjs.XFreeValue(r.tls, r.ctx, script)
	size := libc.Xmalloc(r.tls, 8)
	defer libc.Xfree(r.tls, size)
	code := libquickjs.XJS_WriteObject(r.tls, r.ctx, size, script, libquickjs.MJS_WRITE_OBJ_BYTECODE)
	if libquickjs.XJS_HasException(r.tls, r.ctx) != 0 || code == 0 {
		t.Fatalf("%s cannot be compiled", name)
	}
	n := binary.LittleEndian.Uint64(libc.GoBytes(size, 8))
	return bytes.Clone(libc.GoBytes(code, int(n)))
}

func TestCompiledScriptsAreCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("on %s the engine's code may differ; the scripts are compiled there when they are needed", runtime.GOARCH)
	}
	files, err := fs.Glob(scripts, "node/*.js")
	if err != nil || len(files) < 10 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := scripts.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		vm, err := quickjs.NewVM()
		if err != nil {
			t.Fatal(err)
		}
		r, err := rawOf(vm)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(path.Base(file), ".js")
		want := r.compiled(t, "node:"+name, string(text))
		if err := vm.Close(); err != nil {
			t.Fatal(err)
		}
		bin := "node/" + name + ".bin"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(bin, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := scripts.ReadFile(bin); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s compiles to (%v); `make scripts` writes it", bin, file, err)
		}
	}
}

// A script of another version of the engine is no error: its text is there.
func TestForeignCodeIsRefused(t *testing.T) {
	vm, err := quickjs.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	r, err := rawOf(vm)
	if err != nil {
		t.Fatal(err)
	}
	code := r.compiled(t, "node:x", "1 + 1")
	if ok, err := r.run(string(code)); !ok || err != nil {
		t.Fatalf("its own code: %v, %v", ok, err)
	}
	code[0]++ // the version
	if ok, err := r.run(string(code)); ok || !errors.Is(err, errForeign) {
		t.Errorf("code of another version: %v, %v", ok, err)
	}
	if ok, err := r.eval("node:x", "1 + 1"); !ok || err != nil {
		t.Errorf("the text afterwards: %v, %v", ok, err)
	}
}
