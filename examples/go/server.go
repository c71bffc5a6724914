// Command server is the smallest Go server that shows what a process manager is for.
//
//	go build -o server server.go
//	./server                      one process
//	pace start ./server -i 4      four, all on the same port
//
// Nothing in it knows about Paceline, about clusters or about signals.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

// busy keeps one goroutine computing. In Go that is not the whole process: the
// runtime interrupts it every 10 ms, also with GOMAXPROCS=1, and goes on
// answering others. The core that it takes is taken, though.
func busy(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	pid := os.Getpid()

	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d\n", pid)
	})
	http.HandleFunc("GET /timer", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.FormValue("ms"))
		if err != nil {
			ms = 9000
		}
		busy(time.Duration(ms) * time.Millisecond)
		fmt.Fprintf(w, "process %d was busy for %d ms\n", pid, ms)
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not found; try / or /timer?ms=9000", http.StatusNotFound)
	})

	log.Printf("process %d listens on port %s", pid, port)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
