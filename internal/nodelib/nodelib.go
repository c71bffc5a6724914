// Package nodelib has those of Node's builtin modules that need little of their host,
// in JavaScript: assert, buffer, events, path, querystring, url and util. Each text is
// one expression: a function of (module, exports, {host, builtin, info, fault}), of
// which the host gives
//
//   - host(op, ...args), which answers "encode" and "decode" (text, encoding) with
//     [Encode] and [Decode];
//   - builtin(name), the exports of another module;
//   - info.dir and info.platform, the working directory and Node's name of the system;
//   - fault(code, message, Type), an error with a code.
package nodelib

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.js *.bin
var files embed.FS

// Script returns the text of a module, and what jsengine.Compile makes of it, which is
// good for one version of the engine.
func Script(name string) (text string, code []byte, err error) {
	b, err := files.ReadFile(name + ".js")
	if err == nil {
		code, err = files.ReadFile(name + ".bin")
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the internal module %s: %w", name, err)
	}
	return string(b), code, nil
}

// Names are the modules that there are.
func Names() []string {
	list, err := fs.Glob(files, "*.js")
	if err != nil {
		return nil // the pattern is right
	}
	for i, name := range list {
		list[i] = strings.TrimSuffix(name, ".js")
	}
	return list
}

// Has reports whether there is such a module.
func Has(name string) bool { return slices.Contains(Names(), name) }
