package daemon

import (
	"net/http"
	"time"

	"paceline/internal/api"
	"paceline/internal/history"
)

// showHistory tells what instances have used.
func (d *daemon) showHistory(r *http.Request) (any, error) {
	q, err := api.DecodeHistory(r.URL.Query(), time.Now())
	if err != nil {
		return nil, err
	}
	list, err := d.found(q.Targets)
	if err != nil {
		return nil, err
	}
	select {
	case <-d.historyOpen:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	ask := history.Query{Since: q.Since, Until: q.Until, Step: time.Duration(q.Step)}
	for _, s := range list {
		ask.Keys = append(ask.Keys, history.Key{ID: s.ID, Created: s.CreatedAt.UnixNano()})
	}
	for _, name := range q.Series {
		if series, ok := history.ParseSeries(name); ok { // as DecodeHistory has seen to
			ask.Series = append(ask.Series, series)
		}
	}
	a := d.history.Load().Query(ask)
	h := api.History{Step: q.Step, Start: a.Start, Points: a.Points, Series: []api.HistorySeries{}}
	for i, values := range a.Values {
		of := list[i/len(ask.Series)]
		h.Series = append(h.Series, api.HistorySeries{
			ID: of.ID, Name: of.Name, Series: ask.Series[i%len(ask.Series)].String(), Values: values,
		})
	}
	return h, nil
}
