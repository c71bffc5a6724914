package nodeipc

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAgainstNode compares with Node's own cluster primary, each in a process of its own with
// the same two workers, a connection per request, 64 at a time. The two take turns, so that a busy
// machine is busy for both; x-node is the median of the rounds' ratios of requests per second.
//
//	go test -run xxx -bench AgainstNode -benchtime 5x ./internal/nodeipc    # 5 rounds
func BenchmarkAgainstNode(b *testing.B) {
	node := anyNode(b)
	for _, policy := range []string{"rr", "none"} {
		b.Run(policy, func(b *testing.B) {
			var ours, theirs, ratios []float64
			for range b.N {
				n := requestsPerSecond(b, policy, node, "testdata/primary.js")
				p := requestsPerSecond(b, policy, os.Args[0])
				theirs, ours, ratios = append(theirs, n), append(ours, p), append(ratios, p/n)
			}
			b.ReportMetric(median(ours), "req/s")
			b.ReportMetric(median(theirs), "node-req/s")
			b.ReportMetric(median(ratios), "x-node")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func requestsPerSecond(b *testing.B, policy string, argv ...string) float64 {
	const seconds = 2
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "WORKERS=2", "APP=testdata/server.js", "POLICY="+policy, "NODE="+anyNode(b))
	if len(argv) == 1 {
		cmd.Env = append(cmd.Env, "PACELINE_TEST_HELPER=primary")
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close() // ends it
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	addr := "127.0.0.1:" + strings.TrimSpace(port)
	var done atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(seconds * time.Second)
	for range 64 {
		wg.Go(func() {
			for time.Now().Before(end) {
				if request(addr) == nil {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / seconds
}

// request is as little work for the client as it can be.
func request(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// BenchmarkHandOff is what the primary itself does for a connection: accept, send, read two lines,
// close. The worker's and the client's part are in it too.
func BenchmarkHandOff(b *testing.B) {
	p, _ := newPrimary(b, true)
	x := attachPeer(b, p, nil, nil)
	addr := x.listen(anyPort).addr()
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		x.reply(x.take(patience), true)
		c.Close()
	}
}

func BenchmarkParseAck(b *testing.B) {
	line := []byte(`{"cmd":"NODE_CLUSTER","ack":1795467211598893,"accepted":true,"seq":12345}`)
	b.ReportAllocs()
	for b.Loop() {
		if m := parseLine(line); m.kind != msgAck {
			b.Fatal(m.kind)
		}
	}
}
