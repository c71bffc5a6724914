//go:build linux

package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"paceline/cluster"
)

// A program that is its own primary, with a worker for each CPU. Under `pace start -i` the
// first branch is never taken.
func Example() {
	main := func() {
		if cluster.IsPrimary() {
			primary, err := cluster.NewPrimary(cluster.Options{})
			if err != nil {
				log.Fatal(err)
			}
			if err := primary.Run(cluster.Context()); err != nil {
				log.Fatal(err)
			}
			return
		}
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "process %d\n", os.Getpid())
		})
		log.Fatal(cluster.ListenAndServe("tcp", ":3000", nil))
	}
	_ = main // which would not end
}

// exampleOptions make this test's binary a web server on a port that the kernel chooses.
func exampleOptions() cluster.Options { return self("web", "PORT=0") }

// Forking workers by hand, and replacing them without a failed request.
func ExamplePrimary_Reload() {
	ctx := context.Background()
	primary, err := cluster.NewPrimary(exampleOptions())
	if err != nil {
		log.Fatal(err)
	}
	defer primary.Close()
	for range 2 {
		worker, err := primary.Fork()
		if err != nil {
			log.Fatal(err)
		}
		if err := worker.WaitReady(ctx); err != nil {
			log.Fatal(err)
		}
	}
	if err := primary.Reload(ctx); err != nil {
		log.Fatal(err)
	}
	for _, worker := range primary.Workers() {
		response, err := http.Get("http://" + worker.Listens()[0])
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println("worker", worker.ID(), "in place", worker.Index(), response.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := primary.Disconnect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(primary.Workers()), "workers left")
	// Output:
	// worker 3 in place 0 200 OK
	// worker 4 in place 1 200 OK
	// 0 workers left
}

// Messages go both ways as JSON.
func ExampleWorker_Send() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	primary, err := cluster.NewPrimary(exampleOptions())
	if err != nil {
		log.Fatal(err)
	}
	defer primary.Close()
	events := primary.Events(ctx)
	worker, err := primary.Fork()
	if err != nil {
		log.Fatal(err)
	}
	for e := range events {
		switch e.Kind {
		case cluster.Forked, cluster.Online:
			fmt.Println(e.Kind)
		case cluster.Listening:
			fmt.Println(e.Kind)
			if err := worker.Send(map[string]string{"say": "hello"}); err != nil {
				log.Fatal(err)
			}
		case cluster.Message: // the worker echoes: for m := range cluster.Messages(ctx) { ... cluster.Send(...) }
			var m struct{ Echo struct{ Say string } }
			if err := json.Unmarshal(e.Message, &m); err != nil {
				log.Fatal(err)
			}
			fmt.Println(e.Kind, m.Echo.Say)
			cancel()
		}
	}
	// Output:
	// fork
	// online
	// listening
	// message hello
}

// Without a primary everything is as if the package were not there.
func ExampleListen() {
	listener, err := cluster.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	fmt.Println(cluster.IsPrimary(), cluster.ID(), listener.Addr().Network())
	fmt.Println(cluster.Send("hello"))
	// Output:
	// true 0 tcp
	// send to primary: no primary: the process was started without a channel
}
