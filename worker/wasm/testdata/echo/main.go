// Command echo is a guest for the tests: what it does is its first argument.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"paceline/worker/wasm/guest"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run(what string) error {
	switch what {
	case "sort":
		for {
			list, err := guest.Receive[[]int]()
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			sort.Ints(list)
			if err := guest.Post(list); err != nil {
				return err
			}
		}
	case "v8":
		v, err := guest.Receive[map[string]any]()
		if err != nil {
			return err
		}
		v["seen"] = true
		return guest.PostV8(v)
	case "environment":
		list, err := os.ReadDir("/")
		names := []string{}
		for _, e := range list {
			names = append(names, e.Name())
		}
		text, readErr := os.ReadFile("/greeting.txt")
		writeErr := os.WriteFile("/new.txt", nil, 0o600)
		fmt.Fprintf(os.Stderr, "%d arguments\n%q\n", len(os.Args), os.Environ())
		return guest.Post(map[string]any{
			"args": os.Args, "env": os.Environ(), "files": names, "listed": err == nil,
			"text": string(text), "read": readErr == nil, "wrote": writeErr == nil,
		})
	case "exit":
		os.Exit(7)
	case "panic":
		panic("so it is")
	case "text":
		fmt.Println("this is no message")
		select {}
	case "sleep":
		time.Sleep(time.Hour)
	case "wait":
		_, err := guest.Receive[int]()
		return err
	case "memory":
		var all [][]byte
		for i := range 1 << 20 {
			b := make([]byte, 1<<20)
			for j := 0; j < len(b); j += 4096 {
				b[j] = byte(i)
			}
			all = append(all, b)
		}
		return fmt.Errorf("%d MiB", len(all))
	case "flood":
		for {
			if err := guest.Post(make([]byte, 2<<10)); err != nil {
				return err
			}
		}
	case "spin":
		n := 0
		for {
			n++
		}
	}
	return nil
}
