package ecosystem

import (
	"bytes"
	"debug/buildinfo"
	"io"
	"os"
	"runtime/debug"
)

// sdkModule is the module of package cluster.
const sdkModule = "paceline"

// sdkMark is a function of package cluster that every program has which is linked with
// it: the linker leaves the names of functions in a binary, also in a stripped one.
var sdkMark = []byte(sdkModule + "/cluster.takeChannel")

// usesSDK reports whether a program is linked with package cluster, so that it is to have
// a channel. What the program then does without one is no worse for it.
func usesSDK(file string) bool {
	info, err := buildinfo.ReadFile(file)
	if err != nil || !needsModule(info, sdkModule) {
		return false // most programs: only these are looked through
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	return holds(f, sdkMark)
}

func needsModule(info *debug.BuildInfo, module string) bool {
	if info.Main.Path == module {
		return true
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return true
		}
	}
	return false
}

// holds reports whether a text is in what r reads.
func holds(r io.Reader, text []byte) bool {
	buf := make([]byte, 256<<10)
	kept := 0 // of the block before, where the text may begin
	for {
		n, err := io.ReadFull(r, buf[kept:])
		if bytes.Contains(buf[:kept+n], text) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(buf, buf[kept+n-len(text)+1:kept+n])
	}
}
