package daemon

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/kernel"
	"paceline/internal/supervisor"
)

// instances lists what there is.
func (d *daemon) instances(r *http.Request) (any, error) {
	q, err := api.DecodeInstances(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if !q.Brief {
		return d.selected(q.Targets)
	}
	list, err := d.found(q.Targets)
	if err != nil {
		return nil, err
	}
	specs := d.specs()
	for i := range list {
		if spec := specs[list[i].Name]; spec != nil {
			d.host.figures(&list[i], spec)
			list[i].NextRun = d.triggers.next(spec)
		}
		list[i] = api.Brief(list[i])
	}
	return api.Briefs(list), nil
}

// selected returns the instances that the targets mean; no target means all,
// and none is not an error then.
func (d *daemon) selected(targets []string) ([]app.Status, error) {
	list, err := d.found(targets)
	if err != nil {
		return nil, err
	}
	d.complete(list)
	return list, nil
}

// found is selected without what the supervisor does not know.
func (d *daemon) found(targets []string) ([]app.Status, error) {
	list := d.supervisor.List()
	if len(targets) > 0 {
		ids, err := d.supervisor.Resolve(targets)
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(s app.Status) bool { return !slices.Contains(ids, s.ID) })
	}
	if list == nil {
		list = []app.Status{}
	}
	return list, nil
}

// specs returns the wanted specs by name.
func (d *daemon) specs() map[string]*app.Spec {
	list := d.supervisor.Apps()
	specs := make(map[string]*app.Spec, len(list))
	for i := range list {
		specs[list[i].Name] = &list[i]
	}
	return specs
}

// complete adds to statuses what the supervisor does not know.
func (d *daemon) complete(list []app.Status) {
	specs := d.specs()
	for i := range list {
		if spec := specs[list[i].Name]; spec != nil { // else it has been deleted meanwhile
			d.host.complete(&list[i], spec)
			list[i].NextRun = d.triggers.next(spec)
		}
	}
}

// apps lists the apps with what the user configured.
func (d *daemon) apps(r *http.Request) (any, error) {
	q, err := api.DecodeApps(r.URL.Query())
	if err != nil {
		return nil, err
	}
	list, err := d.selected(q.Targets)
	if err != nil {
		return nil, err
	}
	infos, at := []api.AppInfo{}, map[string]int{}
	specs := d.specs()
	for _, s := range list {
		i, ok := at[s.Name]
		if !ok {
			i, at[s.Name] = len(infos), len(infos)
			info := api.AppInfo{Spec: *specs[s.Name]}
			info.EnvNames = slices.Sorted(maps.Keys(info.Spec.Env))
			if !q.Env {
				info.Spec.Env = nil
			}
			infos = append(infos, info)
		}
		infos[i].Instances = append(infos[i].Instances, s)
		infos[i].PIDFiles = append(infos[i].PIDFiles, filesOf(d.Home, specs[s.Name], s.ID).pid)
	}
	for i := range infos {
		infos[i].AXM = d.host.reportsOf(infos[i].Instances)
	}
	return infos, nil
}

// start starts new apps.
func (d *daemon) start(r *http.Request) (any, error) {
	q, err := api.DecodeStart(r.Body)
	if err != nil {
		return nil, err
	}
	for i := range q.Specs {
		if q.Specs[i].Print != "" && !d.Foreground {
			return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf(
				"%s: this daemon is in the background and has no output to print to; `pace logs` follows the log files", q.Specs[i].Name)}
		}
	}
	if err := checkTriggers(q.Specs); err != nil {
		return nil, err
	}
	d.commandedSpecs(r, "start", q.Specs)
	if q.Force || !d.anyRuns(q.Specs) {
		d.configured(q.Specs)
	}
	if q.Force {
		if err := d.replace(r.Context(), q.Specs); err != nil {
			return nil, err
		}
	}
	list, err := d.supervisor.Start(r.Context(), q.Specs)
	d.notConfigured(q.Specs, err)
	d.triggers.sync()
	return d.reply(list, err)
}

// apply brings apps to new specs, and tells of each step whoever wants to hear it.
func (d *daemon) apply(w http.ResponseWriter, r *http.Request) {
	d.tellSteps(w, r, d.applySpecs)
}

func (d *daemon) applySpecs(r *http.Request, step func(string)) (api.ActionReply, error) {
	q, err := api.DecodeApply(r.Body)
	if err != nil {
		return api.ActionReply{}, err
	}
	if err := checkTriggers(q.Specs); err != nil {
		return api.ActionReply{}, err
	}
	if err := checkEnvFiles(q.Specs); err != nil {
		return api.ActionReply{}, err
	}
	var names []string
	for i := range q.Specs {
		names = append(names, q.Specs[i].Name)
	}
	var there []string // that are reloaded
	if q.Action == api.ApplyReload {
		there = d.existing(names)
	}
	d.commandedSpecs(r, string(q.Action), q.Specs)
	counted := d.host.verify(there)
	if q.Rename != "" {
		err := d.supervisor.Rename(r.Context(), q.Rename, q.Specs[0].Name)
		if err != nil {
			return api.ActionReply{}, err
		}
		d.host.rest(q.Rename, nil)
	}
	d.configured(q.Specs)
	list, changes, err := d.supervisor.Apply(r.Context(), q.Specs, supervisor.ApplyOptions{
		Reload: q.Action == api.ApplyReload, Parallel: q.Parallel, Progress: step,
		Stopped: func(name string) { d.host.rest(name, d.slots(name)) }, // its ports come anew
	})
	d.notConfigured(q.Specs, err)
	d.triggers.sync()
	if err == nil {
		for _, name := range names {
			d.host.prune(name)
		}
	}
	verified := counted.end()
	d.counts.reloaded(there, err, verified)
	reply, err := d.reply(list, err)
	reply.Changes = changes
	if q.Verify {
		reply.Verified = verified
	}
	return reply, err
}

// tellSteps answers with what act leads to, and its steps before that.
func (d *daemon) tellSteps(w http.ResponseWriter, r *http.Request, act func(*http.Request, func(string)) (api.ActionReply, error)) {
	answer := api.NewActionWriter(w, r)
	reply, err := act(r, answer.Step)
	var failed *api.Error
	if err != nil {
		failed = apiError(err)
	}
	if err := answer.End(reply, failed); err != nil {
		d.log.Debug("send answer", "error", err)
	}
}

// replace ends the apps whose names the specs take.
func (d *daemon) replace(ctx context.Context, specs []app.Spec) error {
	var ids []int
	for _, s := range d.supervisor.List() {
		if slices.ContainsFunc(specs, func(spec app.Spec) bool { return spec.Name == s.Name }) {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := d.supervisor.Delete(ctx, ids)
	return err
}

// action answers a request for targets with one of the supervisor's commands.
func (d *daemon) action(command func(context.Context, []int) ([]app.Status, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		q, err := api.DecodeTargets(r.Body)
		if err != nil {
			return nil, err
		}
		ids, err := d.supervisor.Resolve(q.Targets)
		if err != nil {
			return nil, err
		}
		d.commanded(r, path.Base(r.URL.Path), ids)
		list, err := command(r.Context(), ids)
		return d.reply(list, err)
	}
}

// restart is the supervisor's, once it is known that the next processes can have
// their environment.
func (d *daemon) restart(ctx context.Context, ids []int) ([]app.Status, error) {
	if err := checkEnvFiles(d.specsOf(d.namesOf(ids))); err != nil {
		return nil, err
	}
	return d.supervisor.Restart(ctx, ids)
}

// specsOf returns the wanted specs of apps.
func (d *daemon) specsOf(names []string) []app.Spec {
	return slices.DeleteFunc(d.supervisor.Apps(), func(s app.Spec) bool { return !slices.Contains(names, s.Name) })
}

// halting is action for commands after which apps may not run any more: their ports
// are free when it answers.
func (d *daemon) halting(command func(context.Context, []int) ([]app.Status, error)) func(*http.Request) (any, error) {
	return d.action(func(ctx context.Context, ids []int) ([]app.Status, error) {
		names := d.namesOf(ids)
		list, err := command(ctx, ids)
		for _, name := range names {
			d.host.rest(name, d.slots(name))
		}
		return list, err
	})
}

// reload replaces instances by successors, and tells of each step whoever wants to
// hear it.
func (d *daemon) reload(w http.ResponseWriter, r *http.Request) {
	d.tellSteps(w, r, d.reloadApps)
}

func (d *daemon) reloadApps(r *http.Request, step func(string)) (api.ActionReply, error) {
	q, err := api.DecodeTargets(r.Body)
	if err != nil {
		return api.ActionReply{}, err
	}
	ids, err := d.supervisor.Resolve(q.Targets)
	if err != nil {
		return api.ActionReply{}, err
	}
	if err := checkEnvFiles(d.specsOf(d.namesOf(ids))); err != nil {
		return api.ActionReply{}, err
	}
	d.commanded(r, "reload", ids)
	names := d.namesOf(ids)
	counted := d.host.verify(names)
	list, err := d.supervisor.Reload(r.Context(), ids, supervisor.ReloadOptions{Parallel: q.Parallel, Progress: step})
	if err == nil {
		for _, name := range names {
			d.host.prune(name)
		}
	}
	verified := counted.end()
	d.counts.reloaded(names, err, verified)
	reply, err := d.reply(list, err)
	if q.Verify {
		reply.Verified = verified
	}
	return reply, err
}

// existing returns those of some names that apps have.
func (d *daemon) existing(names []string) (there []string) {
	specs := d.specs()
	for _, name := range names {
		if specs[name] != nil {
			there = append(there, name)
		}
	}
	return there
}

// namesOf returns the names of the apps that instances belong to.
func (d *daemon) namesOf(ids []int) (names []string) {
	for _, s := range d.supervisor.List() {
		if slices.Contains(ids, s.ID) && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// flush empties log files.
func (d *daemon) flush(r *http.Request) (any, error) {
	q, err := api.DecodeTargets(r.Body)
	if err != nil {
		return nil, err
	}
	list, err := d.selected(q.Targets)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, s := range list {
		for _, file := range []string{s.OutFile, s.ErrFile, s.LogFile} {
			if file != "" && !slices.Contains(paths, file) {
				paths = append(paths, file)
			}
		}
	}
	if err := d.host.pump.Flush(paths...); err != nil {
		return nil, fmt.Errorf("flush logs: %w", err)
	}
	return api.ActionReply{Instances: list}, nil
}

// scale changes how many instances an app has.
func (d *daemon) scale(r *http.Request) (any, error) {
	q, err := api.DecodeScale(r.Body)
	if err != nil {
		return nil, err
	}
	present := 0
	for _, s := range d.supervisor.List() {
		if s.Name == q.App {
			present++
		}
	}
	if present == 0 {
		return nil, fmt.Errorf("app %q: %w; `pace list` shows what there is", q.App, supervisor.ErrNotFound)
	}
	n, err := q.Count(present, kernel.CPUs())
	if err != nil {
		return nil, err
	}
	d.commandedNames(r, fmt.Sprintf("scale to %d", n), []string{q.App})
	list, err := d.supervisor.Scale(r.Context(), q.App, n)
	answer, err := d.reply(list, err)
	if spec := d.specs()[q.App]; spec != nil && err == nil {
		if text := d.host.adoption.unshared(spec); text != "" {
			answer.Warnings = append(answer.Warnings, text)
		}
	}
	return answer, err
}

// reply makes the answer to a command: what it acted on, and what it did before
// it failed.
func (d *daemon) reply(list []app.Status, err error) (api.ActionReply, error) {
	answer := api.ActionReply{Instances: list}
	if list == nil {
		answer.Instances = []app.Status{}
	}
	d.complete(answer.Instances)
	for _, s := range answer.Instances {
		if s.Reason != "" && s.State != app.Errored {
			answer.Warnings = append(answer.Warnings, fmt.Sprintf("%s (%d): %s", s.Name, s.ID, s.Reason))
		}
	}
	if err != nil {
		e := apiError(err)
		e.Reply = &answer
		return answer, e
	}
	return answer, nil
}
