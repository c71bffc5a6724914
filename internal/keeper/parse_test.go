//go:build linux

package keeper

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const tail = " 55 0 0 0 0 0 0 0 0 20 0 %d 0 987654 0 0"
	for _, test := range []struct {
		line string
		want stat
		ok   bool
	}{
		{"12 (sleep) S 1 2 3 0 -1" + fmt.Sprintf(tail, 1), stat{parent: 1, group: 2, session: 3, start: 987654}, true},
		{"12 (a) R) (b) Z 1 2 3 0 -1" + fmt.Sprintf(tail, 1), stat{parent: 1, group: 2, session: 3, start: 987654, dead: true}, true},
		{"12 (x) Z 1 2 3 0 -1" + fmt.Sprintf(tail, 4), stat{parent: 1, group: 2, session: 3, start: 987654}, true},
		{"12 (x) S 1 2", stat{}, false},
		{"", stat{}, false},
	} {
		if got, ok := parseStat([]byte(test.line)); got != test.want || ok != test.ok {
			t.Errorf("%s: got %+v %t, want %+v %t", test.line, got, ok, test.want, test.ok)
		}
	}
	got, ok := readStat(os.Getpid())
	if !ok || got.parent != os.Getppid() || got.dead || got.start == 0 {
		t.Errorf("our own: got %+v %t", got, ok)
	}
}

func FuzzParseStat(f *testing.F) {
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Fuzz(func(_ *testing.T, line []byte) { parseStat(line) })
}

func TestSiginfoHasTheKernelsLayout(t *testing.T) {
	t.Parallel()
	var i siginfo
	if got, want := unsafe.Sizeof(i), unsafe.Sizeof(unix.Siginfo{}); got < want {
		t.Errorf("got %d bytes, the kernel writes %d", got, want)
	}
}
