// Package jsengine is the engine beneath a quickjs.VM: what modernc.org/quickjs does
// not export and the project needs. A text is compiled under a file's name (VM.Eval
// calls every text "<eval>", so that neither an error nor a dynamic import would know
// which file it is in), bytes cross between Go and an ArrayBuffer, and promises that
// are rejected without a handler are told of.
package jsengine

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libquickjs"
	"modernc.org/quickjs"
)

// Bridge is the global that holds the bridge: an object through which values cross.
// The first script that runs takes it and deletes the global.
const Bridge = "__paceline_bridge"

// Engine belongs to the goroutine of its VM.
type Engine struct {
	tls     *libc.TLS
	ctx     uintptr
	runtime uintptr
	bridge  libquickjs.TJSValue
	fields  [3]uintptr // C strings, by the field's number
	opaque  uintptr    // a copy of bridge, for the rejection tracker
}

// The fields of the bridge.
const (
	value    = iota // what Eval leaves
	bytes           // an ArrayBuffer
	rejected        // function (promise, reason, handled)
)

var names = [...]string{"value", "bytes", "rejected"}

// Of returns the engine of a VM, which must be closed before the VM is. It reads two
// fields of VM that are not exported. Nothing is written, and a version in which they
// have other names is an error here (and fails every test).
func Of(vm *quickjs.VM) (e *Engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("this version of modernc.org/quickjs is not known: %v", p)
		}
	}()
	state := reflect.ValueOf(vm).Elem()
	e = &Engine{
		ctx:     uintptr(state.FieldByName("cContext").Uint()),
		runtime: uintptr(state.FieldByName("runtime").Elem().FieldByName("cRuntime").Uint()),
		tls:     (*libc.TLS)(state.FieldByName("runtime").Elem().FieldByName("tls").UnsafePointer()),
	}
	if e.ctx == 0 || e.runtime == 0 || e.tls == nil {
		return nil, errors.New("this version of modernc.org/quickjs is not known: no context")
	}
	for i, s := range names {
		if e.fields[i], err = libc.CString(s); err != nil {
			e.free()
			return nil, fmt.Errorf("copy a name for the engine: %w", err)
		}
	}
	name, err := libc.CString(Bridge)
	if err != nil {
		e.free()
		return nil, fmt.Errorf("copy a name for the engine: %w", err)
	}
	defer libc.Xfree(e.tls, name)
	e.bridge = libquickjs.XJS_NewObject(e.tls, e.ctx)
	global := libquickjs.XJS_GetGlobalObject(e.tls, e.ctx)
	defer libquickjs.XFreeValue(e.tls, e.ctx, global)
	if libquickjs.XJS_SetPropertyStr(e.tls, e.ctx, global, name, libquickjs.XDupValue(e.tls, e.ctx, e.bridge)) < 0 {
		e.dropException()
		e.Close()
		return nil, errors.New("set up the engine: out of memory")
	}
	return e, nil
}

// Close gives back what the engine holds of the VM. It must not be called where a
// panic went through the engine's code: such a VM leaks.
func (e *Engine) Close() {
	libquickjs.XJS_SetHostPromiseRejectionTracker(e.tls, e.runtime, 0, 0)
	libquickjs.XFreeValue(e.tls, e.ctx, e.bridge)
	e.free()
}

func (e *Engine) free() {
	for _, s := range e.fields {
		libc.Xfree(e.tls, s)
	}
	libc.Xfree(e.tls, e.opaque)
}

// Eval evaluates text, which is of the file name, as a script. The result, or what it
// throws (ok is false), is the bridge's value.
func (e *Engine) Eval(name, text string) (ok bool, err error) {
	v, err := e.eval(name, text, libquickjs.MJS_EVAL_TYPE_GLOBAL)
	if err != nil {
		return false, err
	}
	return e.result(v)
}

func (e *Engine) eval(name, text string, flags int32) (v libquickjs.TJSValue, err error) {
	var strings [2]uintptr
	defer func() {
		for _, s := range strings {
			libc.Xfree(e.tls, s)
		}
	}()
	for i, s := range []string{name, text} {
		if strings[i], err = libc.CString(s); err != nil {
			return v, fmt.Errorf("copy %s for the engine: %w", name, err)
		}
	}
	return libquickjs.XJS_Eval(e.tls, e.ctx, strings[1], libquickjs.Tsize_t(len(text)), strings[0], flags), nil
}

// Compile returns the engine's own code of a script, for Run in any engine of the same
// version. Lines stay for errors; the text does not, so that its functions show no
// code, as Node's internal ones do not.
func (e *Engine) Compile(name, text string) ([]byte, error) {
	strip := libquickjs.XJS_GetStripInfo(e.tls, e.runtime)
	libquickjs.XJS_SetStripInfo(e.tls, e.runtime, libquickjs.MJS_STRIP_SOURCE)
	defer libquickjs.XJS_SetStripInfo(e.tls, e.runtime, strip)
	v, err := e.eval(name, text, libquickjs.MJS_EVAL_TYPE_GLOBAL|libquickjs.MJS_EVAL_FLAG_COMPILE_ONLY)
	if err != nil {
		return nil, err
	}
	defer libquickjs.XFreeValue(e.tls, e.ctx, v)
	if libquickjs.XJS_HasException(e.tls, e.ctx) != 0 {
		e.dropException()
		return nil, fmt.Errorf("compile %s: it is no script, or memory is out", name)
	}
	size := e.tls.Alloc(int(unsafe.Sizeof(libquickjs.Tsize_t(0))))
	defer e.tls.Free(int(unsafe.Sizeof(libquickjs.Tsize_t(0))))
	code := libquickjs.XJS_WriteObject(e.tls, e.ctx, size, v, libquickjs.MJS_WRITE_OBJ_BYTECODE)
	if code == 0 {
		e.dropException()
		return nil, fmt.Errorf("compile %s: out of memory", name)
	}
	defer libquickjs.Xjs_free(e.tls, e.ctx, code)
	n := *(*libquickjs.Tsize_t)(unsafe.Add(nil, size))
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Add(nil, code)), n)...), nil
}

// ErrForeign is what Run says of another version's code.
var ErrForeign = errors.New("the script was compiled for another version of the engine")

// Run is Eval of what Compile has returned: of nothing else, as code is not checked.
//
// Errors: ErrForeign.
func (e *Engine) Run(code []byte) (ok bool, err error) {
	p := libc.Xmalloc(e.tls, libc.Tsize_t(max(len(code), 1)))
	if p == 0 {
		return false, errors.New("out of memory")
	}
	defer libc.Xfree(e.tls, p)
	copy(unsafe.Slice((*byte)(unsafe.Add(nil, p)), len(code)), code)
	v := libquickjs.XJS_ReadObject(e.tls, e.ctx, p, libquickjs.Tsize_t(len(code)), libquickjs.MJS_READ_OBJ_BYTECODE)
	if libquickjs.XJS_HasException(e.tls, e.ctx) != 0 {
		e.dropException()
		return false, ErrForeign
	}
	return e.result(libquickjs.XJS_EvalFunction(e.tls, e.ctx, v)) // takes v
}

// result leaves v, or the exception there is in its place, as the bridge's value.
func (e *Engine) result(v libquickjs.TJSValue) (ok bool, err error) {
	ok = libquickjs.XJS_HasException(e.tls, e.ctx) == 0
	if !ok {
		v = libquickjs.XJS_GetException(e.tls, e.ctx)
	}
	return ok, e.put(value, v)
}

// put sets a field of the bridge, and takes v.
func (e *Engine) put(field int, v libquickjs.TJSValue) error {
	if libquickjs.XJS_SetPropertyStr(e.tls, e.ctx, e.bridge, e.fields[field], v) < 0 {
		e.dropException()
		return errors.New("out of memory")
	}
	return nil
}

func (e *Engine) dropException() {
	libquickjs.XFreeValue(e.tls, e.ctx, libquickjs.XJS_GetException(e.tls, e.ctx))
}

// Bytes returns a copy of the ArrayBuffer in the bridge's bytes.
func (e *Engine) Bytes() ([]byte, error) {
	v := libquickjs.XJS_GetPropertyStr(e.tls, e.ctx, e.bridge, e.fields[bytes])
	defer libquickjs.XFreeValue(e.tls, e.ctx, v)
	size := e.tls.Alloc(int(unsafe.Sizeof(libquickjs.Tsize_t(0))))
	defer e.tls.Free(int(unsafe.Sizeof(libquickjs.Tsize_t(0))))
	data := libquickjs.XJS_GetArrayBuffer(e.tls, e.ctx, size, v)
	if libquickjs.XJS_HasException(e.tls, e.ctx) != 0 {
		e.dropException()
		return nil, errors.New("no bytes are on the bridge")
	}
	n := *(*libquickjs.Tsize_t)(unsafe.Add(nil, size))
	if n == 0 {
		return nil, nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Add(nil, data)), n)...), nil
}

// SetBytes makes the bridge's bytes an ArrayBuffer with a copy of b, which counts
// against the VM's memory limit. Where that is reached it is an error.
func (e *Engine) SetBytes(b []byte) error {
	// Through memory of the engine's own kind: it knows no Go pointers.
	p := libc.Xmalloc(e.tls, libc.Tsize_t(max(len(b), 1)))
	if p == 0 {
		return errors.New("out of memory")
	}
	defer libc.Xfree(e.tls, p)
	copy(unsafe.Slice((*byte)(unsafe.Add(nil, p)), len(b)), b)
	v := libquickjs.XJS_NewArrayBufferCopy(e.tls, e.ctx, p, libquickjs.Tsize_t(len(b)))
	if libquickjs.XJS_HasException(e.tls, e.ctx) != 0 {
		e.dropException()
		return errors.New("out of memory")
	}
	return e.put(bytes, v)
}

// TrackRejections has the bridge's function rejected called with (promise, reason,
// false) when a promise is rejected that nothing handles, and with true when it is
// handled after all.
func (e *Engine) TrackRejections() error {
	e.opaque = libc.Xmalloc(e.tls, libc.Tsize_t(unsafe.Sizeof(tracked{})))
	if e.opaque == 0 {
		return errors.New("out of memory")
	}
	*(*tracked)(unsafe.Add(nil, e.opaque)) = tracked{e.bridge, e.fields[rejected]}
	var f any = onRejection
	libquickjs.XJS_SetHostPromiseRejectionTracker(e.tls, e.runtime, (*[2]uintptr)(unsafe.Pointer(&f))[1], e.opaque)
	return nil
}

type tracked struct {
	bridge libquickjs.TJSValue
	name   uintptr
}

// onRejection is called by the engine, amid JavaScript.
func onRejection(tls *libc.TLS, ctx uintptr, promise, reason libquickjs.TJSValue, handled int32, opaque uintptr) {
	t := (*tracked)(unsafe.Add(nil, opaque))
	f := libquickjs.XJS_GetPropertyStr(tls, ctx, t.bridge, t.name)
	defer libquickjs.XFreeValue(tls, ctx, f)
	const size = unsafe.Sizeof(libquickjs.TJSValue{})
	argv := tls.Alloc(3 * int(size))
	defer tls.Free(3 * int(size))
	args := unsafe.Slice((*libquickjs.TJSValue)(unsafe.Add(nil, argv)), 3)
	args[0], args[1], args[2] = promise, reason, libquickjs.XNewInt32(tls, ctx, handled)
	r := libquickjs.XJS_Call(tls, ctx, f, t.bridge, 3, argv)
	if libquickjs.XJS_HasException(tls, ctx) != 0 { // no memory is left: what follows will tell
		libquickjs.XFreeValue(tls, ctx, libquickjs.XJS_GetException(tls, ctx))
	}
	libquickjs.XFreeValue(tls, ctx, r)
}
