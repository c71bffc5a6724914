package jseval

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// The formats of a module.
const (
	formatCJS     = "cjs"
	formatESM     = "esm"
	formatJSON    = "json"
	formatBuiltin = "builtin"
)

// located is a module that was found: an absolute path, or "node:x".
type located struct {
	File   string `json:"file"`
	Format string `json:"format"`
}

// codeError is an error as Node gives it: with a code that programs look at.
type codeError struct {
	code, message, syscall, path string
	errno                        int
}

func (e *codeError) Error() string { return e.message }

// resolver finds modules as Node does: relative and absolute paths, node_modules
// folders upwards, package.json's main, exports and imports.
type resolver struct {
	builtins map[string]bool
}

// resolve finds what the file from means by spec; esm tells an import, which takes
// a path as it is, from a require, which tries extensions and folders.
func (r *resolver) resolve(from, spec string, esm bool) (located, error) {
	name, prefixed := strings.CutPrefix(spec, "node:")
	switch {
	case r.builtins[name]:
		return located{"node:" + name, formatBuiltin}, nil
	case prefixed:
		return located{}, &codeError{code: "ERR_UNKNOWN_BUILTIN_MODULE", message: "No such built-in module: " + spec}
	}
	file, err := r.file(from, spec, esm)
	if err != nil {
		return located{}, err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	format, err := formatOf(file)
	return located{file, format}, err
}

func notFound(spec string, esm bool) error {
	if esm {
		return &codeError{code: "ERR_MODULE_NOT_FOUND", message: fmt.Sprintf("Cannot find module '%s'", spec)}
	}
	return &codeError{code: "MODULE_NOT_FOUND", message: fmt.Sprintf("Cannot find module '%s'", spec)}
}

func (r *resolver) file(from, spec string, esm bool) (string, error) {
	dir := filepath.Dir(from)
	if esm {
		spec, _, _ = strings.Cut(spec, "?")
	}
	switch {
	case esm && strings.HasPrefix(spec, "file:"):
		u, err := url.Parse(spec)
		if err != nil || u.Host != "" || u.Path == "" {
			return "", &codeError{code: "ERR_INVALID_URL", message: fmt.Sprintf("Invalid URL '%s'", spec)}
		}
		return asFile(u.Path, spec, esm)
	case esm && (strings.HasPrefix(spec, "http:") || strings.HasPrefix(spec, "https:") || strings.HasPrefix(spec, "data:")):
		return "", &codeError{code: "ERR_UNSUPPORTED_ESM_URL_SCHEME", message: fmt.Sprintf("Cannot import '%s': a config file imports from files only", spec)}
	case spec == "." || spec == ".." || strings.HasPrefix(spec, "./") || strings.HasPrefix(spec, "../"):
		target := filepath.Join(dir, spec)
		if strings.HasSuffix(spec, "/") || strings.HasSuffix(spec, ".") {
			target += "/" // a folder, not the file of that name with .js
		}
		return asFile(target, spec, esm)
	case filepath.IsAbs(spec):
		return asFile(spec, spec, esm)
	case strings.HasPrefix(spec, "#"):
		return imported(dir, spec, esm)
	}
	return inPackages(dir, spec, esm)
}

// asFile is a path: as it is, and for require with an extension or as a folder.
func asFile(target, spec string, esm bool) (string, error) {
	clean := filepath.Clean(target)
	if esm {
		if isFile(clean) {
			return clean, nil
		}
		if isDir(clean) {
			return "", &codeError{code: "ERR_UNSUPPORTED_DIR_IMPORT", message: fmt.Sprintf("Directory import '%s' is not supported: name the file", spec)}
		}
		return "", notFound(spec, esm)
	}
	if !strings.HasSuffix(target, "/") {
		if file, ok := withExtension(clean); ok {
			return file, nil
		}
	}
	if isDir(clean) {
		if file, ok := asFolder(clean); ok {
			return file, nil
		}
	}
	return "", notFound(spec, esm)
}

func withExtension(file string) (string, bool) {
	for _, ext := range []string{"", ".js", ".json", ".cjs", ".mjs"} {
		if isFile(file + ext) {
			return file + ext, true
		}
	}
	return "", false
}

// asFolder is package.json's main, else index.js.
func asFolder(dir string) (string, bool) {
	if p, _ := readPackage(dir); p != nil && p.Main != "" {
		main := filepath.Join(dir, p.Main)
		if file, ok := withExtension(main); ok {
			return file, true
		}
		if file, ok := withExtension(filepath.Join(main, "index")); ok {
			return file, true
		}
	}
	return withExtension(filepath.Join(dir, "index"))
}

// inPackages looks in the node_modules folders from dir upwards.
func inPackages(dir, spec string, esm bool) (string, error) {
	name, rest := packageName(spec)
	if name == "" {
		return "", notFound(spec, esm)
	}
	for d := dir; ; d = filepath.Dir(d) {
		if filepath.Base(d) != "node_modules" {
			root := filepath.Join(d, "node_modules", name)
			if isDir(root) {
				return inPackage(root, rest, spec, esm)
			}
			if file, ok := withExtension(root); ok && rest == "" && !esm {
				return file, nil
			}
		}
		// A package may require itself by its name.
		if p, _ := readPackage(d); p != nil && p.Name == name && len(p.Exports) > 0 {
			return exported(d, p, rest, spec, esm)
		}
		if d == filepath.Dir(d) {
			return "", notFound(spec, esm)
		}
	}
}

func packageName(spec string) (name, rest string) {
	parts := strings.SplitN(spec, "/", 3)
	n := 1
	if strings.HasPrefix(spec, "@") {
		n = 2
	}
	if len(parts) < n || parts[n-1] == "" || strings.HasPrefix(parts[0], ".") {
		return "", ""
	}
	return strings.Join(parts[:n], "/"), strings.Join(parts[n:], "/")
}

func inPackage(root, rest, spec string, esm bool) (string, error) {
	p, err := readPackage(root)
	switch {
	case err != nil:
		return "", err
	case p != nil && len(p.Exports) > 0:
		return exported(root, p, rest, spec, esm)
	case rest != "":
		return asFile(filepath.Join(root, rest), spec, esm)
	}
	if file, ok := asFolder(root); ok {
		return file, nil
	}
	return "", notFound(spec, esm)
}

// pkg is what is read of a package.json.
type pkg struct {
	Name    string          `json:"name"`
	Main    string          `json:"main"`
	Type    string          `json:"type"`
	Exports json.RawMessage `json:"exports"`
	Imports json.RawMessage `json:"imports"`
}

// readPackage returns nil where dir has no package.json.
func readPackage(dir string) (*pkg, error) {
	file := filepath.Join(dir, "package.json")
	text, err := readFile(file, defaultMaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no package.json is no error and no package
	}
	if err != nil {
		return nil, err
	}
	p := &pkg{}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(text, p); err != nil && !errors.As(err, &wrong) { // Node, too, ignores a main of a wrong type
		return nil, &codeError{code: "ERR_INVALID_PACKAGE_CONFIG", message: fmt.Sprintf("%s: %v", file, err)}
	}
	if string(p.Exports) == "null" {
		p.Exports = nil
	}
	return p, nil
}

// packageType is the "type" of the package that dir is in.
func packageType(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if filepath.Base(d) == "node_modules" {
			return ""
		}
		if p, _ := readPackage(d); p != nil {
			return p.Type
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

func formatOf(file string) (string, error) {
	switch filepath.Ext(file) {
	case ".mjs":
		return formatESM, nil
	case ".cjs":
		return formatCJS, nil
	case ".json":
		return formatJSON, nil
	case ".node":
		return "", &codeError{code: "ERR_PACELINE_UNAVAILABLE", message: file + ": a config file cannot load native code"}
	case ".ts", ".mts", ".cts":
		return "", &codeError{code: "ERR_UNKNOWN_FILE_EXTENSION", message: file + ": TypeScript is not read; compile it to JavaScript"}
	case ".js":
		if packageType(filepath.Dir(file)) == "module" {
			return formatESM, nil
		}
	}
	return formatCJS, nil
}

// exported is package.json's exports: a target, conditions or subpaths, of which
// one may hold a "*".
func exported(root string, p *pkg, rest, spec string, esm bool) (string, error) {
	key := "."
	if rest != "" {
		key = "./" + rest
	}
	fail := &codeError{
		code:    "ERR_PACKAGE_PATH_NOT_EXPORTED",
		message: fmt.Sprintf("Package subpath '%s' is not defined by \"exports\" in %s", key, filepath.Join(root, "package.json")),
	}
	target := p.Exports
	if keys, byPath := orderedObject(target); byPath && len(keys) > 0 && strings.HasPrefix(keys[0].key, ".") {
		var star string
		if target, star = match(keys, key); target == nil {
			return "", fail
		}
		return pick(root, target, star, spec, esm, fail)
	}
	if key != "." {
		return "", fail
	}
	return pick(root, target, "", spec, esm, fail)
}

// imported is package.json's imports, for names that begin with #.
func imported(dir, spec string, esm bool) (string, error) {
	fail := &codeError{code: "ERR_PACKAGE_IMPORT_NOT_DEFINED", message: fmt.Sprintf("Package import specifier '%s' is not defined", spec)}
	for d := dir; ; d = filepath.Dir(d) {
		p, err := readPackage(d)
		if err != nil {
			return "", err
		}
		if p != nil {
			keys, _ := orderedObject(p.Imports)
			target, star := match(keys, spec)
			if target == nil {
				return "", fail
			}
			return pick(d, target, star, spec, esm, fail)
		}
		if d == filepath.Dir(d) {
			return "", fail
		}
	}
}

// match finds the target of a key: itself, else the longest pattern with a "*".
func match(keys []entry, key string) (target json.RawMessage, star string) {
	best := -1
	for _, e := range keys {
		if e.key == key && !strings.Contains(key, "*") {
			return e.value, ""
		}
		before, after, ok := strings.Cut(e.key, "*")
		if ok && len(before) > best && len(key) >= len(before)+len(after) && strings.HasPrefix(key, before) && strings.HasSuffix(key, after) {
			best, target, star = len(before), e.value, key[len(before):len(key)-len(after)]
		}
	}
	return target, star
}

// pick follows conditions and lists to the first path.
func pick(root string, target json.RawMessage, star, spec string, esm bool, fail error) (string, error) {
	var path string
	if json.Unmarshal(target, &path) == nil && path != "" {
		path = strings.ReplaceAll(path, "*", star)
		if !strings.HasPrefix(path, "./") {
			return inPackages(root, path, esm)
		}
		file := filepath.Join(root, path)
		if !isFile(file) {
			return "", notFound(file, esm)
		}
		return file, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(target, &list) == nil {
		for _, t := range list {
			if file, err := pick(root, t, star, spec, esm, fail); err == nil {
				return file, nil
			}
		}
		return "", fail
	}
	conditions, _ := orderedObject(target)
	for _, c := range conditions {
		if c.key == "default" || c.key == "node" || c.key == "module-sync" || (c.key == "import") == esm && (c.key == "import" || c.key == "require") {
			if file, err := pick(root, c.value, star, spec, esm, fail); !errors.Is(err, fail) {
				return file, err
			}
		}
	}
	return "", fail
}

type entry struct {
	key   string
	value json.RawMessage
}

// orderedObject is an object's fields in their order, which decides in exports.
func orderedObject(text json.RawMessage) ([]entry, bool) {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var list []entry
	for dec.More() {
		var e entry
		t, err := dec.Token()
		if err != nil {
			return nil, false
		}
		e.key, _ = t.(string)
		if err := dec.Decode(&e.value); err != nil {
			return nil, false
		}
		list = append(list, e)
	}
	return list, true
}

func isFile(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && !fi.IsDir()
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}
