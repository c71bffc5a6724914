package worker

import (
	"runtime"
	"sync"
)

// procs guards the change of what is the whole program's: GOMAXPROCS can only be read
// and then set.
var procs sync.Mutex

// raiseProcs makes room for n goroutines that hold on to their place in Go's scheduler.
func raiseProcs(n int) { changeProcs(n) }

// lowerProcs takes back what raiseProcs did.
func lowerProcs(n int) { changeProcs(-n) }

func changeProcs(by int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)+by, 1))
}
