// Command cluster is the course's cluster server in Go: a primary that forks a worker for
// each CPU, and workers that answer on one port.
//
//	go build -o cluster cluster.go
//	./cluster                      its own primary, a worker for each CPU
//	pace start ./cluster -i max    Paceline is the primary, the first branch stays idle
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"paceline/cluster"
)

func main() {
	if cluster.IsPrimary() {
		primary, err := cluster.NewPrimary(cluster.Options{})
		if err != nil {
			log.Fatal(err)
		}
		log.Printf("primary %d is running", os.Getpid())
		if err := primary.Run(cluster.Context()); err != nil { // until SIGINT or SIGTERM
			log.Fatal(err)
		}
		return
	}

	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d\n", os.Getpid())
	})
	http.HandleFunc("GET /timer", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.FormValue("ms"))
		if err != nil {
			ms = 9000
		}
		for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); { // busy
		}
		fmt.Fprintf(w, "process %d was busy for %d ms\n", os.Getpid(), ms)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	log.Printf("worker %d is process %d", cluster.ID(), os.Getpid())
	if err := cluster.ListenAndServe("tcp", ":"+port, nil); err != nil {
		log.Fatal(err)
	}
}
