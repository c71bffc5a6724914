package daemon

import (
	"net/http"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/events"
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
	all, err := d.history.Read(events.Query{Last: whyEvents * max(1, len(wanted)), Match: func(e *app.Event) bool { return wanted[e.Name] }})
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

// memoryOf is what is known of an instance's memory over time.
func (d *daemon) memoryOf(s *app.Status) []why.Sample {
	if s.MemoryBytes == 0 {
		return nil
	}
	return []why.Sample{{At: time.Now(), Bytes: int64(s.MemoryBytes)}}
}
