package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"paceline/internal/app"
	"paceline/internal/supervisor"
)

// The keeper holds notes and descriptors under these names. A process's key and
// the entries that live as long as it does share its id and generation.
const (
	recordPrefix  = "record/"  // record/<id>: the supervisor's record of an instance
	specPrefix    = "spec/"    // spec/<app>: the spec its processes were started with
	processPrefix = "process/" // process/<id>.<gen>/out, err, channel, in, report
	printPrefix   = "print/"   // print/<id>.<gen>/out, err
	portPrefix    = "port/"    // port/<app>/...: listening sockets
	clusterPrefix = "cluster/" // cluster/<app>: the primary's memory
)

// keyOf is the keeper's name of a process.
func keyOf(r supervisor.Ref) string { return fmt.Sprintf("%d.%d", r.ID, r.Gen) }

// refOf reads a key back.
func refOf(key string) (supervisor.Ref, error) {
	id, gen, ok := strings.Cut(key, ".")
	if !ok {
		return supervisor.Ref{}, fmt.Errorf("read process key %q: no generation", key)
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return supervisor.Ref{}, fmt.Errorf("read process key %q: %w", key, err)
	}
	g, err := strconv.ParseUint(gen, 10, 64)
	if err != nil {
		return supervisor.Ref{}, fmt.Errorf("read process key %q: %w", key, err)
	}
	return supervisor.Ref{ID: n, Gen: g}, nil
}

const channelSuffix = "/channel"

// printName is the entry of a stream that is printed, by its side of the process.
func printName(key, stream string) string { return printPrefix + key + "/" + stream }

// logName is the entry of a process's stream, "out" or "err".
func logName(key, stream string) string { return processPrefix + key + "/" + stream }

func channelName(key string) string { return processPrefix + key + channelSuffix }

const inputSuffix = "/in"

// inputName is the entry of the write end of a process's standard input.
func inputName(key string) string { return processPrefix + key + inputSuffix }

// reportName is the entry of what a process has told of itself.
func reportName(key string) string { return processPrefix + key + "/report" }

// files are the paths that belong to one instance.
type files struct {
	out, err, both string // "" if that stream is not kept
	pid            string // "" for a home without files
}

// filesOf works out an instance's paths as PM2 does: <app>-out.log and
// <app>-error.log, with the id before the extension where several instances
// would meet in one file.
func filesOf(home string, s *app.Spec, id int) files {
	name := fileName(s.Name)
	suffix := ""
	if !s.MergeLogs && (s.Mode == app.Cluster || s.Instances > 1) {
		suffix = "-" + strconv.Itoa(id)
	}
	place := func(configured, fallback string) string {
		switch configured {
		case os.DevNull:
			return ""
		case "":
			if nameless(home) {
				return ""
			}
			configured = filepath.Join(home, "logs", fallback)
		}
		ext := filepath.Ext(configured)
		return strings.TrimSuffix(configured, ext) + suffix + ext
	}
	f := files{
		out: place(s.OutFile, name+"-out.log"),
		err: place(s.ErrFile, name+"-error.log"),
	}
	if !nameless(home) {
		f.pid = filepath.Join(home, "pids", name+"-"+strconv.Itoa(id)+".pid")
	}
	if s.PIDFile != "" {
		ext := filepath.Ext(s.PIDFile)
		f.pid = strings.TrimSuffix(s.PIDFile, ext) + "-" + strconv.Itoa(id) + ext
	}
	if s.DisableLogs {
		f.out, f.err = "", ""
		return f
	}
	if s.LogFile != "" {
		f.both = place(s.LogFile, "")
	}
	return f
}

// fileName makes a name safe as part of a file name, by PM2's rule: anything but
// letters, digits, dot and dash becomes a dash.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, name)
}
