package ecosystem

import (
	"fmt"
	"strings"
	"testing"
)

// manyApps is a JSON app file of n apps.
func manyApps(n int) string {
	var b strings.Builder
	b.WriteString(`{"apps":[`)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"name":"app-%d","script":"server.js","env":{"PORT":%d,"A":"b"},"max_memory_restart":"200M","args":"--x y"}`, i, 3000+i)
	}
	b.WriteString("]}")
	return b.String()
}

func BenchmarkLoad500(b *testing.B) {
	w := newWorld(b, "node")
	w.write(b, "server.js", "setInterval(()=>{},1000)\n", 0o644)
	w.write(b, "apps.json", manyApps(500), 0o644)
	o := w.load("apps.json")
	for range 40 {
		o.Environ = append(o.Environ, fmt.Sprintf("VARIABLE_%d=some value of it", len(o.Environ)))
	}
	for b.Loop() {
		f, err := Load(b.Context(), o)
		if err != nil || len(f.Apps) != 500 {
			b.Fatal(err)
		}
	}
}

// load are the options of a user who loads a file of the world's folder.
func (w world) load(file string) LoadOptions {
	o := w.options("")
	return LoadOptions{File: file, Dir: w.dir, Environ: o.Environ, CPUs: o.CPUs, LogDir: "/logs"}
}
