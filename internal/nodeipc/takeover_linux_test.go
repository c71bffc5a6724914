package nodeipc

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load makes requests until stop is closed.
type load struct {
	done, failed atomic.Int64
	mu           sync.Mutex // guards errs
	errs         map[string]int
	wg           sync.WaitGroup
	stop         chan struct{}
}

func startLoad(t testing.TB, url string, clients int, keep bool) *load {
	l := &load{stop: make(chan struct{}), errs: map[string]int{}}
	for range clients {
		c := client(t, keep)
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				_, err := get(c, url)
				l.done.Add(1)
				if err != nil {
					l.failed.Add(1)
					l.mu.Lock()
					text := err.Error()
					l.errs[text[max(0, len(text)-40):]]++
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// end stops the load and returns what failed.
func (l *load) end() (requests, failed int64, errs map[string]int) {
	close(l.stop)
	l.wg.Wait()
	return l.done.Load(), l.failed.Load(), l.errs
}

// keeper holds what outlives daemons.
type keeper struct {
	t        *testing.T
	listener *os.File
	addr     string
	channels []*os.File
	procs    []*proc
	dir      string
	policy   string
	log      syncBuffer
	daemon   *exec.Cmd
}

func newKeeper(t *testing.T, node, policy string, workers int, env ...string) *keeper {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{t: t, addr: l.Addr().String(), dir: t.TempDir(), policy: policy}
	if k.listener, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, port, _ := net.SplitHostPort(k.addr)
	for i := range workers {
		p, ch := start(t, launch{
			node: node, args: []string{"testdata/takeover.js"}, cluster: true, id: i, preload: true,
			env: append([]string{"PORT=" + port}, env...),
		})
		k.procs, k.channels = append(k.procs, p), append(k.channels, ch)
	}
	t.Cleanup(func() {
		k.kill()
		k.listener.Close()
		for _, ch := range k.channels {
			ch.Close()
		}
		if t.Failed() {
			t.Logf("daemons: %s", k.log.String())
		}
	})
	return k
}

// start starts a daemon and waits until it has attached to the workers.
func (k *keeper) start() {
	k.t.Helper()
	k.daemon = exec.Command(os.Args[0])
	k.daemon.Env = append(os.Environ(), "PACELINE_TEST_HELPER=daemon", "DIR="+k.dir, "POLICY="+k.policy,
		"WORKERS="+strconv.Itoa(len(k.channels)), "GORACE=atexit_sleep_ms=0")
	k.daemon.ExtraFiles = append([]*os.File{k.listener}, k.channels...)
	k.daemon.Stderr = &k.log
	out, err := k.daemon.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.daemon.Start(); err != nil {
		k.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		k.t.Fatalf("daemon said %q: %v: %s", line, err, k.log.String())
	}
}

func (k *keeper) kill() {
	if k.daemon != nil {
		_ = k.daemon.Process.Kill()
		_ = k.daemon.Wait()
		k.daemon = nil
	}
}

type workerReport struct {
	PID, Heard, Churn, Handles int
	Error                      string
}

// reports asks every worker how it is, by connections until each has answered.
func (k *keeper) reports() map[int]workerReport {
	k.t.Helper()
	all, c := map[int]workerReport{}, client(k.t, false)
	for late := time.Now().Add(patience); len(all) < len(k.procs); {
		if time.Now().After(late) {
			k.t.Fatalf("only %d of %d workers answer", len(all), len(k.procs))
		}
		text, err := get(c, "http://"+k.addr+"/state")
		if err != nil {
			k.t.Fatal(err)
		}
		var r workerReport
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			k.t.Fatal(err)
		}
		all[r.PID] = r
	}
	return all
}

// TestDaemonKilled is our main promise: the daemon may be killed at any moment. Workers keep their
// processes, answer, get whole messages, and no message of theirs is lost.
func TestDaemonKilled(t *testing.T) {
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("PACELINE_KILLS")); err == nil {
		kills = n
	}
	node := anyNode(t)
	for _, policy := range []string{"handoff", "shared"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, node, policy, 2)
			k.start()
			k.reports()
			l := startLoad(t, "http://"+k.addr+"/", 4, false)
			kept := startLoad(t, "http://"+k.addr+"/", 2, true)
			var gap time.Duration
			for range kills {
				time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
				began := time.Now()
				k.kill()
				k.start()
				gap += time.Since(began)
			}
			requests, failed, errs := l.end()
			keptRequests, keptFailed, keptErrs := kept.end()
			t.Logf("%d kills (%v without a daemon each): %d of %d requests failed %v; kept connections: %d of %d %v",
				kills, (gap / time.Duration(kills)).Round(time.Millisecond), failed, requests, errs, keptFailed, keptRequests, keptErrs)
			// A connection is lost if the kill comes between accept and sendmsg.
			if allowed := map[string]int64{"handoff": int64(kills), "shared": 0}[policy]; failed > allowed {
				t.Errorf("%d requests failed, want at most %d", failed, allowed)
			}
			if keptFailed > 0 {
				t.Errorf("%d requests on kept connections failed: %v", keptFailed, keptErrs)
			}

			before := k.reports()
			for late := time.Now().Add(patience); ; {
				stuck := ""
				for pid, r := range k.reports() {
					if r.Error != "" {
						t.Errorf("worker %d: %s", pid, r.Error)
					}
					if r.Churn <= before[pid].Churn || r.Heard <= before[pid].Heard {
						stuck += fmt.Sprintf("worker %d: stuck after %d listens and %d messages\n", pid, r.Churn, r.Heard)
					}
				}
				if stuck == "" {
					break
				}
				if time.Now().After(late) {
					t.Fatal(stuck)
				}
			}
			for _, p := range k.procs {
				if !p.alive() {
					t.Errorf("worker %d died: %s", p.pid(), p.out.String())
				}
			}
			checkMessages(t, filepath.Join(k.dir, "messages"))
			if strings.Contains(k.log.String(), "torn") {
				t.Errorf("daemons: %s", k.log.String())
			}
		})
	}
}

// checkMessages wants every worker's messages 1, 2, 3... in the log, each at least once, and the
// first of each in order.
func checkMessages(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last, repeated := map[string]int{}, 0
	for s := bufio.NewScanner(f); s.Scan(); {
		var worker string
		var n int
		if _, err := fmt.Sscan(s.Text(), &worker, &n); err != nil {
			continue // the kill came while it was logged
		}
		switch {
		case n <= last[worker]:
			repeated++
		case n != last[worker]+1:
			t.Errorf("worker %s: message %d follows %d", worker, n, last[worker])
			fallthrough
		default:
			last[worker] = n
		}
	}
	t.Logf("messages %v, %d of them twice", last, repeated)
}
