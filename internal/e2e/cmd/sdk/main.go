// Command sdk is a server with package cluster, for tests and measurements.
//
//	sdk                 uses all of it: HTTP on $PORT over TCP, $SOCK over unix, and an
//	                    echo over UDP on $PORT; with $WORKERS it is its own primary
//	sdk bench SHARING   only HTTP on $PORT, by two workers that share it: shared,
//	                    round-robin, or reuseport, where each has a socket of its own
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"paceline/cluster"
)

func main() {
	f := run
	if len(os.Args) == 3 && os.Args[1] == "bench" {
		f = func() error { return bench(os.Args[2]) }
	}
	if err := f(); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// bench differs in nothing but how the port is shared.
func bench(sharing string) error {
	if cluster.IsPrimary() {
		o := cluster.Options{Workers: 2}
		if sharing == "shared" {
			o.Balance = cluster.Shared
		}
		p, err := cluster.NewPrimary(o)
		if err != nil {
			return err
		}
		return p.Run(cluster.Context())
	}
	listen := cluster.Listen
	if sharing == "reuseport" {
		listen = ownSocket
	}
	l, err := listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return cluster.Serve(&http.Server{Handler: handler()}, l, cluster.Drain{})
}

// ownSocket is a listener of the process's own, with SO_REUSEPORT. Its TCP is plain, as
// that of a shared socket is: Go's default would be MPTCP.
func ownSocket(network, addr string) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		ctlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), network, addr)
}

func handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d\n", os.Getpid()) //nolint:errcheck // the client may have left
	})
}

func run() error {
	if cluster.IsPrimary() && os.Getenv("WORKERS") != "" {
		p, err := cluster.NewPrimary(cluster.Options{Workers: 2})
		if err != nil {
			return err
		}
		return p.Run(cluster.Context())
	}
	tcp, err := cluster.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	local, err := cluster.Listen("unix", os.Getenv("SOCK"))
	if err != nil {
		return err
	}
	udp, err := cluster.ListenPacket("udp", ":"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := udp.WriteTo(buf[:n], from); err != nil {
				log.Print(err)
			}
		}
	}()
	other := make(chan error, 1)
	go func() { other <- cluster.Serve(&http.Server{Handler: handler()}, local, cluster.Drain{}) }()
	if err := cluster.Send(map[string]any{
		"worker": cluster.IsWorker(), "index": cluster.Index(), "channel": os.Getenv("NODE_CHANNEL_FD"),
	}); err != nil {
		return err
	}
	if err := cluster.Ready(); err != nil {
		return err
	}
	if err := cluster.Serve(&http.Server{Handler: handler()}, tcp, cluster.Drain{}); err != nil {
		return err
	}
	log.Print("served all")
	return <-other
}
