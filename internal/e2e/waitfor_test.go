package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"paceline/internal/e2e/proc"
)

// waitfor file FILE PATTERN | gone PID... | restarts ID N | status NAME STATE | list PATTERN | show TARGET PATTERN | answer PORT PATTERN | listen PORT | refused PORT | api PATH PATTERN
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "waitfor file|gone|restarts|status|list|answer|listen|refused|api ...")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	last := ""
	poll := func(done func() bool) {
		if err := proc.Poll(ctx, 10*time.Millisecond, func() (bool, error) { return done(), nil }); (err != nil) != neg {
			ts.Fatalf("waitfor %s: %v; last seen:\n%s", strings.Join(args, " "), err, last)
		}
	}
	switch args[0] {
	case "file":
		need(ts, args, 3, "waitfor file FILE PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		poll(func() bool {
			text, err := tail(ts.MkAbs(args[1]), 16<<10)
			last = string(text[max(0, len(text)-2000):])
			return err == nil && pattern.Match(text)
		})
	case "api":
		need(ts, args, 3, "waitfor api PATH PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(stateOf(ts).home, "pace.sock"))
			},
		}}
		poll(func() bool {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pace"+args[1], nil)
			ts.Check(err)
			response, err := client.Do(request)
			if err != nil {
				last = err.Error()
				return false
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			last = string(text)
			return err == nil && response.StatusCode == http.StatusOK && pattern.Match(text)
		})
		fmt.Fprintln(ts.Stdout(), last)
	case "gone":
		for word := range strings.FieldsSeq(strings.Join(args[1:], " ")) {
			pid, err := strconv.Atoi(word)
			ts.Check(err)
			poll(func() bool { return !proc.Alive(pid) })
		}
	case "restarts":
		need(ts, args, 3, "waitfor restarts ID N")
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		poll(func() bool {
			for _, in := range instances(ts) {
				last = fmt.Sprintf("%+v", in)
				if strconv.Itoa(in.ID) == args[1] && in.Env.Restarts >= n && in.PID != 0 {
					return true
				}
			}
			return false
		})
	case "status":
		need(ts, args, 3, "waitfor status NAME STATE")
		poll(func() bool {
			found := false
			for _, in := range instances(ts) {
				if in.Name != args[1] {
					continue
				}
				last = fmt.Sprintf("%+v", in)
				if found = strings.HasPrefix(in.Env.Status, args[2]); !found {
					return false
				}
			}
			return found
		})
	case "list":
		pattern, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		poll(func() bool {
			out, err := pace(ts, "list")
			ts.Check(err)
			last = string(out)
			return pattern.Match(out)
		})
	case "show":
		need(ts, args, 3, "waitfor show TARGET PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		poll(func() bool {
			out, err := pace(ts, "show", args[1])
			ts.Check(err)
			last = string(out)
			return pattern.Match(out)
		})
	case "answer":
		need(ts, args, 3, "waitfor answer PORT PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		poll(func() bool {
			response, err := client.Get("http://127.0.0.1:" + args[1])
			if err != nil {
				last = err.Error()
				return false
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			last = string(body)
			return err == nil && pattern.Match(body)
		})
	case "listen", "refused":
		poll(func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+args[1])
			if err == nil {
				conn.Close()
			}
			return (err == nil) == (args[0] == "listen")
		})
	default:
		ts.Fatalf("waitfor %s: unknown", args[0])
	}
}

// tail reads the end of a file.
func tail(name string, size int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(max(0, info.Size()-size), io.SeekStart)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}
