package jseval

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/quickjs"

	"paceline/internal/nodelib"
)

// nodeVersion is the Node whose behaviour is the model; process.version.
const nodeVersion = "22.12.0"

// maxDataFactor is how much larger than code a file may be that is read as data.
const maxDataFactor = 16

// host is the one function that the internal scripts have of Go: the name of an
// operation and its arguments. It answers {value} or {code, message, ...}.
func (e *engine) host(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("no operation")
	}
	v, err := e.operate(arguments(args))
	if err != nil {
		known := nodeError(err, arguments(args).text(0))
		fields := map[string]any{"code": known.code, "message": known.message}
		if known.syscall != "" {
			fields["errno"], fields["syscall"] = known.errno, known.syscall
		}
		if known.path != "" {
			fields["path"] = known.path
		}
		return fields, nil
	}
	return map[string]any{"value": v}, nil
}

// arguments come from JavaScript, so each may be anything or missing.
type arguments []any

func (a arguments) text(i int) string {
	if i < len(a) {
		s, _ := a[i].(string)
		return s
	}
	return ""
}

func (a arguments) truth(i int) bool {
	if i < len(a) {
		b, _ := a[i].(bool)
		return b
	}
	return false
}

// operate does one operation.
func (e *engine) operate(a arguments) (any, error) {
	switch op := a.text(0); op {
	case "info":
		return e.info(), nil
	case "now":
		return float64(time.Since(e.began)) / float64(time.Millisecond), nil
	case "log":
		e.log(a.text(1))
		return true, nil
	case "exit":
		panic(exit{a.text(1), a.text(2)})
	case "done":
		e.settle(answer{Value: json.RawMessage(a.text(1))})
		return true, nil
	case "fail":
		var t thrown
		if err := json.Unmarshal([]byte(a.text(1)), &t); err != nil {
			t = thrown{Message: "it throws a value that cannot be shown"}
		}
		e.settle(answer{Error: e.failure(t)})
		return true, nil
	case "jobs":
		_, err := e.vm.ExecutePendingJobs()
		return true, err
	case "internal":
		return e.internal(a.text(1))
	case "compile":
		return e.compile(a.text(1), a.text(2), a.text(3))
	case "source":
		return e.source(a.text(1))
	case "module":
		e.modules[a.text(1)] = true
		return true, nil
	case "resolve":
		at, err := e.find(a.text(1), a.text(2), a.truth(3))
		return map[string]any{"file": at.File, "format": at.Format}, err
	case "json":
		return jsonPlace(a.text(1), a.text(2)), nil
	case "node":
		return e.node(), nil
	case "encode":
		return recode(nodelib.Encode, a.text(1), a.text(2))
	case "decode":
		return recode(nodelib.Decode, a.text(1), a.text(2))
	case "os":
		return machine(a.text(1))
	default:
		return e.read(op, a)
	}
}

func recode(f func(text, encoding string) (string, error), text, encoding string) (string, error) {
	out, err := f(text, encoding)
	if unknown, ok := errors.AsType[*nodelib.EncodingError](err); ok {
		return "", &codeError{code: "ERR_UNKNOWN_ENCODING", message: unknown.Error()}
	}
	return out, err
}

// settle keeps the first outcome.
func (e *engine) settle(a answer) {
	if e.outcome == nil {
		e.outcome = &a
	}
}

// read does what fs has. Relative paths are right as they are: Dir is this
// process's working directory.
func (e *engine) read(op string, a arguments) (any, error) {
	name := a.text(1)
	var err error
	switch op {
	case "readFile":
		var text []byte
		if text, err = readFile(name, e.MaxFile*maxDataFactor); err == nil {
			if a.text(2) == "utf8" {
				return string(text), nil
			}
			return nodelib.Latin1(text), nil
		}
		op = "open"
	case "stat", "lstat":
		var fi os.FileInfo
		if op == "stat" {
			fi, err = os.Stat(name)
		} else {
			fi, err = os.Lstat(name)
		}
		if err == nil {
			return statOf(fi), nil
		}
	case "readdir":
		var entries []any
		if entries, err = list(name, a.truth(2)); err == nil {
			return entries, nil
		}
		op = "scandir"
	case "realpath":
		var real string
		if real, err = filepath.EvalSymlinks(name); err == nil {
			return filepath.Abs(real)
		}
		op = "lstat"
	case "readlink":
		var target string
		if target, err = os.Readlink(name); err == nil {
			return target, nil
		}
	case "exists":
		_, err = os.Stat(name)
		return err == nil, nil
	case "access":
		mode := 0
		if len(a) > 2 {
			mode, _ = a[2].(int)
		}
		if err = access(name, mode); err == nil {
			return nil, nil //nolint:nilnil // undefined is what it returns
		}
	default:
		panic("jseval: no operation " + op)
	}
	return nil, nodeError(err, op)
}

// log passes on what is printed, up to a limit.
func (e *engine) log(text string) {
	left := maxLog - e.logged
	e.logged += len(text)
	switch {
	case left <= 0:
	case len(text) <= left:
		e.send(answer{Log: text})
	default:
		e.send(answer{Log: strings.ToValidUTF8(text[:left], "") + "\n(what the config file prints beyond " + sizeText(maxLog) + " is not shown)\n"})
	}
}

// info is what does not change while a config is evaluated.
func (e *engine) info() map[string]any {
	environ := []any{}
	for _, kv := range e.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			environ = append(environ, []any{k, v})
		}
	}
	arch := runtime.GOARCH
	if name, ok := map[string]string{"amd64": "x64", "386": "ia32", "ppc64le": "ppc64"}[arch]; ok {
		arch = name
	}
	return map[string]any{
		"arch": arch, "platform": runtime.GOOS, "node": nodeVersion, "quickjs": quickjs.Version(),
		"dir": e.Dir, "environ": environ, "exe": e.Exe, "now": float64(time.Since(e.began)) / 1e6,
		"pid": os.Getpid(), "ppid": os.Getppid(), "uid": os.Getuid(), "gid": os.Getgid(), "umask": 0o22,
		"memory": 32 << 20, "maxValue": maxValue,
	}
}

// node is the path of the node that the config's environment would run: configs
// write process.execPath where they mean it.
func (e *engine) node() string {
	for _, kv := range e.Environ {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, "node")
			if !filepath.IsAbs(file) {
				continue
			}
			if found, err := exec.LookPath(file); err == nil {
				if real, err := filepath.EvalSymlinks(found); err == nil {
					return real
				}
				return found
			}
		}
	}
	return "node"
}

// listBuiltins asks boot.js for the names of the builtin modules.
func (e *engine) listBuiltins() error {
	v, err := e.vm.Call("__paceline.builtins")
	if err != nil {
		return fmt.Errorf("list the builtin modules: %w", err)
	}
	e.resolver.builtins = map[string]bool{}
	text, _ := v.(string)
	for name := range strings.SplitSeq(text, " ") {
		e.resolver.builtins[name] = true
	}
	return nil
}
