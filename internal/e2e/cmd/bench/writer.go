package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// writerWord makes this program play the writer: bench __write SOCKET STYLE LINES.
const writerWord = "__write"

// The styles of a writer.
const (
	fast  = "fast"  // as fast as memory is, in blocks of 64 KiB: what no program with work to do is
	plain = "plain" // formats each line and writes blocks of 4 KiB, as C's stdio does
)

// lineLength is the length of a writer's line, with its newline.
const lineLength = 100

// runWriter connects to the socket, waits for the word to begin, and writes its
// lines as fast as it can. That the connection closes says that it is done.
func runWriter(args []string, stdout, stderr io.Writer) int {
	if err := writer(args, stdout); err != nil {
		complain(stderr, err)
		return 1
	}
	return 0
}

func writer(args []string, stdout io.Writer) error {
	if len(args) != 3 {
		return errors.New("the writer wants a socket, a style and a number of lines")
	}
	lines, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	gate, err := net.DialTimeout("unix", args[0], 10*time.Second) //nolint:noctx // it has nothing to be cancelled by
	if err != nil {
		return err
	}
	defer gate.Close() //nolint:errcheck // it ends with the process
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		return err
	}
	if args[1] == plain {
		w := bufio.NewWriterSize(stdout, 4<<10)
		for n := range lines {
			if _, err := fmt.Fprintf(w, "%s%0*d\n", words, digits, n); err != nil {
				return err
			}
		}
		return w.Flush()
	}
	w := bufio.NewWriterSize(stdout, 64<<10)
	line := numbered(0)
	for range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
		count(line)
	}
	return w.Flush()
}

// words are what all lines have in common.
const words = "GET /customers/4711/orders 200: the quick brown fox jumps over the lazy dog, and again. "

// digits is where a line's number is, from its end: in front of a newline.
const digits = lineLength - 1 - len(words)

// numbered is the nth line of a writer. The number is its last word.
func numbered(n int) []byte {
	return fmt.Appendf(make([]byte, 0, lineLength), "%s%0*d\n", words, digits, n)
}

// count adds one to the number in a line, much faster than writing it anew.
func count(line []byte) {
	for i := len(line) - 2; i >= len(line)-1-digits; i-- {
		if line[i] < '9' {
			line[i]++
			return
		}
		line[i] = '0'
	}
}
