package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/settings"
)

const (
	// defaultLogsTotal is what all log files together may have if nothing is set.
	defaultLogsTotal = 2 << 30
	// logsTotalVariable sets it where `pace set` has not.
	logsTotalVariable = "PACELINE_LOGS_MAX_TOTAL"

	trimEvery = 30 * time.Second
	trimLook  = 5 * time.Second // how soon a change of the setting is seen
)

// trimLogs keeps all log files together below their limit, so that they never fill a
// disk, however many apps there are.
func (d *daemon) trimLogs() {
	if nameless(d.Home) {
		return
	}
	file := filepath.Join(d.Home, settings.Name)
	tick := time.NewTicker(trimLook)
	defer tick.Stop()
	var swept, changed time.Time
	told := "" // what was wrong the last time
	for {
		select {
		case <-d.ending.Done():
			return
		case <-tick.C:
		}
		var now time.Time
		if info, err := os.Stat(file); err == nil {
			now = info.ModTime()
		}
		if now.Equal(changed) && time.Since(swept) < trimEvery {
			continue
		}
		changed, swept = now, time.Now()
		problem := d.trimOnce(file)
		if problem != "" && problem != told {
			d.happened(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Detail: problem})
		}
		told = problem
	}
}

// trimOnce is one sweep. It returns what the user should know of, and has not caused.
func (d *daemon) trimOnce(file string) (problem string) {
	most, err := logsTotal(file)
	if err != nil {
		problem = fmt.Sprintf("log files may have %s together, as the setting cannot be read: %v", byteSize(defaultLogsTotal), err)
		most = defaultLogsTotal
	}
	if most == 0 {
		return problem
	}
	paths, err := d.allLogs()
	var t logs.Trimmed
	if err == nil {
		t, err = d.host.pump.Trim(paths, most)
	}
	if t.Files > 0 {
		d.happened(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Detail: fmt.Sprintf(
			"%d old log files with %s were removed, of %s to %s: all together had more than %s; `pace set %s SIZE` changes that",
			t.Files, byteSize(t.Bytes), t.Oldest.Format(time.DateTime), t.Newest.Format(time.DateTime), byteSize(most), settings.LogsMaxTotal)})
	}
	switch {
	case err != nil:
		return fmt.Sprintf("old log files cannot be removed: %v", err)
	case t.Left > most && problem == "":
		return fmt.Sprintf("log files that are being written have more than %s together; set log_max_size of their apps, or `pace flush`", byteSize(most))
	}
	return problem
}

// logsTotal returns the limit, 0 for none.
func logsTotal(file string) (int64, error) {
	all, err := settings.Load(file)
	if err != nil {
		return 0, err
	}
	text, ok := all.Plain[settings.LogsMaxTotal]
	if !ok {
		text, ok = os.LookupEnv(logsTotalVariable)
	}
	if !ok || text == "" {
		return defaultLogsTotal, nil
	}
	return settings.ParseTotal(text)
}

// allLogs returns the paths of all logs that are ours: those in the home folder, of
// apps that are gone too, and those that apps have elsewhere.
func (d *daemon) allLogs() ([]string, error) {
	paths, err := logs.Under(filepath.Join(d.Home, "logs"))
	specs := d.specs()
	for _, s := range d.supervisor.List() {
		spec := specs[s.Name]
		if spec == nil || spec.LogMaxBytes < 0 { // what looks like an old file of ours is somebody else's
			continue
		}
		f := filesOf(d.Home, spec, s.ID)
		for _, path := range []string{f.out, f.err, f.both} {
			if path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths, err
}

// byteSize writes a size for people.
func byteSize(n int64) string {
	units := []string{"bytes", "KB", "MB", "GB", "TB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	if size == float64(int64(size)) || unit == 0 {
		return fmt.Sprintf("%d %s", int64(size), units[unit])
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
