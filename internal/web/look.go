package web

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// hello tells a page that it is signed in, and where.
func (s *server) hello(_ who, w http.ResponseWriter, r *http.Request) error {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	answer := map[string]string{"host": host}
	if v, err := s.daemon.Version(r.Context()); err == nil {
		answer["version"] = v.Version
	}
	s.send(w, answer)
	return nil
}

// meant returns the ids of the instances of the app of that name. It is by them that
// the daemon is asked: a name could be a namespace, a pattern or "all" as well.
func (s *server) meant(ctx context.Context, name string) (_ string, ids []string, err error) {
	if name == "" {
		return "", nil, invalid("name an app")
	}
	list, err := s.daemon.Instances(ctx, api.InstancesQuery{Brief: true})
	if err != nil {
		return "", nil, err
	}
	for i := range list {
		if list[i].Name == name {
			ids = append(ids, strconv.Itoa(list[i].ID))
		}
	}
	if len(ids) == 0 {
		return "", nil, &api.Error{Code: api.CodeNotFound, Message: "there is no app " + strconv.Quote(name)}
	}
	return name, ids, nil
}

// info returns an app. With env, its variables' values are in it.
func (s *server) info(ctx context.Context, name string, env bool) (api.AppInfo, error) {
	_, ids, err := s.meant(ctx, name)
	if err != nil {
		return api.AppInfo{}, err
	}
	list, err := s.daemon.Apps(ctx, api.AppsQuery{Targets: ids, Env: env})
	if err != nil {
		return api.AppInfo{}, err
	}
	for _, one := range list {
		if one.Spec.Name == name {
			return one, nil
		}
	}
	return api.AppInfo{}, &api.Error{Code: api.CodeNotFound, Message: "there is no app " + strconv.Quote(name)}
}

// detail is what the page of an app shows beside the figures.
type detail struct {
	Name      string      `json:"name"`
	Namespace string      `json:"namespace,omitempty"`
	Command   []string    `json:"command"` // what looks like a secret is masked
	Cwd       string      `json:"cwd"`
	Source    string      `json:"source,omitempty"`
	Mode      app.Mode    `json:"mode"`
	Balance   app.Balance `json:"balance,omitempty"`
	Mechanism string      `json:"mechanism,omitempty"`
	Why       string      `json:"why,omitempty"` // why the balance is not the one asked for
	MaxMemory int64       `json:"max_memory,omitempty"`
	Cron      string      `json:"cron,omitempty"`
	Job       string      `json:"job,omitempty"`
	Watched   bool        `json:"watched,omitempty"`
	Self      bool        `json:"self,omitempty"` // it is the dashboard's own app
	Instances []detailOf  `json:"instances"`
	Outs      []string    `json:"logs,omitempty"` // the files
}

// detailOf is what it shows of an instance.
type detailOf struct {
	ID      int           `json:"id"`
	Created int64         `json:"created,omitempty"`
	Exit    string        `json:"exit,omitempty"`
	ExitAt  int64         `json:"exit_at,omitempty"`
	Stderr  []string      `json:"stderr,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Checks  []app.Checked `json:"checks,omitempty"`
	Metrics []app.Metric  `json:"metrics,omitempty"`
}

// app answers what is configured, and what else is known of an app.
func (s *server) app(_ who, w http.ResponseWriter, r *http.Request) error {
	d, err := s.detail(r.Context(), r.URL.Query().Get("app"))
	if err != nil {
		return err
	}
	s.send(w, d)
	return nil
}

func (s *server) detail(ctx context.Context, name string) (*detail, error) {
	one, err := s.info(ctx, name, false)
	if err != nil {
		return nil, err
	}
	spec := &one.Spec
	_, argv := spec.Command()
	d := &detail{
		Name: spec.Name, Namespace: spec.Namespace, Command: maskWords(argv), Cwd: spec.Cwd, Source: spec.Source,
		Mode: spec.Mode, Balance: spec.Balance, MaxMemory: spec.MaxMemoryBytes, Cron: spec.CronRestart, Job: spec.Job,
		Watched: spec.Watch != nil, Self: spec.Name == AppName,
	}
	for i := range one.Instances {
		in := &one.Instances[i]
		o := detailOf{ID: in.ID, Created: milliseconds(in.CreatedAt), Notes: in.Notes, Checks: in.Checks, Metrics: in.Metrics}
		if in.LastExit != nil && !in.LastExit.Wanted {
			o.Exit, o.ExitAt, o.Stderr = in.LastExit.String(), milliseconds(in.LastExit.At), in.LastExit.Stderr
		}
		if in.Balance != "" {
			d.Balance, d.Mechanism, d.Why = in.Balance, in.Mechanism, in.BalanceReason
		}
		for _, file := range []string{in.OutFile, in.ErrFile} {
			if file != "" && !slices.Contains(d.Outs, file) && len(d.Outs) < 8 {
				d.Outs = append(d.Outs, file)
			}
		}
		d.Instances = append(d.Instances, o)
	}
	return d, nil
}

// mask is shown in the place of a secret.
const mask = "••••••"

// maskWords takes secrets out of a command line: --token=x, --password x, and what
// looks like one by itself.
func maskWords(argv []string) []string {
	list := slices.Clone(argv)
	secret := false
	for i, word := range list {
		name, value, pair := strings.Cut(word, "=")
		option := strings.HasPrefix(word, "-")
		named := app.SecretName(strings.ReplaceAll(strings.TrimLeft(name, "-"), "-", "_"))
		switch {
		case secret && !option:
			list[i] = mask
		case pair && (named || app.SecretValue(value)):
			list[i] = name + "=" + mask
		case app.SecretValue(word):
			list[i] = mask
		}
		secret = option && !pair && named
	}
	return list
}

// variable is one of an app's environment.
type variable struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Masked bool   `json:"masked,omitempty"`
	Own    bool   `json:"own,omitempty"` // the app's configuration sets it; the others are inherited
}

// env answers the variables of an app; the values of secrets do not leave us.
func (s *server) env(_ who, w http.ResponseWriter, r *http.Request) error {
	one, err := s.info(r.Context(), r.URL.Query().Get("app"), true)
	if err != nil {
		return err
	}
	list := make([]variable, 0, len(one.Spec.Env))
	for _, name := range slices.Sorted(maps.Keys(one.Spec.Env)) {
		v := variable{Name: name, Value: one.Spec.Env[name], Own: slices.Contains(one.Spec.EnvOwn, name)}
		if v.Value != "" && (app.SecretName(name) || app.SecretValue(v.Value)) {
			v.Value, v.Masked = mask, true
		}
		list = append(list, v)
	}
	s.send(w, map[string]any{"env": list, "files": one.Spec.EnvFiles})
	return nil
}

// reveal answers one value that is masked. It is a POST: it cannot be linked to.
func (s *server) reveal(me who, w http.ResponseWriter, r *http.Request) error {
	var q struct {
		App  string `json:"app"`
		Name string `json:"name"`
	}
	if err := decode(r, &q); err != nil {
		return err
	}
	one, err := s.info(r.Context(), q.App, true)
	if err != nil {
		return err
	}
	value, ok := one.Spec.Env[q.Name]
	if !ok {
		return &api.Error{Code: api.CodeNotFound, Message: "there is no such variable"}
	}
	s.log.Printf("%s of %s shown to %s", strconv.Quote(q.Name), strconv.Quote(q.App), me.remote)
	s.send(w, map[string]string{"value": value})
	return nil
}

// events answers what has happened, newest last. Those of one app are asked for, as
// among the last of all there may be few of it.
func (s *server) events(_ who, w http.ResponseWriter, r *http.Request) error {
	limit, err := number(r, "limit", 200, recentEvents)
	if err != nil {
		return err
	}
	name := r.URL.Query().Get("app")
	if name == "" {
		s.send(w, s.feed.newest("", limit))
		return nil
	}
	_, ids, err := s.meant(r.Context(), name)
	if err != nil {
		return err
	}
	list := []app.Event{}
	err = s.daemon.Events(r.Context(), api.EventsQuery{Targets: append(ids, name), Lines: limit}, api.Handler[app.Event]{Value: func(e app.Event) error {
		if e.Data = nil; e.Name == name { // and not one of a namespace that is called so
			list = append(list, e)
		}
		return nil
	}})
	if err != nil {
		return err
	}
	s.send(w, list)
	return nil
}

// number reads a small number of the query.
func number(r *http.Request, name string, fallback, most int) (int, error) {
	text := cmp.Or(r.URL.Query().Get(name), strconv.Itoa(fallback))
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, invalid(name + " is not a number between 0 and " + strconv.Itoa(most))
	}
	return n, nil
}

// The bounds of what a search answers.
const (
	maxFound   = 2000 // lines, the last ones; of each log as many are asked for
	maxNotices = 20   // what the search has to say, once each, before them
)

// searchLogs answers the last lines that match, the newest last. The daemon has a process
// of its own look for them, in rotated and compressed files too.
func (s *server) searchLogs(_ who, w http.ResponseWriter, r *http.Request) error {
	q, err := s.logsQuery(r)
	if err != nil {
		return err
	}
	v := r.URL.Query()
	q.Grep, q.IgnoreCase, q.Level, q.Lines = v.Get("grep"), v.Get("ignore_case") != "", v.Get("level"), maxFound
	if since := v.Get("since"); since != "" {
		if q.Since, err = api.ParseMoment(since, time.Now()); err != nil {
			return invalid("since: " + err.Error())
		}
	}
	if !q.Searches() {
		q.Grep = "^" // any line: what is found is in the order of time
	}
	if err := q.Check(); err != nil {
		return err
	}
	found, notices := []line{}, []line{}
	err = s.daemon.Logs(r.Context(), q.LogsQuery, api.Handler[api.LogLine]{Value: func(l api.LogLine) error {
		switch {
		case l.Stream == api.Notice && (q.mine(&l) || l.Name == ""): // "": of the search itself
			l.ID = -1 // each log says the same
			if one := lineOf(&l); !slices.ContainsFunc(notices, func(n line) bool { return n.Text == one.Text }) && len(notices) < maxNotices {
				notices = append(notices, one)
			}
		case q.mine(&l):
			if found = append(found, lineOf(&l)); len(found) >= 2*maxFound {
				found = append(found[:0], found[maxFound:]...)
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	found = found[max(0, len(found)-maxFound):]
	s.send(w, map[string]any{"lines": append(notices, found...), "more": len(found) == maxFound}) // there may be more
	return nil
}
