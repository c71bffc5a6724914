package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"paceline/internal/app"
)

// SeriesNames lists the series of History: "cpu" (per cent of one core, mean),
// "memory" (resident bytes, maximum), "queue" (connections that wait in its accept
// queue, maximum; instances that share a queue have the same), "accepted" (connections
// per second, mean) and "restarts" (count).
func SeriesNames() []string { return []string{"cpu", "memory", "queue", "accepted", "restarts"} }

// HistoryStep is one length of a step, and how far back there are such.
type HistoryStep struct{ Step, Reach time.Duration }

// HistorySteps lists the steps of History, the finest first.
func HistorySteps() []HistoryStep {
	return []HistoryStep{{time.Second, 10 * time.Minute}, {time.Minute, 24 * time.Hour}, {time.Hour, 30 * 24 * time.Hour}}
}

// History is what instances have used, in steps of the same length.
type History struct {
	Step   app.Duration `json:"step"`
	Start  time.Time    `json:"start"`  // of the first step
	Points int          `json:"points"` // how many steps; the last may be under way
	// Series has those that were asked for of each instance, by id.
	Series []HistorySeries `json:"series"`
}

// At returns when a step begins.
func (h History) At(point int) time.Time {
	return h.Start.Add(time.Duration(point) * time.Duration(h.Step))
}

// HistorySeries is one series of one instance.
type HistorySeries struct {
	ID     int    `json:"id"`
	Name   string `json:"name"`   // of the app
	Series string `json:"series"` // one of SeriesNames
	Values Points `json:"values"`
}

// Points are values in time. NaN, which JSON shows as null, says that there is none.
type Points []float64

// MarshalJSON writes numbers as short as they are exact: what is kept is not exact
// beyond four digits, except for bytes.
func (p Points) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+5*len(p))
	b = append(b, '[')
	for i, v := range p {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			b = append(b, "null"...)
		case v == math.Trunc(v) && math.Abs(v) < 1<<53:
			b = strconv.AppendInt(b, int64(v), 10)
		default:
			b = strconv.AppendFloat(b, v, 'g', 4, 64)
		}
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Points) UnmarshalJSON(b []byte) error {
	var list []*float64
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&list); err != nil {
		return err
	}
	*p = make(Points, len(list))
	for i, v := range list {
		if (*p)[i] = math.NaN(); v != nil {
			(*p)[i] = *v
		}
	}
	return nil
}

// HistoryQuery selects history.
type HistoryQuery struct {
	Targets []string // as in TargetsRequest; none means all
	Series  []string // of SeriesNames; none means all
	// Since and Until bound the time. Zero means as far back as there are such steps,
	// or ten minutes if Step is zero too, and now.
	Since, Until time.Time
	// Step is one of HistorySteps; zero means the finest that reaches back to Since.
	Step app.Duration
}

func (q HistoryQuery) values() url.Values {
	v := url.Values{}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	if len(q.Series) > 0 {
		v["series"] = q.Series
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if q.Step != 0 {
		v.Set("step", q.Step.String())
	}
	return v
}

// DecodeHistory reads the query of OpHistory; now is what times in it are back from.
// Of the result no field but Targets is zero. Errors: *Error with CodeInvalid.
func DecodeHistory(v url.Values, now time.Time) (HistoryQuery, error) {
	q := HistoryQuery{Targets: v["target"], Series: v["series"], Until: now}
	for _, name := range q.Series {
		if !slices.Contains(SeriesNames(), name) {
			return HistoryQuery{}, invalid("series %q is none of cpu, memory, queue, accepted, restarts", name)
		}
	}
	if len(q.Series) == 0 {
		q.Series = SeriesNames()
	}
	for name, at := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := v.Get(name); text != "" {
			var err error
			if *at, err = parseTime(name, text, now); err != nil {
				return HistoryQuery{}, err
			}
		}
	}
	if text := v.Get("step"); text != "" {
		var err error
		if q.Step, err = app.ParseDuration(text); err != nil {
			return HistoryQuery{}, invalid("step: %v", err)
		}
		if !slices.ContainsFunc(HistorySteps(), func(s HistoryStep) bool { return s.Step == time.Duration(q.Step) }) {
			return HistoryQuery{}, invalid("step %q is none of 1s, 1m, 1h", text)
		}
	}
	for _, s := range HistorySteps() {
		if q.Step == 0 && (q.Since.IsZero() || now.Sub(q.Since) <= s.Reach) {
			q.Step = app.Duration(s.Step)
		}
		if q.Since.IsZero() && time.Duration(q.Step) == s.Step {
			q.Since = now.Add(-s.Reach)
		}
	}
	if q.Step == 0 {
		q.Step = app.Duration(time.Hour)
	}
	return q, checkTargets(q.Targets)
}

// parseTime reads a time as RFC 3339 writes it, or how long ago it was.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	if d, err := app.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-time.Duration(d)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, invalid("%s %q is neither a time such as 2006-01-02T15:04:05Z nor how long ago, such as 10m", name, text)
	}
	return at, nil
}
