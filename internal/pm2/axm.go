package pm2

import (
	"encoding/json"

	"paceline/internal/app"
	"paceline/internal/inspect"
)

// report is what an instance has told of itself, as values.
type report struct{ actions, monitor, options any }

// told reads what an instance has told. A Node app in PM2 always tells under which name
// it does: scripts count that as one more place where its name stands.
func told(in Instance) report {
	r := report{actions: []any{}, monitor: inspect.Object{}, options: inspect.Object{}}
	if a := in.AXM; a != nil {
		r.actions = read(a.Actions, r.actions)
		r.monitor = read(a.Monitor, r.monitor)
		r.options = read(a.Options, r.options)
	}
	begun := !in.Status.StartedAt.IsZero() || in.Status.LastExit != nil
	options, ok := r.options.(inspect.Object)
	if !ok || !begun || in.Spec.Runtime != app.RuntimeNode {
		return r
	}
	for _, m := range []inspect.Member{
		{Key: "module_conf", Value: inspect.Object{}},
		{Key: "module_name", Value: in.Spec.Name},
		{Key: "module_version", Value: Version},
	} {
		if _, given := options.Get(m.Key); !given {
			options = append(options, m)
		}
	}
	r.options = options
	return r
}

// read returns the value of JSON, or if it is none another one.
func read(text json.RawMessage, otherwise any) any {
	v, err := inspect.Parse(text)
	if err != nil {
		return otherwise
	}
	return v
}
