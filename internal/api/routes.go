package api

import _ "embed"

// Number is the version of the contract; see the package comment for when it
// would change.
const Number = 1

// VersionHeader carries the daemon's version on every response.
const VersionHeader = "Paceline-Version"

// SocketName is the API socket's name in the home folder.
const SocketName = "pace.sock"

// Route is one operation of the API.
type Route struct {
	Method string
	Path   string
	Name   string // the operationId in openapi.json
	Stream bool   // the answer is a stream of server-sent events
	Text   bool   // the answer is MetricsType instead of JSON
}

// Pattern returns the route as http.ServeMux wants it: "GET /v1/version".
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// The operations, by name.
const (
	OpVersion   = "version"
	OpInstances = "instances"
	OpApps      = "apps"
	OpStart     = "start"
	OpApply     = "apply"
	OpStop      = "stop"
	OpRestart   = "restart"
	OpReload    = "reload"
	OpDelete    = "delete"
	OpReset     = "reset"
	OpFlush     = "flush"
	OpScale     = "scale"
	OpSignal    = "signal"
	OpSend      = "send"
	OpTrigger   = "trigger"
	OpReopen    = "reopen"
	OpLogs      = "logs"
	OpEvents    = "events"
	OpWhy       = "why"
	OpHistory   = "history"
	OpPorts     = "ports"
	OpMetrics   = "metrics"
	OpSave      = "save"
	OpResurrect = "resurrect"
	OpKill      = "kill"
	OpUpdate    = "update"
	OpDoctor    = "doctor"
)

// Routes lists every operation. The daemon must serve all of them.
func Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/version", Name: OpVersion},
		{Method: "GET", Path: "/v1/instances", Name: OpInstances},
		{Method: "GET", Path: "/v1/apps", Name: OpApps},
		{Method: "POST", Path: "/v1/apps", Name: OpStart},
		{Method: "POST", Path: "/v1/apply", Name: OpApply},
		{Method: "POST", Path: "/v1/stop", Name: OpStop},
		{Method: "POST", Path: "/v1/restart", Name: OpRestart},
		{Method: "POST", Path: "/v1/reload", Name: OpReload},
		{Method: "POST", Path: "/v1/delete", Name: OpDelete},
		{Method: "POST", Path: "/v1/reset", Name: OpReset},
		{Method: "POST", Path: "/v1/flush", Name: OpFlush},
		{Method: "POST", Path: "/v1/scale", Name: OpScale},
		{Method: "POST", Path: "/v1/signal", Name: OpSignal},
		{Method: "POST", Path: "/v1/send", Name: OpSend},
		{Method: "POST", Path: "/v1/trigger", Name: OpTrigger},
		{Method: "POST", Path: "/v1/reopen", Name: OpReopen},
		{Method: "GET", Path: "/v1/logs", Name: OpLogs, Stream: true},
		{Method: "GET", Path: "/v1/events", Name: OpEvents, Stream: true},
		{Method: "GET", Path: "/v1/why", Name: OpWhy},
		{Method: "GET", Path: "/v1/history", Name: OpHistory},
		{Method: "GET", Path: "/v1/ports", Name: OpPorts},
		{Method: "GET", Path: "/v1/metrics", Name: OpMetrics, Text: true},
		{Method: "POST", Path: "/v1/save", Name: OpSave},
		{Method: "POST", Path: "/v1/resurrect", Name: OpResurrect},
		{Method: "POST", Path: "/v1/kill", Name: OpKill},
		{Method: "POST", Path: "/v1/update", Name: OpUpdate},
		{Method: "GET", Path: "/v1/doctor", Name: OpDoctor},
	}
}

//go:embed openapi.json
var openAPI string

// OpenAPI returns the description of the API, an OpenAPI 3.1 document in JSON.
func OpenAPI() string { return openAPI }
