package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/events"
	"paceline/internal/supervisor"
)

// openEvents takes up what earlier daemons have kept of events. Without files they
// are kept in memory, which is told.
func (d *daemon) openEvents() {
	dir := filepath.Join(d.Home, "events")
	if nameless(d.Home) {
		dir = ""
	}
	past, err := events.Open(events.Options{Dir: dir, Warn: d.trouble})
	if err != nil {
		d.log.Error("events are kept in memory only", "error", err)
		if past, err = events.Open(events.Options{}); err != nil {
			panic(fmt.Sprintf("daemon: events in memory: %v", err)) // there is nothing that can fail
		}
	}
	d.past, d.hub = past, newHub(past.Add)
}

// trouble tells of something that is amiss with Paceline itself, as a warning of no app.
func (d *daemon) trouble(text string) {
	d.happened(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Detail: text})
}

// followEvents sends what has happened, and what happens from now on.
func (d *daemon) followEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := api.DecodeEvents(r.URL.Query())
	if err != nil {
		return err
	}
	wanted, err := d.wantedEvents(q)
	if err != nil {
		return apiError(err)
	}
	happening, stop := d.hub.follow() // before the look at the old ones, so that none is missed
	defer stop()
	var old []app.Event
	if q.Old() {
		old, err = d.past.Read(events.Query{After: q.After, Since: q.Since, Until: q.Until, Last: q.Lines, Match: wanted})
		if err != nil {
			return apiError(err)
		}
	}
	out, err := api.NewEventWriter(w)
	if err != nil {
		return err
	}
	last := q.After
	for i := range old {
		if last = old[i].Seq; r.Context().Err() != nil {
			return nil
		}
		if err := out.Send(old[i]); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil || !q.Follow {
		return err
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case e, ok := <-happening:
			if !ok {
				return nil // too slow: the client sees the stream end, and may come again
			}
			if e.Seq > last && wanted(&e) && (q.Until.IsZero() || !e.At.After(q.Until)) && !e.At.Before(q.Since) {
				if err := out.Send(e); err != nil {
					return err
				}
			}
			if len(happening) == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
		}
	}
}

// wantedEvents makes targets and types a rule for events. A target need not mean
// anything now if it is the name of an app that there was.
func (d *daemon) wantedEvents(q api.EventsQuery) (func(*app.Event) bool, error) {
	var rules []func(*app.Event) bool
	for _, target := range q.Targets {
		rule, err := d.eventsOf(target)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return func(e *app.Event) bool {
		return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
			(len(rules) == 0 || slices.ContainsFunc(rules, func(rule func(*app.Event) bool) bool { return rule(e) }))
	}, nil
}

// eventsOf makes one target a rule.
func (d *daemon) eventsOf(target string) (func(*app.Event) bool, error) {
	if target == "all" {
		return func(e *app.Event) bool { return e.Name != "" }, nil
	}
	ids, err := d.supervisor.Resolve([]string{target})
	if err != nil && !errors.Is(err, supervisor.ErrNotFound) {
		return nil, err
	}
	names := d.namesOf(ids)
	if _, bad := strconv.Atoi(target); bad == nil && len(ids) == 1 && !slices.Contains(names, target) {
		return func(e *app.Event) bool {
			return e.ID == ids[0] || e.ID < 0 && slices.Contains(names, e.Name)
		}, nil
	}
	named := func(e *app.Event) bool { return slices.Contains(names, e.Name) || e.Name == target }
	if text, ok := strings.CutPrefix(target, "/"); ok && strings.HasSuffix(text, "/") {
		if re, bad := regexp.Compile(strings.TrimSuffix(text, "/")); bad == nil {
			named = func(e *app.Event) bool { return e.Name != "" && re.MatchString(e.Name) }
		}
	}
	if err == nil {
		return named, nil
	}
	old, readErr := d.past.Read(events.Query{Last: 1, Match: named})
	if readErr != nil {
		return nil, readErr
	}
	if len(old) == 0 {
		return nil, err
	}
	return named, nil
}
