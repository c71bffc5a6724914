package jseval

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// stdinName stands for a text without a file, in the folder where it is evaluated.
const stdinName = "[stdin]"

// Main is the child: one request from stdin, the answer to stdout. It returns an
// error if there is no talking with the parent; what is wrong with the config is
// part of the answer.
func Main(stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the request: %w; %s is not for the command line", err, Role)
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if err := confine(req.MemoryBytes, req.Timeout); err != nil {
		return err
	}
	follow(in)
	var failed error
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false) // the value stays as JSON.stringify writes it
	send := func(a answer) {
		failed = errors.Join(failed, out.Encode(a))
	}
	send(newEngine(req, send).evaluate())
	return failed
}
