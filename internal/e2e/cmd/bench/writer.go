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

// writerWord makes this program play the writer: bench __write SOCKET NAME LINES.
const writerWord = "__write"

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
		return errors.New("the writer wants a socket, a name and a number of lines")
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
	w := bufio.NewWriterSize(stdout, 64<<10)
	line := numbered(args[1], 0)
	for range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
		count(line)
	}
	return w.Flush()
}

// digits is where a line's number is, from its end: in front of a newline.
const digits = 12

// numbered is the nth line of a writer. The number is its last word.
func numbered(name string, n int) []byte {
	line := fmt.Appendf(make([]byte, 0, lineLength), "%s: the quick brown fox jumps over the lazy dog", name)
	for len(line) < lineLength-digits-1 {
		line = append(line, '.')
	}
	return fmt.Appendf(line[:lineLength-digits-1], "%0*d\n", digits, n)
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
