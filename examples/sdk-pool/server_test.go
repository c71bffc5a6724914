package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"paceline/worker"
)

// build makes the program as a user would.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

var address = regexp.MustCompile(`listens on \S*?:(\d+)\n`)

// start runs the program on a free port, until the test ends.
func start(t *testing.T, bin string, args ...string) (url string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "PORT=0")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	match := address.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("%q (%v), want its address", line, err)
	}
	go io.Copy(io.Discard, lines) // ends with the program
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended already
		cmd.Wait()
	})
	return "http://127.0.0.1:" + match[1], cmd
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	bin := build(t)
	t.Run("routes", func(t *testing.T) { testRoutes(t, bin) })
	t.Run("busy", func(t *testing.T) { testBusy(t, bin) })
}

func testRoutes(t *testing.T, bin string) {
	for name, args := range map[string][]string{"pool": nil, "no pool": {"-pool=false"}} {
		t.Run(name, func(t *testing.T) {
			url, cmd := start(t, bin, args...)
			for path, want := range map[string]string{
				"/":         "process ",
				"/json?n=2": `{"key 0":0,"key 1":1}`,
				"/sort?n=9": "sorted 9 numbers, 0 to 8\n",
				// By another implementation, Python's hashlib.
				"/pbkdf2?n=1": "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b\n",
			} {
				if code, body := get(t, url+path); code != http.StatusOK || !strings.HasPrefix(body, want) {
					t.Errorf("%s: %d %q, want %q", path, code, body, want)
				}
			}
			code, body := get(t, url+"/stats")
			if name != "pool" {
				if code != http.StatusNotFound {
					t.Errorf("stats: %d, want none", code)
				}
			} else {
				var s worker.PoolStats
				if err := json.Unmarshal([]byte(body), &s); err != nil || s.Submitted != 3 {
					t.Errorf("stats: %s (%v), want 3 submitted", body, err)
				}
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}

// With its only worker busy the server answers /, and refuses at once what it cannot do.
func testBusy(t *testing.T, bin string) {
	url, _ := start(t, bin, "-workers", "1", "-queue", "0")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/pbkdf2?n=2000000000", nil) // it is killed long before
		if err == nil {
			var resp *http.Response
			if resp, err = http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
		}
		done <- err
	}()
	stats := func() (s worker.PoolStats) {
		_, body := get(t, url+"/stats")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for begun := time.Now(); stats().Running == 0; {
		select {
		case err := <-done:
			t.Fatalf("the slow request: %v", err)
		default:
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("the slow request does not run")
		}
	}
	if code, body := get(t, url+"/sort"); code != http.StatusServiceUnavailable {
		t.Errorf("/sort: %d %q, want 503", code, body)
	}
	if code, _ := get(t, url+"/"); code != http.StatusOK {
		t.Errorf("/: %d", code)
	}
	if s := stats(); s.Running != 1 || s.Refused != 1 {
		t.Errorf("%d running, %d refused, want 1 and 1", s.Running, s.Refused)
	}
	cancel()
	<-done
}
