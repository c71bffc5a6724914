package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/proctree"
)

// errOtherGroup says that the group does not hold the tree, or cannot be frozen.
var errOtherGroup = errors.New("not the group of the process")

// stopCgroup freezes the group of the tree. Errors: errOtherGroup.
func (z *Freezer) stopCgroup(t Target, deadline time.Time) (thaw func(), err error) {
	if !holds(t.Cgroup, t.Roots) {
		return nil, errOtherGroup
	}
	file := filepath.Join(t.Cgroup, "cgroup.freeze")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOtherGroup, err) // before Linux 5.2
	}
	thaw = func() {}
	if strings.TrimSpace(string(text)) != "1" { // else somebody else has frozen it
		if err := z.enter(Process{}, t.Cgroup); err != nil {
			return nil, err
		}
		thaw = func() {
			_ = thawCgroup(t.Cgroup) // fails only if it is gone
			delete(z.cgroups, t.Cgroup)
			_ = z.write() // or it is thawed twice
		}
		err = os.WriteFile(file, []byte("1"), 0)
	}
	if err == nil {
		err = frozen(t.Cgroup, deadline, t.Limit)
	}
	if err != nil {
		z.mu.Lock()
		defer z.mu.Unlock()
		thaw()
		return nil, fmt.Errorf("freeze cgroup %s: %w", t.Cgroup, err)
	}
	return thaw, nil
}

// holds tells whether all roots that are alive are in the group, and any is.
func holds(dir string, roots []Process) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return false
	}
	in := strings.Fields(string(text))
	some := false
	for _, r := range roots {
		if slices.Contains(in, strconv.Itoa(r.PID)) {
			some = true
		} else if _, alive := proctree.Find(r.PID); alive {
			return false
		}
	}
	return some
}

// frozen returns when all in the group stand still.
func frozen(dir string, deadline time.Time, limit time.Duration) error {
	// The kernel reports a change at most every 10 ms, which is too late for us: so
	// we look.
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	wait := pauser{deadline: deadline}
	var buffer [256]byte
	for {
		n, _ := f.ReadAt(buffer[:], 0) // ends with io.EOF
		if bytes.Contains(buffer[:n], []byte("frozen 1")) {
			return nil
		}
		if !wait.pause() {
			return fmt.Errorf("a thread still runs after %v", limit)
		}
	}
}

// thawCgroup has a group go on. One that is gone is no error.
func thawCgroup(dir string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("thaw cgroup %s: %w", dir, err)
	}
	return nil
}
