package nodeipc

import (
	_ "embed"
	"slices"
)

//go:embed preload.cjs
var preload []byte

// Preload returns the script that every Node app is started with (--require FILE) for Worker.Drain
// to have its full effect. It does nothing until then but remember which servers have had
// connections, nothing at all in a process without a channel, and takes itself out of
// process.execArgv, so that the app's own children do not get it. Leave it away where Node is
// Restricted.
func Preload() []byte { return append([]byte(nil), preload...) }

// Restricted reports whether arguments of Node ask for its permission model, which needs
// --allow-fs-read for the preload, or Node does not start.
func Restricted(nodeArgs []string) bool {
	return slices.ContainsFunc(nodeArgs, func(arg string) bool {
		return arg == "--permission" || arg == "--experimental-permission"
	})
}
