package nodeipc

import (
	"io"
	"net/http"
	"testing"
)

// client makes a connection per request unless it keeps them.
func client(t testing.TB, keep bool) *http.Client {
	tr := &http.Transport{DisableKeepAlives: !keep, MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func modes(t *testing.T, f func(t *testing.T, handOff bool)) {
	t.Run("handoff", func(t *testing.T) { f(t, true) })
	t.Run("shared", func(t *testing.T) { f(t, false) })
}

func TestServesHTTP(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		modes(t, func(t *testing.T, handOff bool) {
			a := newApp(t, handOff, launch{node: node, args: []string{"testdata/server.js"}, preload: true})
			a.forkN(2)
			c, pids := client(t, false), map[string]int{}
			for range 40 {
				pid, err := get(c, "http://"+a.addr())
				if err != nil {
					t.Fatal(err)
				}
				pids[pid]++
			}
			if handOff {
				for pid, n := range pids {
					if n != 20 {
						t.Errorf("worker %s answered %d of 40 requests, want 20: %v", pid, n, pids)
					}
				}
			}
			for _, w := range a.workers {
				if err := w.Disconnect(); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range a.workers {
				w.ev.kind(Closed)
				w.ev.kind(Disconnected)
				if err := w.wait(patience); err != nil {
					t.Errorf("worker ended with %v, want exit 0", err)
				}
			}
		})
	})
}
