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
)

//go:embed *.js
var files embed.FS

// Source returns the text of a module.
func Source(name string) (string, error) {
	text, err := files.ReadFile(name + ".js")
	if err != nil {
		return "", fmt.Errorf("read the internal module %s: %w", name, err)
	}
	return string(text), nil
}

// Has reports whether Source knows the module.
func Has(name string) bool {
	_, err := files.Open(name + ".js")
	return err == nil
}
