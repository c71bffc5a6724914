package api

import (
	"net/url"
	"strconv"
	"time"

	"paceline/internal/app"
)

// EventsQuery selects events. They come in the order of their numbers, the old ones
// first.
type EventsQuery struct {
	// Targets are as in TargetsRequest; none means all. A name selects also the events
	// of an app that is deleted by now.
	Targets      []string
	Types        []app.EventType // none means all
	Since, Until time.Time       // only those between; zero: no bound
	After        uint64          // only those with a greater Seq
	// Lines is how many old events come first at most, the last ones; at most
	// MaxLines. Zero: all that there are; with Follow, and without Since, Until and
	// After, none.
	Lines  int
	Follow bool // then those from now on; messages of apps are never old ones
}

// values is the query as it is sent.
func (q EventsQuery) values() url.Values {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	for _, t := range q.Types {
		v.Add("type", string(t))
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if q.After > 0 {
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	if q.Lines > 0 {
		v.Set("lines", strconv.Itoa(q.Lines))
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	return v
}

// DecodeEvents reads the query of OpEvents. Errors: *Error with CodeInvalid.
func DecodeEvents(v url.Values) (EventsQuery, error) {
	q := EventsQuery{Targets: v["target"], Follow: flag(v, "follow")}
	for _, t := range v["type"] {
		q.Types = append(q.Types, app.EventType(t)) // one that is not known selects nothing
	}
	var err error
	if q.Since, err = eventTime(v, "since"); err != nil {
		return EventsQuery{}, err
	}
	if q.Until, err = eventTime(v, "until"); err != nil {
		return EventsQuery{}, err
	}
	if text := v.Get("after"); text != "" {
		if q.After, err = strconv.ParseUint(text, 10, 64); err != nil {
			return EventsQuery{}, invalid("after %q is not the seq of an event", text)
		}
	}
	if text := v.Get("lines"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxLines {
			return EventsQuery{}, invalid("lines %q is not a number between 0 and %d", text, MaxLines)
		}
		q.Lines = n
	}
	return q, checkTargets(q.Targets)
}

// eventTime reads a time, or how long ago it was.
func eventTime(v url.Values, name string) (time.Time, error) {
	text := v.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	ago, err := app.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, invalid("%s %q is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 10m", name, text)
	}
	return time.Now().Add(-time.Duration(ago)), nil
}

// Old reports whether q selects any old events.
func (q EventsQuery) Old() bool {
	return !q.Follow || q.Lines > 0 || q.After > 0 || !q.Since.IsZero() || !q.Until.IsZero()
}

// DecodeWhy reads the query of OpWhy. Errors: *Error with CodeInvalid.
func DecodeWhy(v url.Values) (WhyQuery, error) {
	q := WhyQuery{Targets: v["target"]}
	return q, checkTargets(q.Targets)
}
