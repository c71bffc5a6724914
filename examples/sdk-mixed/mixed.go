// Command mixed is a Go primary whose workers run in Node and in Go, on one port.
//
//	go build -o mixed mixed.go
//	./mixed
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"paceline/cluster"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	if cluster.IsWorker() {
		http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "process %d, in Go\n", os.Getpid())
		})
		if err := cluster.ListenAndServe("tcp", ":"+port, nil); err != nil {
			log.Fatal(err)
		}
		return
	}

	// The workers run a shell line: whatever it executes has the channel. The place of the
	// worker, which its successors keep, decides.
	exe, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	primary, err := cluster.NewPrimary(cluster.Options{
		Program: "sh",
		Args:    []string{"-c", `if [ $((NODE_APP_INSTANCE % 2)) = 0 ]; then exec node worker.js; else exec "$0"; fi`, exe},
		Env:     []string{"PORT=" + port},
		Workers: 4,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := cluster.Context()
	events := primary.Events(ctx)
	go func() {
		for e := range events {
			switch e.Kind {
			case cluster.Listening:
				log.Printf("worker %d listens on %v", e.Worker.ID(), e.Addr)
			case cluster.Message:
				log.Printf("worker %d says %s", e.Worker.ID(), e.Message)
			case cluster.Exited:
				log.Printf("worker %d ended with %v", e.Worker.ID(), e.Exit)
			}
		}
	}()
	if err := primary.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
