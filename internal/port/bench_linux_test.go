package port

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkConnections compares ways to share a port between two processes, one
// connection per request: round robin in the kernel with the stuck rule, one
// shared socket, and plain SO_REUSEPORT without any of us. The ways take turns, so
// that what else the machine does hits all of them: read the medians and ratios.
func BenchmarkConnections(b *testing.B) {
	const turns, length, clients = 5, time.Second, 16
	ways := []struct {
		name  string
		start func(b *testing.B) net.Addr
	}{
		{"kernel", func(b *testing.B) net.Addr {
			g, _ := serve(b, newSet(b, Options{}), loopback, 2)
			needKernel(b, g)
			return g.Addr()
		}},
		{"shared", func(b *testing.B) net.Addr {
			g, _ := serve(b, newSet(b, Options{Policy: Shared}), loopback, 2)
			return g.Addr()
		}},
		{"plain", func(b *testing.B) net.Addr { return plainReusePort(b, 2) }},
	}
	addrs := make([]net.Addr, len(ways))
	for i, way := range ways {
		addrs[i] = way.start(b)
	}
	for b.Loop() {
		rates := make([][]float64, len(ways))
		for range turns {
			for i := range ways {
				n := hammer(b, addrs[i], clients, length)
				rates[i] = append(rates[i], float64(n)/length.Seconds())
			}
		}
		for i, way := range ways {
			slices.Sort(rates[i])
			b.ReportMetric(rates[i][turns/2], way.name+"-req/s")
			b.ReportMetric(rates[i][turns-1], way.name+"-best")
		}
	}
}

func plainReusePort(b *testing.B, n int) net.Addr {
	b.Helper()
	var addr net.Addr
	var to unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	for i := range n {
		fd, err := bindTCP(to, false, true)
		if err != nil {
			b.Fatal(err)
		}
		if to, addr, err = boundTo(fd, "tcp"); err != nil {
			b.Fatal(err)
		}
		if err := listen(fd, defaultBacklog); err != nil {
			b.Fatal(err)
		}
		f, err := fileOf(fd, "plain")
		if err != nil {
			b.Fatal(err)
		}
		_ = unix.Close(fd)
		startServer(b, strconv.Itoa(i), f)
	}
	return addr
}

// hammer returns how many requests clients that wait for their answer make.
func hammer(b *testing.B, addr net.Addr, clients int, d time.Duration) int {
	var n atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range clients {
		wg.Go(func() {
			for time.Now().Before(end) {
				if _, err := request(addr); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return int(n.Load())
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWatch measures what the stuck rule costs the daemon: apps with two
// slots each, quiet, or with connections to some of them.
func BenchmarkWatch(b *testing.B) {
	for _, c := range []struct{ apps, rate int }{{100, 0}, {100, 100}, {100, 1000}, {1, 1000}} {
		b.Run(fmt.Sprintf("%d-apps-%d-per-s", c.apps, c.rate), func(b *testing.B) {
			w, err := NewWatch()
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			var addrs []string
			for i := range c.apps {
				s := newSet(b, Options{Watch: w})
				defer s.Close()
				for slot := range 2 {
					l := mustOpen(b, s, Address{Network: "tcp4", Host: "127.0.0.1", Nth: i}, slot)
					needKernel(b, l.Group)
					addrs = append(addrs, l.Group.Addr().String())
					if slot == 0 && i < 8 || c.apps == 1 {
						startServer(b, strconv.Itoa(i), l.File)
					} else {
						_ = l.File.Close()
					}
					if slot == 0 || c.apps == 1 {
						s.Use(slot, true)
					}
				}
			}
			client := helper("client", "ADDR="+addrs[0], "RATE="+strconv.Itoa(c.rate))
			stdin, err := client.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := client.Start(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				const length = 3 * time.Second
				before := cpuTime()
				time.Sleep(length)
				b.ReportMetric(100*float64(cpuTime()-before)/float64(length), "%core")
			}
			_ = stdin.Close()
			_ = client.Wait()
		})
	}
}
