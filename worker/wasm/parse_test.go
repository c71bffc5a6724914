package wasm

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

func TestModulesThatAreRefused(t *testing.T) {
	library := handmade{}.bytes()
	for name, one := range map[string]struct {
		binary []byte
		want   string
	}{
		"nothing":      {nil, "no WebAssembly module"},
		"text":         {[]byte("package main"), "no WebAssembly module"},
		"cut":          {endless()[:30], "no WebAssembly module"},
		"no _start":    {bytes.Replace(library, []byte("_start"), []byte("_begin"), 1), "exports no function _start"},
		"other import": {bytes.Replace(greedy(), []byte(wasiModule), []byte("wasi_snapshot_preview2"), 1), "the module imports"},
		"not valid":    {handmade{start: body{code: code(opSub)}}.bytes(), "compile WebAssembly"},
	} {
		if _, err := Compile(t.Context(), one.binary, Limits{}); err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v; want an error with %q", name, err, one.want)
		}
	}
}

// What compiles still does after hardening, and nothing is read beyond its end.
func FuzzHarden(f *testing.F) {
	for _, b := range [][]byte{endless(), recursive(), bottomless(), greedy(), tabular(), handmade{pages: 1, table: 3, exit: true}.bytes()} {
		f.Add(b)
	}
	r := wazero.NewRuntimeWithConfig(f.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(16))
	f.Fuzz(func(t *testing.T, b []byte) {
		hardened, err := harden(b)
		if err != nil {
			return
		}
		before, err := r.CompileModule(t.Context(), b)
		if err != nil {
			return
		}
		defer func() { _ = before.Close(t.Context()) }()
		after, err := r.CompileModule(t.Context(), hardened)
		if err != nil {
			t.Fatalf("%x compiles, and hardened %x does not: %v", b, hardened, err)
		}
		_ = after.Close(t.Context())
	})
}

// However a stream is cut, the same messages come out.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("hello"), uint8(3), uint8(1))
	f.Add([]byte{0, 0, 0}, uint8(1), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, size, cut uint8) {
		var stream []byte
		var want [][]byte
		for rest := data; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			want = append(want, rest[:n])
			stream = append(stream, frame(rest[:n])...)
			rest = rest[n:]
		}
		var got [][]byte
		s := newSplitter(256, func(b []byte) error { got = append(got, b); return nil })
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(cut)+1)
			if _, err := s.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := s.finish(); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d messages; want %d", len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("message %d is %x; want %x", i, got[i], want[i])
			}
		}
		// And what is no stream of messages is an error or incomplete, never a panic.
		s = newSplitter(256, func([]byte) error { return nil })
		_, _ = s.Write(data)
	})
}
