package web

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// portRates makes rates of counters that are read again and again.
type portRates struct {
	at   time.Time
	seen map[string]int64
}

func (p *portRates) rates(at time.Time, list []api.Port) map[string]traffic {
	now, out := map[string]int64{}, map[string]traffic{}
	for _, port := range list {
		t, known := out[port.App]
		if !known {
			t.accepted = unknown
		}
		if port.Accepted != nil {
			now[port.App] += *port.Accepted
		}
		t.queue += int64(port.Queue)
		out[port.App] = t
	}
	seconds := at.Sub(p.at).Seconds()
	for name, count := range now {
		before, known := p.seen[name]
		if t := out[name]; known && count >= before && seconds > 0 && seconds < 60 {
			t.accepted = int64(math.Round(float64(count-before) / seconds * 10))
			out[name] = t
		}
	}
	p.at, p.seen = at, now
	return out
}

// The series that pages show.
const (
	seriesCPU      = "cpu"
	seriesMemory   = "memory"
	seriesQueue    = "queue"
	seriesAccepted = "accepted"
	seriesRestarts = "restarts"
)

// chart is a history as a page draws it: columns of the same length, null where
// nothing is known.
type chart struct {
	StepMS  int64                        `json:"step"`
	StartMS int64                        `json:"start"`
	Points  int                          `json:"points"`
	Apps    map[string]map[string]column `json:"apps,omitempty"`      // the sum of each app's instances, by series
	Parts   map[int]map[string]column    `json:"instances,omitempty"` // by id, of a single app
	Missing string                       `json:"missing,omitempty"`   // why there is none
}

type column = api.Points

// maxParts is how many instances of an app are drawn one by one.
const maxParts = 16

// ranges are the spans that a page can show, with the step that makes a chart of at
// most some 700 points of each.
func ranges() map[string]struct{ back, step time.Duration } {
	return map[string]struct{ back, step time.Duration }{
		"10m": {10 * time.Minute, time.Second},
		"1h":  {time.Hour, time.Minute},
		"24h": {24 * time.Hour, time.Minute},
		"30d": {30 * 24 * time.Hour, time.Hour},
	}
}

// appHistory answers the charts of one app.
func (s *server) appHistory(_ who, w http.ResponseWriter, r *http.Request) error {
	span, ok := ranges()[cmp.Or(r.URL.Query().Get("range"), "10m")]
	if !ok {
		return invalid("the range is none of 10m, 1h, 24h, 30d")
	}
	name, ids, err := s.meant(r.Context(), r.URL.Query().Get("app"))
	if err != nil {
		return err
	}
	answer, err := s.daemon.History(r.Context(), api.HistoryQuery{
		Targets: ids, Step: app.Duration(span.step), Since: s.now().Add(-span.back),
		Series: []string{seriesCPU, seriesMemory, seriesQueue, seriesAccepted, seriesRestarts},
	})
	if unsupported(err) {
		s.send(w, chart{Missing: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	answer.Series = slices.DeleteFunc(answer.Series, func(x api.HistorySeries) bool { return x.Name != name })
	c := sums(answer, 1)
	if len(ids) > 1 && len(ids) <= maxParts {
		c.Parts = map[int]map[string]column{}
		for _, x := range answer.Series {
			if x.Series != seriesCPU && x.Series != seriesMemory {
				continue
			}
			if c.Parts[x.ID] == nil {
				c.Parts[x.ID] = map[string]column{}
			}
			c.Parts[x.ID][x.Series] = x.Values
		}
	}
	s.send(w, c)
	return nil
}

// sums puts the instances of each app together, and makes one point of every so many.
// Instances may share a queue, so of those it is the longest that is told.
func sums(h api.History, every int) chart {
	points := (h.Points + every - 1) / every
	c := chart{
		StepMS: time.Duration(h.Step).Milliseconds() * int64(every), StartMS: h.Start.UnixMilli(), Points: points,
		Apps: map[string]map[string]column{},
	}
	for _, x := range h.Series {
		if c.Apps[x.Name] == nil {
			c.Apps[x.Name] = map[string]column{}
		}
		total := c.Apps[x.Name][x.Series]
		if total == nil {
			total = make(column, points)
			for i := range total {
				total[i] = math.NaN()
			}
			c.Apps[x.Name][x.Series] = total
		}
		for i := range total {
			from, to := min(i*every, len(x.Values)), min((i+1)*every, len(x.Values))
			v := together(x.Series, x.Values[from:to])
			switch {
			case math.IsNaN(v):
			case math.IsNaN(total[i]):
				total[i] = v
			case x.Series == seriesQueue:
				total[i] = max(total[i], v)
			default:
				total[i] += v
			}
		}
	}
	return c
}

// together makes one value of several that follow each other; NaN of none.
func together(series string, values column) float64 {
	var sum, most, n float64
	for _, v := range values {
		if !math.IsNaN(v) {
			sum, most, n = sum+v, max(most, v), n+1
		}
	}
	switch {
	case n == 0:
		return math.NaN()
	case series == seriesMemory || series == seriesQueue:
		return most
	case series == seriesRestarts:
		return sum
	}
	return sum / n
}

// The small charts of the overview: so many points of so many seconds.
const (
	overviewSeconds = 3
	overviewBack    = 3 * time.Minute
	overviewKept    = 5 * time.Second
)

// historyCache keeps the overview's charts for some seconds, so that many tabs ask
// the daemon once.
type historyCache struct {
	mu    sync.Mutex // guards the others, and is held while the daemon is asked
	at    time.Time
	chart chart
}

// overview answers the small charts of all apps.
func (s *server) overview(_ who, w http.ResponseWriter, r *http.Request) error {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := s.now(); now.Sub(h.at) > overviewKept {
		c, err := s.smallCharts(r.Context(), now)
		if err != nil {
			return err
		}
		h.at, h.chart = now, c
	}
	s.send(w, h.chart)
	return nil
}

func (s *server) smallCharts(ctx context.Context, now time.Time) (chart, error) {
	answer, err := s.daemon.History(ctx, api.HistoryQuery{
		Step: app.Duration(time.Second), Since: now.Add(-overviewBack),
		Series: []string{seriesCPU, seriesMemory, seriesQueue, seriesAccepted},
	})
	if unsupported(err) {
		return chart{Missing: err.Error()}, nil
	}
	if err != nil {
		return chart{}, err
	}
	return sums(answer, overviewSeconds), nil
}

// metrics passes on the daemon's figures for Prometheus.
func (s *server) metrics(_ who, w http.ResponseWriter, r *http.Request) error {
	text, err := s.daemon.Metrics(r.Context(), api.MetricsQuery{})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.MetricsType)
	s.write(w, http.StatusOK, text)
	return nil
}
