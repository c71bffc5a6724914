package jseval

import (
	"errors"
	"fmt"
	"reflect"

	"modernc.org/libc"
	"modernc.org/libquickjs"
	"modernc.org/quickjs"
)

// raw is the engine beneath a quickjs.VM. Two things are done with it that a VM does
// not offer: compiling a text under a file's name (VM.Eval calls every text "<eval>",
// so that neither an error nor a dynamic import would know which file it is in), and
// running what has been compiled before.
type raw struct {
	tls *libc.TLS
	ctx uintptr
}

// rawOf reads two fields of VM that it does not export. Nothing is written, and a
// version in which they have other names is an error here (and fails every test).
func rawOf(vm *quickjs.VM) (r raw, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this version of modernc.org/quickjs is not known: %v", p)
		}
	}()
	state := reflect.ValueOf(vm).Elem()
	r.ctx = uintptr(state.FieldByName("cContext").Uint())
	r.tls = (*libc.TLS)(state.FieldByName("runtime").Elem().FieldByName("tls").UnsafePointer())
	if r.ctx == 0 || r.tls == nil {
		return raw{}, errors.New("this version of modernc.org/quickjs is not known: no context")
	}
	return r, nil
}

// slot is the global that compile leaves its result in.
const slot = "__paceline_slot"

// eval evaluates text, which is of the file name, as a script. The result, or what
// it throws (ok is false), is in the global slot.
func (r raw) eval(name, text string) (ok bool, err error) {
	at, free, err := r.strings(name, text)
	if err != nil {
		return false, fmt.Errorf("copy %s for the engine: %w", name, err)
	}
	defer free()
	return r.keep(libquickjs.XJS_Eval(r.tls, r.ctx, at[1], libquickjs.Tsize_t(len(text)), at[0], libquickjs.MJS_EVAL_TYPE_GLOBAL))
}

// run is eval of a script in the engine's own code, as `make scripts` writes it.
// Errors: errForeign if it is another version's.
func (r raw) run(code string) (ok bool, err error) {
	at, free, err := r.strings(code)
	if err != nil {
		return false, fmt.Errorf("copy a script for the engine: %w", err)
	}
	defer free()
	script := libquickjs.XJS_ReadObject(r.tls, r.ctx, at[0], libquickjs.Tsize_t(len(code)), libquickjs.MJS_READ_OBJ_BYTECODE)
	if libquickjs.XJS_HasException(r.tls, r.ctx) != 0 {
		libquickjs.XFreeValue(r.tls, r.ctx, libquickjs.XJS_GetException(r.tls, r.ctx))
		return false, errForeign
	}
	return r.keep(libquickjs.XJS_EvalFunction(r.tls, r.ctx, script)) // takes script
}

var errForeign = errors.New("the script was compiled for another version of the engine")

// keep puts a result, or what was thrown instead, into the global slot.
func (r raw) keep(v libquickjs.TJSValue) (ok bool, err error) {
	ok = libquickjs.XJS_HasException(r.tls, r.ctx) == 0
	if !ok {
		v = libquickjs.XJS_GetException(r.tls, r.ctx)
	}
	at, free, err := r.strings(slot)
	if err != nil {
		return false, fmt.Errorf("keep a result: %w", err)
	}
	defer free()
	global := libquickjs.XJS_GetGlobalObject(r.tls, r.ctx)
	defer libquickjs.XFreeValue(r.tls, r.ctx, global)
	if libquickjs.XJS_SetPropertyStr(r.tls, r.ctx, global, at[0], v) < 0 { // takes v
		return false, errors.New("out of memory")
	}
	return ok, nil
}

// strings copies texts to where the engine reads them.
func (r raw) strings(texts ...string) (at []uintptr, free func(), err error) {
	free = func() {
		for _, p := range at {
			libc.Xfree(r.tls, p)
		}
	}
	for _, s := range texts {
		p, err := libc.CString(s)
		if err != nil {
			free()
			return nil, nil, err
		}
		at = append(at, p)
	}
	return at, free, nil
}
