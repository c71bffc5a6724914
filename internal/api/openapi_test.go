package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

// document is the part of an OpenAPI document that the tests look at.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Parameters  []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
	RequestBody *struct {
		Content map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Ref     string           `json:"$ref"`
		Content map[string]media `json:"content"`
	} `json:"responses"`
}

type media struct {
	Schema *schema `json:"schema"`
}

type schema struct {
	Ref             string             `json:"$ref"`
	Type            any                `json:"type"`
	Format          string             `json:"format"`
	ContentEncoding string             `json:"contentEncoding"`
	Enum            []string           `json:"enum"`
	Items           *schema            `json:"items"`
	Additional      *schema            `json:"additionalProperties"`
	Required        []string           `json:"required"`
	Properties      map[string]*schema `json:"properties"`
	Description     string             `json:"description"`
}

func load(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(OpenAPI()), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// exchange says which types and parameters an operation has.
type exchange struct {
	request, response reflect.Type
	query             []string
	progress          reflect.Type // of the events of an answer that may be a stream
}

func exchanges() map[string]exchange {
	targets := exchange{request: reflect.TypeFor[TargetsRequest](), response: reflect.TypeFor[ActionReply]()}
	return map[string]exchange{
		OpVersion:   {response: reflect.TypeFor[Version]()},
		OpInstances: {response: reflect.TypeFor[[]app.Status](), query: []string{"target", "brief"}},
		OpApps:      {response: reflect.TypeFor[[]AppInfo](), query: []string{"target", "env"}},
		OpStart:     {request: reflect.TypeFor[StartRequest](), response: reflect.TypeFor[ActionReply]()},
		OpApply: {
			request: reflect.TypeFor[ApplyRequest](), response: reflect.TypeFor[ActionReply](), progress: reflect.TypeFor[Progress](),
		},
		OpStop:    targets,
		OpRestart: targets,
		OpReload:  {request: targets.request, response: targets.response, progress: reflect.TypeFor[Progress]()},
		OpDelete:  targets,
		OpReset:   targets,
		OpFlush:   targets,
		OpScale:   {request: reflect.TypeFor[ScaleRequest](), response: reflect.TypeFor[ActionReply]()},
		OpSignal:  {request: reflect.TypeFor[SignalRequest](), response: targets.response},
		OpSend:    {request: reflect.TypeFor[SendRequest](), response: targets.response},
		OpTrigger: {request: reflect.TypeFor[TriggerRequest](), response: reflect.TypeFor[TriggerReply]()},
		OpReopen:  {response: reflect.TypeFor[ReopenReply]()},
		OpLogs: {response: reflect.TypeFor[LogLine](), query: []string{
			"target", "lines", "stream", "follow", "since", "until", "grep", "ignore_case", "invert", "level", "places", "after",
		}},
		OpEvents:    {response: reflect.TypeFor[app.Event](), query: []string{"target", "type", "since", "until", "after", "lines", "follow"}},
		OpWhy:       {response: reflect.TypeFor[[]Why](), query: []string{"target"}},
		OpHistory:   {response: reflect.TypeFor[History](), query: []string{"target", "series", "since", "until", "step"}},
		OpPorts:     {response: reflect.TypeFor[[]Port](), query: []string{"target"}},
		OpMetrics:   {response: reflect.TypeFor[string](), query: []string{"pss"}},
		OpKill:      {request: reflect.TypeFor[KillRequest](), response: reflect.TypeFor[KillReply]()},
		OpUpdate:    {request: reflect.TypeFor[UpdateRequest](), response: reflect.TypeFor[UpdateReply]()},
		OpDoctor:    {response: reflect.TypeFor[[]Check]()},
		OpSave:      {request: reflect.TypeFor[SaveRequest](), response: reflect.TypeFor[SaveReply]()},
		OpResurrect: {request: reflect.TypeFor[ResurrectRequest](), response: reflect.TypeFor[ActionReply]()},
	}
}

func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	d := load(t)
	all := exchanges()
	described := 0
	for _, operations := range d.Paths {
		described += len(operations)
	}
	if described != len(Routes()) {
		t.Errorf("openapi.json has %d operations, the route table %d", described, len(Routes()))
	}
	for _, r := range Routes() {
		o, ok := d.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s is not in openapi.json", r.Pattern())
			continue
		}
		if o.OperationID != r.Name || o.Summary == "" {
			t.Errorf("%s: operationId %q, summary %q; the route's name is %q", r.Pattern(), o.OperationID, o.Summary, r.Name)
		}
		want, ok := all[r.Name]
		if !ok {
			t.Errorf("%s: not in this test's table", r.Name)
			continue
		}
		var query []string
		for _, p := range o.Parameters {
			query = append(query, p.Name)
		}
		if !slices.Equal(query, want.query) {
			t.Errorf("%s: parameters %q, want %q", r.Name, query, want.query)
		}
		if (o.RequestBody != nil) != (want.request != nil) {
			t.Errorf("%s: request body described: %v, has one: %v", r.Name, o.RequestBody != nil, want.request != nil)
		} else if want.request != nil {
			d.check(t, r.Name+" request", o.RequestBody.Content["application/json"].Schema, want.request)
		}
		mime := "application/json"
		if r.Stream {
			mime = "text/event-stream"
		}
		if r.Text {
			mime = "text/plain"
		}
		d.check(t, r.Name+" response", o.Responses["200"].Content[mime].Schema, want.response)
		events, streamed := o.Responses["200"].Content[streamType]
		switch {
		case want.progress != nil:
			d.check(t, r.Name+" progress", events.Schema, want.progress)
		case streamed && !r.Stream:
			t.Errorf("%s: a stream is described, but is none", r.Name)
		}
		if o.Responses["default"].Ref != "#/components/responses/Error" {
			t.Errorf("%s: errors are not described", r.Name)
		}
	}
	d.check(t, "errors", &schema{Ref: "#/components/schemas/ErrorBody"}, reflect.TypeFor[ErrorBody]())
}

// check holds a schema against the Go type whose JSON it describes.
func (d document) check(t *testing.T, at string, s *schema, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if s == nil {
		t.Errorf("%s: no schema for %s", at, typ)
		return
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		if name != typ.Name() {
			t.Errorf("%s: refers to %s, the type is %s", at, name, typ)
		}
		if s = d.Components.Schemas[name]; s == nil {
			t.Errorf("%s: %s is not defined", at, name)
			return
		}
	}
	want := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
		reflect.Uint64: "integer", reflect.Uint32: "integer", reflect.Float64: "number", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	}[typ.Kind()]
	switch typ {
	case reflect.TypeFor[time.Time]():
		want = "string"
		if s.Format != "date-time" {
			t.Errorf("%s: format %q, want date-time", at, s.Format)
		}
	case reflect.TypeFor[app.Duration]():
		if types, ok := s.Type.([]any); !ok || len(types) != 2 {
			t.Errorf("%s: type %v, want string or number", at, s.Type)
		}
		return
	case reflect.TypeFor[Points]():
		if types, ok := s.Items.Type.([]any); s.Type != "array" || !ok || len(types) != 2 {
			t.Errorf("%s: got %v of %v, want an array of numbers or null", at, s.Type, s.Items.Type)
		}
		return
	case reflect.TypeFor[json.RawMessage]():
		if s.Type != nil || s.Description == "" {
			t.Errorf("%s: type %v, want none, as it may be any, and a description", at, s.Type)
		}
		return
	case reflect.TypeFor[[]byte]():
		want = "string"
		if s.ContentEncoding != "base64" {
			t.Errorf("%s: contentEncoding %q, want base64", at, s.ContentEncoding)
		}
	}
	if s.Type != want {
		t.Errorf("%s: type %v, want %s for %s", at, s.Type, want, typ)
		return
	}
	switch want {
	case "array":
		d.check(t, at+"[]", s.Items, typ.Elem())
	case "object":
		if typ.Kind() == reflect.Map {
			d.check(t, at+"{}", s.Additional, typ.Elem())
			return
		}
		d.checkFields(t, at, s, typ)
	}
}

func (d document) checkFields(t *testing.T, at string, s *schema, typ reflect.Type) {
	t.Helper()
	if s.Description == "" {
		t.Errorf("%s: %s is not described", at, typ)
	}
	var names, required []string
	for f := range typ.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
		if s.Properties[name] == nil {
			t.Errorf("%s: field %s of %s is not described", at, name, typ)
			continue
		}
		d.check(t, at+"."+name, s.Properties[name], f.Type)
	}
	for name := range s.Properties {
		if !slices.Contains(names, name) {
			t.Errorf("%s: %s is described, but %s has no such field", at, name, typ)
		}
	}
	if !slices.Equal(s.Required, required) {
		t.Errorf("%s: required %q, want %q: what %s always writes", at, s.Required, required, typ)
	}
}

func TestOpenAPIEnums(t *testing.T) {
	d := load(t)
	for name, want := range map[string][]string{
		"Code": texts(Codes()), "State": texts(app.States()), "Mode": {string(app.Fork), string(app.Cluster)},
		"Balance": texts(app.Balances()), "Stream": {string(Out), string(Err), string(Place), string(Notice)},
		"EventType": texts(app.EventTypes()), "HookWord": texts(app.HookWords()),
	} {
		if got := d.Components.Schemas[name].Enum; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func texts[T ~string](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

func TestCodesHaveAStatus(t *testing.T) {
	for _, c := range Codes() {
		if s := c.Status(); s < 400 || s == 500 && c != CodeInternal {
			t.Errorf("%s: status %d", c, s)
		}
	}
}
