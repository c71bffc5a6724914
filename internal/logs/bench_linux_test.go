package logs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes the test binary one of the programs of helpers.
const helperEnv = "PACELINE_LOGS_HELPER"

func TestMain(m *testing.M) {
	if run := helpers[os.Getenv(helperEnv)]; run != nil {
		run(os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// helpers are programs that tests start.
var helpers = map[string]func(args []string){
	"print":  helperPrint,
	"daemon": helperDaemon,
}

func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// helperPrint prints a number of bytes in blocks of lines of 100 bytes.
func helperPrint(args []string) {
	total, _ := strconv.Atoi(args[0])
	size, _ := strconv.Atoi(args[1])
	block := make([]byte, size)
	for i := range block {
		block[i] = 'x'
		if i%100 == 99 || i == size-1 {
			block[i] = '\n'
		}
	}
	for n := 0; n < total; n += size {
		if _, err := syscall.Write(1, block); err != nil {
			panic(err)
		}
	}
}

// BenchmarkPump compares the pump with `program | cat > file`, in turns:
//
//	go test -run '^$' -bench Pump -benchtime 5x ./internal/logs
//
// Each turn moves 500 MB. It prints MB/s and CPU seconds per GB of the process
// that moves the bytes, median of the turns. BENCH_DIR chooses the file system.
func BenchmarkPump(b *testing.B) {
	for _, writers := range []int{1, 10} {
		for _, block := range []int{64 << 10, 4000, 200} {
			for _, mode := range []string{"own", "rotated", "merged", "time", "both"} {
				b.Run(fmt.Sprintf("%s/writers=%d/block=%d", mode, writers, block), func(b *testing.B) {
					var cat, pump []turn
					for b.Loop() {
						cat = append(cat, runTurn(b, "cat", writers, block))
						pump = append(pump, runTurn(b, mode, writers, block))
					}
					c, p := median(cat), median(pump)
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(c.speed, "cat-MB/s")
					b.ReportMetric(c.cpu, "cat-s/GB")
					b.ReportMetric(p.speed, "pump-MB/s")
					b.ReportMetric(p.cpu, "pump-s/GB")
				})
			}
		}
	}
}

// turn is what one run of a benchmark measured.
type turn struct{ speed, cpu float64 }

func median(turns []turn) turn {
	pick := func(of func(turn) float64) float64 {
		var list []float64
		for _, t := range turns {
			list = append(list, of(t))
		}
		for i := range list {
			for j := range i {
				if list[i] < list[j] {
					list[i], list[j] = list[j], list[i]
				}
			}
		}
		return list[len(list)/2]
	}
	return turn{pick(func(t turn) float64 { return t.speed }), pick(func(t turn) float64 { return t.cpu })}
}

func runTurn(b *testing.B, mode string, writers, block int) turn {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "bench") //nolint:usetesting // b.TempDir would hold all turns' files
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	total := 500_000_000
	if block < 1000 {
		total /= 4
	}
	var p *Pump
	if mode != "cat" {
		if p, err = New(Options{Log: b.Logf, Journal: filepath.Join(dir, "journal")}); err != nil {
			b.Fatal(err)
		}
	}
	before := cpuOf(b, syscall.RUSAGE_SELF)
	start := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	cpu := 0.0
	for i := range writers {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		program := helper("print", strconv.Itoa(total/writers), strconv.Itoa(block))
		program.Stdout = w
		path := filepath.Join(dir, fmt.Sprintf("%d.log", i))
		if mode == "cat" {
			f, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			cat := exec.Command("cat")
			cat.Stdin, cat.Stdout = r, f
			if err := cat.Start(); err != nil {
				b.Fatal(err)
			}
			_, _ = r.Close(), f.Close()
			all.Go(func() {
				_ = cat.Wait()
				mu.Lock()
				defer mu.Unlock()
				cpu += (cat.ProcessState.UserTime() + cat.ProcessState.SystemTime()).Seconds()
			})
		} else {
			f := FileSpec{Path: path, MaxBytes: -1}
			files := []FileSpec{f}
			switch mode {
			case "rotated":
				files[0].MaxBytes = 0
			case "merged":
				files[0].Path = filepath.Join(dir, "all.log")
			case "time":
				files[0].Form = formOf("time")
			case "both":
				f.Path = filepath.Join(dir, "all.log")
				files = append(files, f)
			}
			done := make(chan struct{})
			if _, err := p.Add(StreamSpec{Name: path, Pipe: r, Files: files, Done: func() { close(done) }}); err != nil {
				b.Fatal(err)
			}
			all.Go(func() { <-done })
		}
		if err := program.Start(); err != nil {
			b.Fatal(err)
		}
		_ = w.Close()
		all.Go(func() { _ = program.Wait() })
	}
	all.Wait()
	passed := time.Since(start).Seconds()
	if p != nil {
		cpu = cpuOf(b, syscall.RUSAGE_SELF) - before
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return turn{float64(total) / 1e6 / passed, cpu / (float64(total) / 1e9)}
}

func cpuOf(b *testing.B, who int) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
