package logs

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kills is how often each case of TestKilledAtAnyMoment kills its daemon. The
// windows that it hunts are microseconds wide: -kills 300 before a release.
var kills = flag.Int("kills", 4, "how often the daemon is killed in each case")

// daemonSpec is what the daemon helper is to do with the stage that it gets as
// descriptor 3 and the pipes as 4, 5, ...
type daemonSpec struct {
	Journal string
	Files   [][]FileSpec // of each pipe
}

// helperDaemon is a daemon that only pumps. It ends when all streams have.
func helperDaemon(args []string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var spec daemonSpec
	must(json.Unmarshal([]byte(args[0]), &spec))
	complain := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "daemon: "+format+"\n", a...) }
	stage, err := OpenStage(os.NewFile(3, "stage"))
	must(err)
	p, err := New(Options{Journal: spec.Journal, Stage: stage, Log: complain})
	must(err)
	done := make(chan struct{})
	for _, i := range rand.Perm(len(spec.Files)) {
		_, err := p.Add(StreamSpec{
			Name: strconv.Itoa(i), Pipe: os.NewFile(uintptr(4+i), "pipe"), Files: spec.Files[i],
			Done: func() { done <- struct{}{} },
		})
		must(err)
	}
	fmt.Println("ready")
	for range spec.Files {
		<-done
	}
	must(p.Close())
	fmt.Println("done")
}

// numberedWriter writes lines "<name> <n> xxx..." of many lengths in pieces of some size that
// do not end where the lines do, until it has been told to stop.
func numberedWriter(w *os.File, name string, seed uint64, piece int, stop <-chan struct{}) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	var all []byte
	sent := 0
	for n := 0; ; n++ {
		length := random.IntN(200)
		switch random.IntN(400) {
		case 0:
			length = 100_000 // longer than a pipe
		case 1, 2, 3:
			length = 5000
		}
		all = fmt.Appendf(all, "%s %d %s\n", name, n, strings.Repeat("x", length))
		if len(all)-sent < piece {
			continue
		}
		upto := sent + 1 + random.IntN(len(all)-sent)
		if _, err := w.Write(all[sent:upto]); err != nil {
			panic(err)
		}
		sent = upto
		select {
		case <-stop:
			if _, err := w.Write(all[sent:]); err != nil {
				panic(err)
			}
			_ = w.Close()
			return all
		default:
		}
	}
}

// whole returns what a log and its old files hold.
func whole(t testing.TB, path string) []byte {
	t.Helper()
	list, err := listRotated(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, old := range slices.Backward(list) {
		all = append(all, unzipped(t, old)...)
	}
	return append(all, content(t, path)...)
}

// checkLines holds the lines of a file against what each writer wrote: whole,
// complete, in order and no line twice.
func checkLines(t *testing.T, got []byte, mode string, want map[string][]byte) {
	t.Helper()
	rest := maps.Clone(want)
	for i, line := range bytes.SplitAfter([]byte(unform(t, string(got), mode)), []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		name, _, _ := strings.Cut(string(line[:min(len(line), 20)]), " ")
		if !bytes.HasPrefix(rest[name], line) {
			t.Fatalf("line %d is %.100q (%d bytes), the next of its writer is %.100q", i, line, len(line), rest[name])
		}
		rest[name] = rest[name][len(line):]
	}
	for name, b := range rest {
		if len(b) > 0 {
			t.Errorf("%s: the last %d bytes are missing, from %.100q", name, len(b), b)
		}
	}
}

// messages returns what each writer of a JSON log wrote, by process_id. The objects
// of one long line may have those of other writers between them.
func messages(t *testing.T, text []byte) map[int][]byte {
	t.Helper()
	got := map[int][]byte{}
	for line := range bytes.Lines(text) {
		var o object
		if err := json.Unmarshal(line, &o); err != nil || o.Name != `a "b"` || o.Timestamp.IsZero() {
			t.Fatalf("%.200q is not an object of the log: %v", line, err)
		}
		got[o.ID] = append(got[o.ID], o.Message...)
	}
	return got
}

// bothModes are those of three writers to one combined file.
var bothModes = []string{"plain", "time", "json"}

func TestKilledAtAnyMoment(t *testing.T) {
	for name, c := range map[string]struct {
		writers, files int
		shared         bool
		mode           string
		max            int64
		piece          int // what is written in one go, about; 0: 3000
	}{
		"plain":            {writers: 1, files: 1, max: -1},
		"rotated":          {writers: 2, files: 1, max: 300_000},
		"shared":           {writers: 3, files: 1, shared: true, max: 1_000_000},
		"time":             {writers: 1, files: 1, mode: "time", max: 1_000_000},
		"shared and time":  {writers: 3, files: 1, shared: true, mode: "time", max: -1},
		"json":             {writers: 1, files: 1, mode: "json", max: 1_000_000},
		"shared and json":  {writers: 3, files: 1, shared: true, mode: "json", max: -1},
		"own and combined": {writers: 3, files: 2, max: 1_000_000},
		"flood":            {writers: 1, files: 1, max: 10_000_000, piece: 500_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			spec := daemonSpec{Journal: filepath.Join(dir, "journal")}
			stage, err := OpenStage(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer stage.Close()
			pipes := []*os.File{stage.File()}
			stop := make(chan struct{})
			type written struct {
				name string
				all  []byte
			}
			results := make(chan written)
			for i := range c.writers {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				pipes = append(pipes, r)
				f := FileSpec{Path: filepath.Join(dir, "w"+strconv.Itoa(i)), MaxBytes: c.max, Keep: 10000, Form: formOf(c.mode)}
				if c.shared {
					f.Path = filepath.Join(dir, "shared")
				}
				if c.shared && c.mode == "json" {
					f.Form.ID = i
				}
				files := []FileSpec{f}
				if c.files == 2 {
					both := f
					both.Path, both.Form = filepath.Join(dir, "both"), formOf(bothModes[i])
					files = append(files, both)
				}
				spec.Files = append(spec.Files, files)
				go func() {
					name := "w" + strconv.Itoa(i)
					results <- written{name, numberedWriter(w, name, uint64(i), cmp.Or(c.piece, 3000), stop)}
				}()
			}
			for i := range *kills + 1 {
				if i == *kills {
					close(stop)
				}
				runDaemon(t, spec, pipes, i < *kills)
			}
			want := map[string][]byte{}
			total := 0
			for range c.writers {
				w := <-results
				want[w.name] = w.all
				total += len(w.all)
			}
			t.Logf("%d kills, %d bytes", *kills, total)
			if c.shared && c.mode == "json" {
				got := messages(t, whole(t, filepath.Join(dir, "shared")))
				for i := range c.writers {
					name := "w" + strconv.Itoa(i)
					checkLines(t, got[i], "plain", map[string][]byte{name: want[name]})
				}
				return
			}
			if c.shared {
				checkLines(t, whole(t, filepath.Join(dir, "shared")), c.mode, want)
				return
			}
			for name, b := range want {
				checkLines(t, whole(t, filepath.Join(dir, name)), c.mode, map[string][]byte{name: b})
			}
			if c.files == 2 {
				var lines, objects []byte
				for line := range bytes.Lines(whole(t, filepath.Join(dir, "both"))) {
					switch {
					case bytes.HasPrefix(line, []byte("{")):
						objects = append(objects, line...)
					case bytes.HasPrefix(line, []byte("20")):
						lines = append(lines, unform(t, string(line), "time")...)
					default:
						lines = append(lines, line...)
					}
				}
				for _, text := range messages(t, objects) {
					lines = append(lines, text...)
				}
				checkLines(t, lines, "plain", want)
			}
		})
	}
}

// runDaemon runs a daemon until it is killed, some milliseconds after it or its
// pump has begun, or until it has written everything.
func runDaemon(t *testing.T, spec daemonSpec, pipes []*os.File, kill bool) {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := helper("daemon", string(text))
	cmd.ExtraFiles = pipes
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if kill && rand.IntN(4) == 0 {
		time.Sleep(rand.N(10 * time.Millisecond)) // also while it recovers
	} else if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the daemon says %q, %v", line, err)
	}
	if !kill {
		said, _ := io.ReadAll(lines)
		if err := cmd.Wait(); err != nil || string(said) != "done\n" {
			t.Fatalf("the daemon says %q, %v", said, err)
		}
		return
	}
	time.Sleep(rand.N(20 * time.Millisecond)) // the moment of the kill is what is random here
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the daemon ended with %v %v", err, exit)
	}
}
