// Command server is an HTTP server whose slow routes run on a pool of workers, so that / stays fast.
//
//	go run ./examples/sdk-pool              with the pool
//	go run ./examples/sdk-pool -pool=false  the same without, to see the difference
package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"paceline/worker"
)

func main() {
	onPool := flag.Bool("pool", true, "run the slow routes on a pool")
	workers := flag.Int("workers", 0, "workers of the pool; 0: one for each processor")
	queue := flag.Int("queue", 256, "requests that may wait for a worker; more are refused")
	background := flag.Bool("background", true, "have the workers give way to the rest of the server")
	flag.Parse()

	var pool *worker.Pool
	if *onPool {
		options := []worker.PoolOption{
			worker.PoolWorkers(0, *workers),
			worker.PoolQueue(*queue),
			worker.PoolWhenFull(worker.PoolFail), // who cannot be served soon is told at once
		}
		if *background {
			options = append(options, worker.PoolBackground())
		}
		var err error
		pool, err = worker.NewPool(options...)
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := serve(pool); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until a signal asks to end; those that have begun are finished.
func serve(pool *worker.Pool) error {
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(pool), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err := server.Shutdown(limit)
		if pool != nil {
			err = errors.Join(err, pool.Close(limit))
		}
		ended <- err
	}()
	log.Printf("process %d listens on %s", os.Getpid(), listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func routes(pool *worker.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d\n", os.Getpid())
	})
	mux.Handle("GET /json", slow(pool, 100_000, large))
	mux.Handle("GET /sort", slow(pool, 1_000_000, sorted))
	mux.Handle("GET /pbkdf2", slow(pool, 100_000, derived))
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		if pool == nil {
			http.Error(w, "there is no pool", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(pool.Stats()); err != nil {
			log.Print(err)
		}
	})
	return mux
}

// slow makes a handler of work whose amount is asked for with ?n=, on the pool if
// there is one. Work for the pool returns what it has made: it does not write to w, as
// it may go on when the client has gone and the handler has returned.
func slow(pool *worker.Pool, amount int, work func(n int) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n < 1 {
			n = amount
		}
		var body []byte
		if pool == nil {
			body, err = work(n)
		} else {
			body, err = worker.Run(r.Context(), pool, func(context.Context) ([]byte, error) { return work(n) })
		}
		switch {
		case errors.Is(err, worker.ErrPoolFull):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy; try again", http.StatusServiceUnavailable)
		case r.Context().Err() != nil: // nobody is there to be answered
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			if _, err := w.Write(body); err != nil {
				log.Print(err)
			}
		}
	})
}

// large is the JSON of an object with n members.
func large(n int) ([]byte, error) {
	object := make(map[string]int, n)
	for i := range n {
		object["key "+strconv.Itoa(i)] = i
	}
	return json.Marshal(object)
}

// sorted sorts n numbers, and tells the least and the greatest.
func sorted(n int) ([]byte, error) {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	rand.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.Sort(list)
	return fmt.Appendf(nil, "sorted %d numbers, %d to %d\n", n, list[0], list[n-1]), nil
}

// derived is a key by n rounds of PBKDF2, as slow as a stored password should be to try.
func derived(n int) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, "password", []byte("salt"), n, 32)
	return fmt.Appendf(nil, "%x\n", key), err
}
