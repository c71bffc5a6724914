package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"paceline/internal/app"
	"paceline/internal/keeper"
	"paceline/internal/logs"
)

// outlet is where a stream of a process goes.
type outlet struct {
	file *os.File       // the process's descriptor; nil for /dev/null
	ours []*os.File     // needed until the process has it
	keep []keeper.Named // what the keeper holds as long as the stream lasts
}

// printing is what the next daemon must know of a stream that is printed.
type printing struct {
	ID     int             `json:"id"`
	Name   string          `json:"name"`
	Stream string          `json:"stream"`
	Form   app.Print       `json:"form"`
	Time   bool            `json:"time,omitempty"`
	Files  []logs.FileSpec `json:"files,omitempty"`
}

// openOutput gives one stream of a process its way to log files and to our own
// output. What goes there as it is, and nowhere else, the process writes itself.
func (h *host) openOutput(p *process, stream string) (outlet, error) {
	log, err := h.openLog(p, stream)
	if err != nil {
		return outlet{}, err
	}
	out := outlet{}
	if log != nil {
		out = outlet{file: log.write, ours: []*os.File{log.write, log.kept.File}, keep: []keeper.Named{log.kept}}
	}
	form := p.Spec.Print
	if form == "" || h.printer == nil {
		return out, nil
	}
	if log == nil && form == app.PrintRaw && !p.Spec.LogTime {
		out.file = os.Stdout
		if stream == "err" {
			out.file = os.Stderr
		}
		return out, nil
	}
	what := printing{ID: p.ID, Name: p.Spec.Name, Stream: stream, Form: form, Time: p.Spec.LogTime, Files: logFiles(p, stream)}
	note, err := json.Marshal(what)
	if err != nil {
		return out, fmt.Errorf("describe output of %s: %w", p.Spec.Name, err)
	}
	read, write, err := openPipe()
	if err != nil {
		return out, fmt.Errorf("open output pipe: %w", err)
	}
	out.ours = append(out.ours, write)
	kept, err := duplicate(read)
	if err != nil {
		return out, errors.Join(err, read.Close())
	}
	out.ours = append(out.ours, kept)
	var copied *os.File
	if log != nil {
		if copied, err = duplicate(log.write); err != nil {
			return out, errors.Join(err, read.Close())
		}
	}
	name := printName(p.key, stream)
	out.file, out.keep = write, append(out.keep, keeper.Named{Name: name, Note: note, File: kept})
	return out, h.print(name, what, read, copied)
}

// print hands a stream to the printer.
func (h *host) print(name string, what printing, read, copied *os.File) error {
	return h.printer.Add(logs.PrintSpec{
		Source: logs.Source{ID: what.ID, Name: what.Name, Stream: what.Stream},
		Form:   what.Form, Time: what.Time, Pipe: read, Copy: copied,
		Done: func() {
			if err := h.keeper.Drop(name); err != nil {
				h.log.Debug("drop output pipe", "name", name, "error", err)
			}
		},
	})
}

// resumePrints goes on with the streams that an earlier daemon printed.
func (h *host) resumePrints() {
	for name, e := range h.kept.prints() {
		if err := h.resumePrint(name, e); err != nil {
			h.log.Error("take up output", "name", name, "error", err)
		}
	}
}

func (h *host) resumePrint(name string, e keeper.Entry) error {
	var what printing
	if err := json.Unmarshal(e.Note, &what); err != nil {
		return errors.Join(err, e.File.Close())
	}
	if h.printer == nil {
		return errors.Join(errors.New("this daemon has no output"), e.File.Close())
	}
	var copied *os.File
	if len(what.Files) > 0 {
		read, write, err := openPipe()
		if err != nil {
			return errors.Join(err, e.File.Close())
		}
		copied = write
		if _, err := h.pump.Add(logs.StreamSpec{Name: name, Pipe: read, Files: what.Files}); err != nil {
			return errors.Join(err, write.Close(), e.File.Close())
		}
	}
	return h.print(name, what, e.File, copied)
}

// prints takes the pipes of what is printed.
func (in *inheritance) prints() map[string]keeper.Entry {
	in.mu.Lock()
	defer in.mu.Unlock()
	pipes := map[string]keeper.Entry{}
	for name, e := range in.entries {
		if strings.HasPrefix(name, printPrefix) && e.File != nil {
			pipes[name] = e
			delete(in.entries, name)
		}
	}
	return pipes
}

// lastOutput bounds how long the end waits for what ended processes have written:
// children of theirs may hold the pipes, or nobody may read.
const lastOutput = 3 * time.Second

// endApps ends all apps, each in its own manner, and prints what they wrote last.
func (d *daemon) endApps() {
	if err := d.deleteAll(context.Background(), d.ids()); err != nil {
		d.log.Error("end the apps", "error", err) // the keeper kills what is left
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastOutput)
	defer cancel()
	d.host.printer.Wait(ctx)
}
