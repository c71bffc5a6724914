package daemon

import (
	"math"
	"net/http"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/events"
	"paceline/internal/history"
	"paceline/internal/kernel"
	"paceline/internal/revision"
	"paceline/internal/why"
)

// whyEvents is how many events of an app are looked through at most.
const whyEvents = 5000

// why explains instances.
func (d *daemon) why(r *http.Request) (any, error) {
	q, err := api.DecodeWhy(r.URL.Query())
	if err != nil {
		return nil, err
	}
	list, err := d.selected(q.Targets)
	if err != nil {
		return nil, err
	}
	specs, now := d.specs(), time.Now()
	wanted := map[string]bool{}
	for i := range list {
		wanted[list[i].Name] = true
	}
	all, err := d.past.Read(events.Query{Last: whyEvents * max(1, len(wanted)), Match: func(e *app.Event) bool { return wanted[e.Name] }})
	if err != nil {
		return nil, err
	}
	byName := map[string][]app.Event{}
	for i := range all {
		byName[all[i].Name] = append(byName[all[i].Name], all[i])
	}
	revisions := map[string]string{}
	reply := []api.Why{}
	for i := range list {
		s := &list[i]
		spec := specs[s.Name]
		if spec == nil { // deleted meanwhile
			continue
		}
		if _, ok := revisions[s.Name]; !ok {
			revisions[s.Name] = revision.Of(spec.Exec, spec.Cwd)
		}
		f := why.Facts{
			Spec: *spec, Status: *s, Events: byName[s.Name], Revision: revisions[s.Name], Memory: d.memoryOf(s), Now: now,
		}
		if s.LastExit != nil && s.LastExit.Signal != "" && s.LastExit.PID > 0 {
			f.Kernel = kernel.LogOf(s.LastExit.PID)
		}
		// A value that is in a .env file alone is not to be told either.
		if values, err := variables(spec); err == nil {
			f.Spec.Env = values
		}
		reply = append(reply, why.Explain(f))
	}
	return reply, nil
}

// memoryOf is what is known of an instance's memory in the last ten minutes.
func (d *daemon) memoryOf(s *app.Status) (list []why.Sample) {
	store := d.history.Load()
	if store == nil { // it is being read still
		return nil
	}
	now := time.Now()
	a := store.Query(history.Query{
		Keys: []history.Key{{ID: s.ID, Created: s.CreatedAt.UnixNano()}}, Series: []history.Series{history.Memory},
		Since: now.Add(-10 * time.Minute), Until: now, Step: time.Second,
	})
	for _, values := range a.Values {
		for i, v := range values {
			if !math.IsNaN(v) && v > 0 {
				list = append(list, why.Sample{At: a.Start.Add(time.Duration(i) * time.Second), Bytes: int64(v)})
			}
		}
	}
	return list
}
