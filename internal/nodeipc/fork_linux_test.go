package nodeipc

import (
	"os/exec"
	"strings"
	"testing"
)

func TestForkMode(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		p, ch := start(t, launch{node: node, args: []string{"testdata/fork.js"}, preload: true})
		ev := newEvents(t)
		w, err := Attach(WorkerOptions{Channel: ch, Event: ev.add})
		if err != nil {
			t.Fatal(err)
		}
		ev.kind(Ready)
		for _, m := range []string{`{"a":[1,"\ud800",12345678901234567890]}`, `"text"`, `5`, `null`, `true`, "\"\\u0000\"\n"} {
			if err := w.Send([]byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		// The app sends each back; then connections, and more messages behind them.
		for _, m := range []string{`{"a":[1,"\ud800",12345678901234567000]}`, `"text"`, `5`, `null`, `true`, `"\u0000"`} {
			ev.message(m)
		}
		w.Send([]byte(`"sockets"`))
		ev.message(`{"socket":1}`)
		ev.message(`{"socket":2}`)
		ev.message(`{"closed":true}`) // Node asks us whether they have ended
		w.Send([]byte(`"big"`))
		ev.wait("a big message", 1, func(e Event) bool { return e.Kind == Message && len(e.Message) > 3<<20 })
		if err := w.Disconnect(); err != nil {
			t.Fatal(err)
		}
		ev.kind(Disconnected)
		if err := p.wait(patience); err == nil || p.cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("app ended with %v, want its own exit code 7 after 'disconnect'", err)
		}
		w.Close()
	})
}

// A fork mode app that never uses the channel must end when its work is done: the preload does not
// keep it alive.
func TestPreloadDoesNotKeepAlive(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		for _, args := range [][]string{
			{"testdata/nothing.js"}, {"testdata/nothing.mjs"}, {"--import", "./testdata/nothing.mjs", "testdata/nothing.mjs"},
		} {
			p, ch := start(t, launch{node: node, args: args, preload: true})
			ev := newEvents(t)
			w, err := Attach(WorkerOptions{Channel: ch, Event: ev.add})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.wait(patience); err != nil {
				t.Errorf("%v: %v", args, err)
			}
			ev.kind(Disconnected)
			w.Close()
		}
		// Without a channel it does nothing.
		out, err := exec.Command(node, "--require", preloadFile(t), "-p", "process.listenerCount('internalMessage')").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "0" {
			t.Errorf("without a channel: %v, %s listeners, want 0", err, out)
		}
	})
}
