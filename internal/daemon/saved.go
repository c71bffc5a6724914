package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/pm2"
	"paceline/internal/state"
)

// The files of saved apps, in the home folder.
const (
	dumpName    = "dump.json"
	pm2DumpName = "dump.pm2"
	keptSuffix  = ".bak" // the one before
)

// dump is what dump.json holds.
type dump struct {
	Apps []savedApp `json:"apps"`
}

// savedApp is one app of a dump.
type savedApp struct {
	Spec    app.Spec `json:"spec"`
	Stopped bool     `json:"stopped,omitempty"` // all its instances were
}

// saveApps writes the list of apps to the files of saved apps.
func (d *daemon) saveApps(r *http.Request) (any, error) {
	q, err := api.DecodeSave(r.Body)
	if err != nil {
		return nil, err
	}
	var apps dump
	var instances []pm2.Instance
	if !q.Clear {
		apps, instances = d.present()
	}
	answer := api.SaveReply{Apps: len(apps.Apps), Files: []string{}}
	if len(apps.Apps) == 0 && !q.Force && !q.Clear {
		return answer, nil
	}
	d.saving.Lock()
	defer d.saving.Unlock()
	file := filepath.Join(d.Home, dumpName)
	if err := keep(file); err != nil {
		return nil, err
	}
	if err := state.Save(file, apps); err != nil {
		return nil, err
	}
	answer.Files = append(answer.Files, file)
	if q.PM2 {
		file := filepath.Join(d.Home, pm2DumpName)
		if err := keep(file); err != nil {
			return nil, err
		}
		if err := state.WriteFile(file, pm2.Dump(instances)); err != nil {
			return nil, fmt.Errorf("save %s: %w", file, err)
		}
		answer.Files = append(answer.Files, file)
	}
	return answer, nil
}

// present lists what there is, as it is saved.
func (d *daemon) present() (dump, []pm2.Instance) {
	list := d.supervisor.List()
	d.complete(list)
	apps := dump{Apps: []savedApp{}}
	var instances []pm2.Instance
	for _, spec := range d.supervisor.Apps() {
		saved := savedApp{Spec: spec, Stopped: true}
		for i := range list {
			s := &list[i]
			if s.Name != spec.Name {
				continue
			}
			saved.Stopped = saved.Stopped && s.State == app.Stopped
			instances = append(instances, pm2.Instance{
				Spec: &saved.Spec, Status: s, PIDFile: filesOf(d.Home, &spec, s.ID).pid, User: pm2.Me(),
				Interpreter: pm2.Interpreter(&spec),
			})
		}
		apps.Apps = append(apps.Apps, saved)
	}
	slices.SortFunc(instances, func(a, b pm2.Instance) int { return a.Status.ID - b.Status.ID })
	first := map[string]int{} // its lowest id; apps come back in the order of theirs
	for _, in := range slices.Backward(instances) {
		first[in.Spec.Name] = in.Status.ID
	}
	slices.SortStableFunc(apps.Apps, func(a, b savedApp) int { return first[a.Spec.Name] - first[b.Spec.Name] })
	return apps, instances
}

// keep copies a file of saved apps to its second name before it is replaced.
func keep(file string) error {
	old, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = state.WriteFile(file+keptSuffix, old)
	}
	if err != nil {
		return fmt.Errorf("keep the last %s: %w", filepath.Base(file), err)
	}
	return nil
}

// resurrect starts the saved apps whose names are not there.
func (d *daemon) resurrect(r *http.Request) (any, error) {
	q, err := api.DecodeResurrect(r.Body)
	if err != nil {
		return nil, err
	}
	saved, warnings := d.saved(q.PM2)
	var specs []app.Spec
	for i := range saved {
		specs = append(specs, saved[i].Spec)
	}
	d.commandedSpecs(r, "resurrect", specs)
	list, err := d.bring(r.Context(), saved)
	answer, err := d.reply(list, err)
	answer.Warnings = append(warnings, answer.Warnings...)
	if e, ok := errors.AsType[*api.Error](err); ok {
		e.Reply = &answer
	}
	return answer, err
}

// saved reads the apps from the first file that can be used, and says what is
// wrong with those before it.
func (d *daemon) saved(alsoPM2 bool) (apps []savedApp, warnings []string) {
	d.saving.Lock()
	defer d.saving.Unlock()
	names := []string{dumpName, dumpName + keptSuffix}
	if alsoPM2 {
		names = append(names, pm2DumpName, pm2DumpName+keptSuffix)
	}
	for _, name := range names {
		list, remarks, err := readSaved(filepath.Join(d.Home, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			warnings = append(warnings, err.Error())
			continue
		}
		return list, append(warnings, remarks...)
	}
	return nil, append(warnings, fmt.Sprintf("no apps are saved in %s; `pace save` saves those that there are", d.Home))
}

// readSaved reads one file. One that is broken is moved aside, never removed; a
// file of PM2's own stays where it is.
func readSaved(file string) (apps []savedApp, warnings []string, err error) {
	if name := filepath.Base(file); name == dumpName || name == dumpName+keptSuffix {
		var saved dump
		err := state.Load(file, &saved)
		return saved.Apps, nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read saved apps: %w", err)
	}
	list, warnings, err := pm2.ReadDump(text, exec.LookPath)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w; it stays as it is", file, err)
	}
	for _, s := range list {
		apps = append(apps, savedApp(s))
	}
	return apps, warnings, nil
}

// bring starts those apps that are not there, and lists as stopped what was.
func (d *daemon) bring(ctx context.Context, saved []savedApp) ([]app.Status, error) {
	present := d.specs()
	var specs, resting []app.Spec
	for _, s := range saved {
		if present[s.Spec.Name] != nil {
			continue
		}
		if s.Stopped && !s.Spec.NoAutostart {
			resting = append(resting, s.Spec)
			s.Spec.NoAutostart = true // for now
		}
		specs = append(specs, s.Spec)
	}
	if len(specs) == 0 {
		return nil, nil
	}
	list, err := d.supervisor.Start(ctx, specs)
	if len(resting) > 0 && (err == nil || len(list) > 0) {
		err = errors.Join(err, d.supervisor.Update(context.WithoutCancel(ctx), resting))
	}
	return list, err
}
