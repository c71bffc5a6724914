package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two specs of an app.
type Change struct {
	App string `json:"app"`
	// Field is the spec's field by its JSON name, or "env.NAME".
	Field string `json:"field"`
	// Old and New are the values as JSON; "" where there is none. Those of
	// variables, which may be secrets, are left out.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Kind is "added", "changed" or "removed".
	Kind string `json:"kind"`
}

// The kinds of a Change.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// String says it in one line, without the app: "env.PORT changed", "instances 2 -> 4".
func (c Change) String() string {
	if strings.HasPrefix(c.Field, "env.") {
		return c.Field + " " + c.Kind
	}
	old, now := c.Old, c.New
	if old == "" {
		old = "(default)"
	}
	if now == "" {
		now = "(default)"
	}
	return fmt.Sprintf("%s %s -> %s", c.Field, old, now)
}

// Diff lists what differs between two specs of one app, by field, variables last.
func Diff(old, now *Spec) []Change {
	before, after := fields(old), fields(now)
	var list []Change
	for _, name := range slices.Sorted(maps.Keys(merged(before, after))) {
		if name == "env" {
			continue
		}
		list = append(list, compare(now.Name, name, before, after)...)
	}
	for _, name := range slices.Sorted(maps.Keys(merged(old.Env, now.Env))) {
		for _, c := range compare(now.Name, name, old.Env, now.Env) {
			list = append(list, Change{App: c.App, Field: "env." + c.Field, Kind: c.Kind})
		}
	}
	return list
}

func compare(app, key string, before, after map[string]string) []Change {
	old, was := before[key]
	now, is := after[key]
	c := Change{App: app, Field: key, Old: old, New: now, Kind: Changed}
	switch {
	case was && is && old == now:
		return nil
	case !was:
		c.Kind = Added
	case !is:
		c.Kind = Removed
	}
	return []Change{c}
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return all
}

// fields are a spec's fields as JSON, by name.
func fields(s *Spec) map[string]string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("app: encode spec: %v", err)) // it holds only plain values
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		panic(fmt.Sprintf("app: decode spec: %v", err))
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		out[k] = string(v)
	}
	return out
}
