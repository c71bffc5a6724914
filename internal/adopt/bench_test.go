//go:build linux

package adopt

import (
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// BenchmarkUntrappedCall is what the filter costs calls that it does not stop: getppid
// is one of those that leave at once, shutdown(SHUT_WR) the one that is looked at the
// longest.
func BenchmarkUntrappedCall(b *testing.B) {
	for name, call := range map[string][3]uintptr{
		"getppid": {unix.SYS_GETPPID}, "shutdown": {unix.SYS_SHUTDOWN, ^uintptr(0), unix.SHUT_WR},
	} {
		loop := func(b *testing.B) {
			for b.Loop() {
				_, _, _ = unix.RawSyscall(call[0], call[1], call[2], 0)
			}
		}
		b.Run(name+"/free", func(b *testing.B) {
			done := make(chan struct{})
			kernel.OnOwnThread(func() {
				defer close(done)
				loop(b)
			})
			<-done
		})
		b.Run(name+"/trapped", func(b *testing.B) {
			newTrap(b).do(func() { loop(b) })
		})
	}
}

// BenchmarkCall is a stopped call from the program's side: a listen that the handler
// carries out, and a shutdown of a connection's socket, which passes.
func BenchmarkCall(b *testing.B) {
	for _, word := range []string{"listen", "shutdown"} {
		b.Run(word, func(b *testing.B) {
			tr := newTrap(b)
			tr.serve(&fake{})
			p := tr.start(self(b, "repeat", word, addressOf(b).String(), fmt.Sprint(max(b.N, 100))))
			b.ResetTimer()
			b.Log(p.all())
		})
	}
}

// BenchmarkStart starts programs.
func BenchmarkStart(b *testing.B) {
	run := func(b *testing.B, start func(*exec.Cmd) error) {
		for b.Loop() {
			cmd := exec.Command("/bin/true")
			if err := start(cmd); err != nil {
				b.Fatal(err)
			}
			_ = cmd.Wait()
		}
	}
	b.Run("free", func(b *testing.B) { run(b, (*exec.Cmd).Start) })
	b.Run("trapped", func(b *testing.B) {
		tr := newTrap(b)
		run(b, func(cmd *exec.Cmd) (err error) {
			tr.do(func() { err = cmd.Start() })
			return err
		})
	})
}
