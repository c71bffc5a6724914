package app

import "encoding/json"

// Metric is one figure that a process reports of itself, as apps with @pm2/io do.
type Metric struct {
	Name  string `json:"name"`
	Value string `json:"value"`          // as the app wrote it: "9.23", "true"
	Unit  string `json:"unit,omitempty"` // "MiB", "%"
}

// AXM is what a process has reported of itself, in the shapes in which @pm2/io sends
// it and PM2 lists it. Bounded: see package axm.
type AXM struct {
	Actions json.RawMessage `json:"axm_actions"` // array of {action_name, action_type, arity}
	Monitor json.RawMessage `json:"axm_monitor"` // object: {value, unit, type, historic} by name
	Options json.RawMessage `json:"axm_options"` // object
}
