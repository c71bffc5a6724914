// Command server is Go's net/http, as it is, or with -graceful the shutdown from
// its documentation. Each answer takes DELAY ms.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	graceful := flag.Bool("graceful", false, "finish the requests at a signal")
	flag.Parse()
	delay, _ := strconv.Atoi(os.Getenv("DELAY"))
	text := fmt.Sprintf("instance %s process %d\n", os.Getenv("NODE_APP_INSTANCE"), os.Getpid())
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(delay) * time.Millisecond)
		fmt.Fprint(w, text)
	})
	server := &http.Server{Addr: ":" + os.Getenv("PORT")}
	if !*graceful {
		log.Fatal(server.ListenAndServe())
	}
	done := make(chan error)
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		<-signals
		done <- server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}
