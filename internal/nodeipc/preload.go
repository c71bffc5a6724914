package nodeipc

import _ "embed"

//go:embed preload.cjs
var preload []byte

// Preload returns the script that every Node app is started with (--require FILE) for Worker.Drain
// to have its full effect. It does nothing until then but remember which servers have had
// connections, nothing at all in a process without a channel, and takes itself out of
// process.execArgv, so that the app's own children do not get it. Node's permission model
// (--permission, --experimental-permission) needs --allow-fs-read for the file, or Node does not
// start: leave the preload away then.
func Preload() []byte { return append([]byte(nil), preload...) }
