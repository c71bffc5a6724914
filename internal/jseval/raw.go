package jseval

import (
	"errors"
	"fmt"
	"reflect"

	"modernc.org/libc"
	"modernc.org/libquickjs"
	"modernc.org/quickjs"
)

// raw is the engine beneath a quickjs.VM. The one thing that is done with it is
// compiling a text under a file's name: VM.Eval calls every text "<eval>", so that
// neither an error nor a dynamic import would know which file it is in.
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
	var strings [3]uintptr
	defer func() {
		for _, s := range strings {
			libc.Xfree(r.tls, s)
		}
	}()
	for i, s := range []string{name, text, slot} {
		if strings[i], err = libc.CString(s); err != nil {
			return false, fmt.Errorf("copy %s for the engine: %w", name, err)
		}
	}
	v := libquickjs.XJS_Eval(r.tls, r.ctx, strings[1], libquickjs.Tsize_t(len(text)), strings[0], libquickjs.MJS_EVAL_TYPE_GLOBAL)
	ok = libquickjs.XJS_HasException(r.tls, r.ctx) == 0
	if !ok {
		v = libquickjs.XJS_GetException(r.tls, r.ctx)
	}
	global := libquickjs.XJS_GetGlobalObject(r.tls, r.ctx)
	defer libquickjs.XFreeValue(r.tls, r.ctx, global)
	if libquickjs.XJS_SetPropertyStr(r.tls, r.ctx, global, strings[2], v) < 0 { // takes v
		return false, errors.New("out of memory")
	}
	return ok, nil
}
