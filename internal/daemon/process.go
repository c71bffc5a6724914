package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/app"
	"paceline/internal/keeper"
	"paceline/internal/logs"
	"paceline/internal/nodeipc"
	"paceline/internal/supervisor"
)

// stageName is the entry in which the keeper holds what is between a busy program's pipe
// and its log.
const stageName = "stage"

// openStage goes on with the stage of an earlier daemon's logs, or makes one; nil: logs
// are to do without.
func openStage(k *keeper.Client, kept *inheritance, log *slog.Logger) *logs.Stage {
	entry, _ := kept.entry(stageName)
	s, err := logs.OpenStage(entry.File)
	if err == nil && entry.File == nil {
		if err = k.Keep(keeper.Named{Name: stageName, File: s.File()}); err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if err != nil {
		log.Warn("busy logs are slower", "error", err)
		return nil
	}
	return s
}

// logPipe is one stream of a process that is about to start.
type logPipe struct {
	write *os.File     // the process's end
	kept  keeper.Named // the keeper's duplicate of our end, with the files it goes to
}

// openLog makes the pipe for one stream and has it pumped to the stream's files;
// nil if nothing of it is kept. An unwritable file is an error before anything
// has started.
func (h *host) openLog(p *process, stream string) (*logPipe, error) {
	targets := logFiles(p, stream)
	if len(targets) == 0 {
		return nil, nil
	}
	note, err := json.Marshal(targets)
	if err != nil {
		return nil, fmt.Errorf("describe log of %s: %w", p.Spec.Name, err)
	}
	read, write, err := openPipe()
	if err != nil {
		return nil, fmt.Errorf("open log pipe: %w", err)
	}
	kept, err := duplicate(read)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	name := logName(p.key, stream)
	if err := h.pumpLog(p, stream, read, targets); err != nil {
		return nil, errors.Join(err, kept.Close(), write.Close())
	}
	return &logPipe{write: write, kept: keeper.Named{Name: name, Note: note, File: kept}}, nil
}

// pumpLog hands the read end of a stream to the log pump.
func (h *host) pumpLog(p *process, stream string, read *os.File, targets []logs.FileSpec) error {
	name := logName(p.key, stream)
	_, err := h.pump.Add(logs.StreamSpec{
		Name:  fmt.Sprintf("%s %d %s", p.Spec.Name, p.ID, stream),
		Pipe:  read,
		Files: targets,
		Done: func() {
			if stream == "err" {
				close(p.stderrDone)
			}
			if err := h.keeper.Drop(name); err != nil {
				h.log.Debug("drop log pipe", "name", name, "error", err)
			}
		},
	})
	return err
}

// resumeLog goes on with a stream that an earlier daemon pumped.
func (h *host) resumeLog(p *process, stream string) {
	entry, ok := h.kept.entry(logName(p.key, stream))
	if !ok || entry.File == nil {
		if stream == "err" && (p.files.err != "" || p.files.both != "") {
			close(p.stderrDone) // it had come to its end
		}
		return
	}
	var targets []logs.FileSpec
	if err := json.Unmarshal(entry.Note, &targets); err != nil {
		targets = logFiles(p, stream)
	}
	if err := h.pumpLog(p, stream, entry.File, targets); err != nil {
		h.log.Error("take up log", "process", p.key, "stream", stream, "error", err)
	}
}

// logFiles says where a stream of a process goes.
func logFiles(p *process, stream string) []logs.FileSpec {
	own := p.files.out
	if stream == "err" {
		own = p.files.err
	}
	var targets []logs.FileSpec
	for _, path := range []string{own, p.files.both} {
		if path != "" && (len(targets) == 0 || targets[0].Path != path) {
			targets = append(targets, logs.FileSpec{
				Path: path, MaxBytes: p.Spec.LogMaxBytes, Keep: p.Spec.LogKeep, Form: logForm(p, stream),
			})
		}
	}
	return targets
}

// defaultDate is how --time writes a line's time, as with PM2.
const defaultDate = "YYYY-MM-DDTHH:mm:ss"

// logForm says in which form a stream of a process is written; nil: as it comes.
func logForm(p *process, stream string) *logs.Form {
	f := logs.Form{Date: dateOf(p.Spec), JSON: p.Spec.LogJSON}
	if f == (logs.Form{}) {
		return nil
	}
	f.Stream, f.ID, f.Name = stream, p.ID, p.Spec.Name
	return &f
}

// dateOf returns the format of the time before each line; "" if there is none.
func dateOf(s *app.Spec) string {
	if s.LogDateFormat == "" && s.LogTime {
		return defaultDate
	}
	return s.LogDateFormat
}

// stderrLines is how many of a process's last lines are kept, stderrRead among how
// many they are chosen.
const (
	stderrLines = 5
	stderrRead  = 40
)

// lastLines returns the end of what the process wrote to stderr, without blank
// lines and the frames of a stack: a Node program that throws says why in front
// of a dozen of those.
func (h *host) lastLines(p *process) []string {
	path := p.files.err
	if path == "" || fileSize(path) == p.stderrFrom { // as a rule it wrote nothing, and a restart waits for us
		return nil
	}
	lines, err := logs.LastLines(path, stderrRead)
	if err != nil {
		h.log.Debug("read last lines", "file", path, "error", err)
	}
	lines = since(path, p.stderrFrom, lines)
	if p.Spec.LogJSON {
		for i, line := range lines {
			lines[i] = logs.Message(line)
		}
	}
	told := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		text := strings.TrimSpace(line)
		return text == "" || text == "^" || strings.HasPrefix(text, "Node.js v") ||
			text != line && strings.HasPrefix(text, "at ")
	})
	if len(told) == 0 {
		told = lines
	}
	return told[max(0, len(told)-stderrLines):]
}

// since leaves out the lines that stood in a log already when it was so long. A
// log that is shorter now has been rotated or emptied meanwhile.
func since(path string, from int64, lines []string) []string {
	size := fileSize(path)
	if size < from {
		return lines
	}
	written := size - from
	for i, line := range slices.Backward(lines) {
		if written -= int64(len(line)) + 1; written < 0 {
			return lines[i+1:]
		}
	}
	return lines
}

// fileSize returns 0 for a file that is not there.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// openChannel makes a process's Node channel: the end that the process gets and
// the duplicate of ours that the keeper holds.
func (h *host) openChannel(p *process) (child *os.File, kept keeper.Named, err error) {
	parent, child, err := nodeipc.Pair()
	if err != nil {
		return nil, keeper.Named{}, fmt.Errorf("open channel: %w", err)
	}
	dup, err := duplicate(parent)
	if err != nil {
		return nil, keeper.Named{}, errors.Join(err, parent.Close(), child.Close())
	}
	if err := h.attach(p, parent, nil); err != nil {
		return nil, keeper.Named{}, errors.Join(err, dup.Close(), child.Close())
	}
	return child, keeper.Named{Name: channelName(p.key), Note: []byte{}, File: dup}, nil
}

// attach puts the protocol on our end of a channel.
func (h *host) attach(p *process, channel *os.File, saved []byte) error {
	o := nodeipc.WorkerOptions{
		Channel: channel, Slot: p.Index, Saved: saved,
		Save:  func(note []byte) { h.note(channelName(p.key), note) },
		Event: func(e nodeipc.Event) { h.heard(p, e) },
	}
	if asksPrimary(p.Spec) {
		o.Primary = p.cluster.primary
	}
	worker, err := nodeipc.Attach(o)
	if err != nil {
		return fmt.Errorf("attach channel: %w", err)
	}
	p.worker.Store(worker)
	return nil
}

// heard turns what a process says on its channel into facts.
func (h *host) heard(p *process, e nodeipc.Event) {
	switch e.Kind {
	case nodeipc.Online:
		if isClusterNode(p.Spec) { // others are online when they run
			p.sink(supervisor.Online{})
		}
	case nodeipc.Ready:
		p.sink(supervisor.Ready{})
	case nodeipc.Listening:
		if isClusterNode(p.Spec) {
			h.place(p.cluster, p.cluster.serve(p.Index, p.key, true)...)
		}
		p.sink(supervisor.Listening{Addr: addrText(e.Addr), Shared: !isClusterNode(p.Spec)})
	case nodeipc.Closed:
		p.sink(supervisor.Unlistening{Addr: addrText(e.Addr)})
	case nodeipc.Message:
		if h.reported(p, e.Message) {
			p.sink(supervisor.Messaged{Data: e.Message})
		}
	case nodeipc.Disconnected:
		p.sink(supervisor.Drained{})
	case nodeipc.Warning:
		p.sink(supervisor.Warned{Text: e.Text})
	}
}

// addrText shows an address as lists do: "*:3000", "127.0.0.1:80", "/run/x.sock".
func addrText(a net.Addr) string {
	var ip net.IP
	var where int
	switch a := a.(type) {
	case *net.TCPAddr:
		ip, where = a.IP, a.Port
	case *net.UDPAddr:
		ip, where = a.IP, a.Port
	case nil:
		return ""
	default:
		return a.String()
	}
	if ip == nil || ip.IsUnspecified() {
		return "*:" + strconv.Itoa(where)
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(where))
}

// hangUp ends what a process had with us once it has ended.
func (h *host) hangUp(p *process) {
	if isClusterNode(p.Spec) {
		h.place(p.cluster, p.cluster.serve(p.Index, p.key, false)...)
	}
	if w := p.worker.Load(); w != nil {
		if err := w.Close(); err != nil {
			h.log.Debug("close channel", "process", p.key, "error", err)
		}
	}
}

// drainOptions tells the preload how the drain goes on after it.
func drainOptions(s *app.Spec) nodeipc.DrainOptions {
	return nodeipc.DrainOptions{Signal: s.KillSignal}
}

// writePID leaves the pid in a file for scripts, as PM2 does. The file is a
// convenience: Paceline itself never reads it.
func (h *host) writePID(p *process, pid int) {
	if p.files.pid == "" {
		return
	}
	mode := os.FileMode(0o600)
	var err error
	if p.Spec.PIDFile != "" { // asked for, so somebody else is to read it
		mode, err = 0o644, os.MkdirAll(filepath.Dir(p.files.pid), 0o755)
	}
	if err == nil {
		err = writePIDFile(p.files.pid, pid, mode)
	}
	if err != nil {
		h.log.Warn("write pid file", "file", filepath.Base(p.files.pid), "error", err)
	}
}

// writePIDFile replaces a pid file, so that nobody reads an empty one. It does not wait
// for the disk: after a power cut the pid means nothing.
func writePIDFile(path string, pid int, mode os.FileMode) error {
	next := path + ".new"
	if err := os.WriteFile(next, []byte(strconv.Itoa(pid)+"\n"), mode); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func (h *host) removePID(p *process) {
	if p.files.pid == "" {
		return
	}
	if err := os.Remove(p.files.pid); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.log.Warn("remove pid file", "file", filepath.Base(p.files.pid), "error", err)
	}
}
