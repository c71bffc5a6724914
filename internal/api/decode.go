package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"paceline/internal/app"
)

// Bounds of requests. Linux allows 2 MB of argv and environment by default, so
// a body of MaxBody holds several apps at their largest.
const (
	MaxBody    = 32 << 20
	MaxSpecs   = 1024
	MaxTargets = 10_000
	maxTarget  = 4096
)

func invalid(format string, a ...any) *Error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, a...)}
}

// decode reads one JSON object into v. All errors are CodeInvalid.
func decode(r io.Reader, v any) error {
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	switch {
	case err != nil:
		return invalid("read the request: %v", err)
	case len(body) > MaxBody:
		return invalid("the request is longer than %d bytes", MaxBody)
	case !utf8.Valid(body): // encoding/json would change it silently
		return invalid("the request is not UTF-8")
	}
	if err := json.Unmarshal(body, v); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return invalid("the request's field %q cannot be a %s", e.Field, e.Value)
		}
		return invalid("the request is not the JSON it should be: %v", err)
	}
	return nil
}

// DecodeStart reads and checks the body of OpStart. Each spec has passed
// Validate, with its sockets in their normal form. Errors: *Error with CodeInvalid.
func DecodeStart(r io.Reader) (StartRequest, error) {
	var q StartRequest
	if err := decode(r, &q); err != nil {
		return StartRequest{}, err
	}
	return q, checkSpecs(q.Specs)
}

// DecodeApply reads and checks the body of OpApply, as DecodeStart does.
func DecodeApply(r io.Reader) (ApplyRequest, error) {
	var q ApplyRequest
	if err := decode(r, &q); err != nil {
		return ApplyRequest{}, err
	}
	if q.Action != ApplyRestart && q.Action != ApplyReload {
		return ApplyRequest{}, invalid("action %q is neither restart nor reload", q.Action)
	}
	if err := checkParallel(q.Parallel); err != nil {
		return ApplyRequest{}, err
	}
	if q.Rename != "" && len(q.Specs) != 1 {
		return ApplyRequest{}, invalid("rename is about one app, and there are %d", len(q.Specs))
	}
	return q, checkSpecs(q.Specs)
}

// checkSpecs holds each spec to Validate and brings its sockets into their normal form.
func checkSpecs(specs []app.Spec) error {
	if len(specs) == 0 {
		return invalid("the request names no app")
	}
	if len(specs) > MaxSpecs {
		return invalid("%d apps in one request are more than %d", len(specs), MaxSpecs)
	}
	names := make(map[string]bool, len(specs))
	for i := range specs {
		s := &specs[i]
		var err error
		if s.Sockets, err = app.NormaliseSockets(s.Sockets); err != nil {
			return invalid("%v: %v", app.ErrInvalid, err)
		}
		if err := s.Validate(); err != nil {
			return invalid("%v", err)
		}
		if err := validNamespace(s.Namespace); err != nil {
			return err
		}
		if names[s.Name] {
			return invalid("the app %s is in the request twice", s.Name)
		}
		names[s.Name] = true
	}
	if _, err := app.StartOrder(specs); err != nil {
		return invalid("%v", err)
	}
	return nil
}

func checkParallel(n int) error {
	if n < 0 || n > app.MaxInstances {
		return invalid("parallel %d is not between 0 and %d", n, app.MaxInstances)
	}
	return nil
}

// validNamespace holds namespaces to the rule for names, as they are targets too.
func validNamespace(name string) error {
	if name == "" {
		return nil
	}
	if err := app.ValidName(name); err != nil {
		return invalid("namespace: %v", err)
	}
	return nil
}

// DecodeTargets reads and checks the body of OpStop, OpRestart, OpReload,
// OpDelete, OpReset and OpFlush. Errors: *Error with CodeInvalid.
func DecodeTargets(r io.Reader) (TargetsRequest, error) {
	var q TargetsRequest
	if err := decode(r, &q); err != nil {
		return TargetsRequest{}, err
	}
	if len(q.Targets) == 0 {
		return TargetsRequest{}, invalid("the request names no target")
	}
	if err := checkTargets(q.Targets); err != nil {
		return TargetsRequest{}, err
	}
	if err := checkParallel(q.Parallel); err != nil {
		return TargetsRequest{}, err
	}
	return q, nil
}

func checkTargets(targets []string) error {
	if len(targets) > MaxTargets {
		return invalid("%d targets in one request are more than %d", len(targets), MaxTargets)
	}
	for _, t := range targets {
		switch {
		case t == "":
			return invalid("a target is empty")
		case len(t) > maxTarget:
			return invalid("a target is longer than %d bytes", maxTarget)
		case !utf8.ValidString(t) || strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return invalid("the target %q holds an unprintable character", t)
		}
	}
	return nil
}

// DecodeScale reads and checks the body of OpScale. Errors: *Error with CodeInvalid.
func DecodeScale(r io.Reader) (ScaleRequest, error) {
	var q ScaleRequest
	if err := decode(r, &q); err != nil {
		return ScaleRequest{}, err
	}
	if err := checkTargets([]string{q.App}); err != nil {
		return ScaleRequest{}, err
	}
	if _, err := q.parse(); err != nil {
		return ScaleRequest{}, err
	}
	return q, nil
}

// scale is a parsed ScaleRequest.Instances.
type scale struct {
	n        int
	relative bool
	max      bool
}

func (q ScaleRequest) parse() (scale, error) {
	text := q.Instances
	if text == "max" {
		return scale{max: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -app.MaxInstances || n > app.MaxInstances {
		return scale{}, invalid("instances %q is none of 4, +2, -1, max, with %d at most", text, app.MaxInstances)
	}
	relative := text[0] == '+' || text[0] == '-'
	if n == 0 {
		return scale{}, invalid("instances %q: an app has at least one; to end it, stop or delete it", text)
	}
	return scale{n: n, relative: relative}, nil
}

// Count returns the number of instances that is asked for, of an app that has
// present ones, where cpus can be used. Errors: *Error with CodeInvalid, also if
// nothing would change.
func (q ScaleRequest) Count(present, cpus int) (int, error) {
	s, err := q.parse()
	if err != nil {
		return 0, err
	}
	n := s.n
	switch {
	case s.max:
		n = max(cpus, 1)
	case s.relative:
		n += present
	}
	switch {
	case n == present:
		return 0, invalid("%s has %d instances already: nothing to do", q.App, n)
	case n < 1:
		return 0, invalid("%s has %d instances, so %s would leave none; to end it, stop or delete it", q.App, present, q.Instances)
	case n > app.MaxInstances:
		return 0, invalid("%d instances of %s are more than %d", n, q.App, app.MaxInstances)
	}
	return n, nil
}

// DecodeKill reads the body of OpKill; none at all is the zero request.
// Errors: *Error with CodeInvalid.
func DecodeKill(r io.Reader) (KillRequest, error) {
	var q KillRequest
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return q, invalid("read the request: %v", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return q, nil
	}
	return q, decode(bytes.NewReader(body), &q)
}

// DecodeUpdate reads and checks the body of OpUpdate. Errors: *Error with CodeInvalid.
func DecodeUpdate(r io.Reader) (UpdateRequest, error) {
	var q UpdateRequest
	if err := decode(r, &q); err != nil {
		return UpdateRequest{}, err
	}
	if !filepath.IsAbs(q.Binary) || strings.ContainsRune(q.Binary, 0) {
		return UpdateRequest{}, invalid("binary %q is not an absolute path", q.Binary)
	}
	return q, nil
}

// DecodeInstances reads the query of OpInstances. Errors: *Error with CodeInvalid.
func DecodeInstances(v url.Values) (InstancesQuery, error) {
	q := InstancesQuery{Targets: v["target"], Brief: flag(v, "brief")}
	return q, checkTargets(q.Targets)
}

// DecodeApps reads the query of OpApps. Errors: *Error with CodeInvalid.
func DecodeApps(v url.Values) (AppsQuery, error) {
	q := AppsQuery{Targets: v["target"], Env: flag(v, "env")}
	return q, checkTargets(q.Targets)
}

// DecodePorts reads the query of OpPorts. Errors: *Error with CodeInvalid.
func DecodePorts(v url.Values) (PortsQuery, error) {
	q := PortsQuery{Targets: v["target"]}
	return q, checkTargets(q.Targets)
}

// DecodeMetrics reads the query of OpMetrics.
func DecodeMetrics(v url.Values) MetricsQuery { return MetricsQuery{PSS: flag(v, "pss")} }

func flag(v url.Values, name string) bool {
	text := v.Get(name)
	return text != "" && text != "0" && text != "false"
}
