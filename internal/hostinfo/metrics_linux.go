package hostinfo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sample reads the counters twice, so long apart.
func Sample(ctx context.Context, over time.Duration) (Host, error) {
	before, err := read()
	if err != nil {
		return Host{}, err
	}
	begun := time.Now()
	select {
	case <-time.After(over):
	case <-ctx.Done():
		return Host{}, ctx.Err()
	}
	after, err := read()
	if err != nil {
		return Host{}, err
	}
	return between(before, after, time.Since(begun))
}

// counters is one look at /proc.
type counters struct {
	busy, all   uint64 // ticks of all CPUs
	nets        []Net  // with counts of bytes since the boot
	read, wrote uint64 // bytes of all disks
}

func read() (c counters, err error) {
	for file, parse := range map[string]func(fields []string) error{
		"/proc/stat": c.cpu, "/proc/net/dev": c.net, "/proc/diskstats": c.disk,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("read host metrics: %w", err)
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if err := parse(strings.Fields(strings.Replace(lines.Text(), ":", " ", 1))); err != nil {
				return c, fmt.Errorf("read host metrics: %s: %w", file, err)
			}
		}
	}
	return c, nil
}

// cpu reads a line of /proc/stat, of which the first is about all CPUs: user, nice,
// system, idle, iowait, ...; proc_stat(5). guest is part of user.
func (c *counters) cpu(f []string) error {
	if len(f) < 6 || f[0] != "cpu" {
		return nil
	}
	for i, text := range f[1:min(len(f), 9)] {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		c.all += n
		if i != 3 && i != 4 {
			c.busy += n
		}
	}
	return nil
}

// net reads a line of /proc/net/dev: name, received bytes and seven more, sent bytes.
func (c *counters) net(f []string) error {
	if len(f) < 17 {
		return nil // the heads
	}
	received, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return nil //nolint:nilerr // the heads
	}
	sent, err := strconv.ParseUint(f[9], 10, 64)
	c.nets = append(c.nets, Net{Name: f[0], Received: float64(received), Sent: float64(sent)})
	return err
}

// disk reads a line of /proc/diskstats: major, minor, name, reads, merged, sectors
// read, time, writes, merged, sectors written. Parts of disks and what is made of
// others would count twice.
func (c *counters) disk(f []string) error {
	if len(f) < 10 || strings.HasPrefix(f[2], "loop") || strings.HasPrefix(f[2], "ram") || strings.HasPrefix(f[2], "dm-") {
		return nil
	}
	if _, err := os.Stat("/sys/block/" + f[2]); err != nil {
		return nil //nolint:nilerr // a part of one
	}
	const sector = 512 // always, Documentation/admin-guide/iostats.rst
	read, err := strconv.ParseUint(f[5], 10, 64)
	if err != nil {
		return err
	}
	wrote, err := strconv.ParseUint(f[9], 10, 64)
	c.read, c.wrote = c.read+sector*read, c.wrote+sector*wrote
	return err
}

// between makes rates of two looks, and adds what is no rate.
func between(a, b counters, took time.Duration) (Host, error) {
	h := Host{ReadPerSecond: rate(a.read, b.read, took), WrotePerSecond: rate(a.wrote, b.wrote, took)}
	if b.all > a.all {
		h.CPUPercent = 100 * float64(b.busy-min(a.busy, b.busy)) / float64(b.all-a.all)
	}
	for _, n := range b.nets {
		for _, old := range a.nets {
			if old.Name == n.Name {
				n.Received = rate(uint64(old.Received), uint64(n.Received), took)
				n.Sent = rate(uint64(old.Sent), uint64(n.Sent), took)
				h.Nets = append(h.Nets, n)
			}
		}
	}
	var err error
	if h.MemoryTotal, h.MemoryAvailable, err = ram(); err != nil {
		return Host{}, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil {
		return Host{}, fmt.Errorf("read host metrics: /: %w", err)
	}
	h.RootTotal = fs.Blocks * uint64(fs.Bsize)
	h.RootUsed = (fs.Blocks - fs.Bfree) * uint64(fs.Bsize)
	return h, nil
}

func rate(a, b uint64, took time.Duration) float64 {
	if b <= a || took <= 0 {
		return 0
	}
	return float64(b-a) / took.Seconds()
}

// ram reads /proc/meminfo, whose numbers are KiB.
func ram() (total, available uint64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("read host metrics: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseUint(f[1], 10, 64)
		switch {
		case f[0] == "MemTotal:" && err == nil:
			total = n << 10
		case f[0] == "MemAvailable:" && err == nil:
			available = n << 10
		}
	}
	return total, available, nil
}
