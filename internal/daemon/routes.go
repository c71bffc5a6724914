package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/supervisor"
)

// handlers serves the API's operations, by name. Streams write for themselves;
// the others return what is sent as JSON.
func (d *daemon) handlers() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		api.OpVersion:   d.version,
		api.OpInstances: d.instances,
		api.OpApps:      d.apps,
		api.OpStart:     d.start,
		api.OpStop:      d.halting(d.supervisor.Stop),
		api.OpRestart:   d.action(d.restart),
		api.OpDelete:    d.halting(d.supervisor.Delete),
		api.OpReset:     d.action(d.supervisor.Reset),
		api.OpFlush:     d.flush,
		api.OpScale:     d.scale,
		api.OpSignal:    d.signal,
		api.OpSend:      d.sendInput,
		api.OpTrigger:   d.trigger,
		api.OpReopen:    d.reopen,
		api.OpWhy:       d.why,
		api.OpSave:      d.saveApps,
		api.OpResurrect: d.resurrect,
		api.OpKill:      d.kill,
		api.OpUpdate:    d.update,
		api.OpDoctor:    d.doctor,
		api.OpHistory:   d.showHistory,
		api.OpPorts:     d.ports,
	}
}

// streams serves the operations that answer with server-sent events.
func (d *daemon) streams() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		api.OpLogs:   d.serveLogs,
		api.OpEvents: d.followEvents,
	}
}

// actions serves the operations that tell of their progress.
func (d *daemon) actions() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{api.OpReload: d.reload, api.OpApply: d.apply}
}

// texts serves the operations that answer with text.
func (d *daemon) texts() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{api.OpMetrics: d.showMetrics}
}

// routes builds the handler of the whole API.
func (d *daemon) routes() http.Handler {
	mux := http.NewServeMux()
	handlers, streams, actions, texts := d.handlers(), d.streams(), d.actions(), d.texts()
	for _, r := range api.Routes() {
		switch {
		case r.Stream && streams[r.Name] != nil:
			mux.Handle(r.Pattern(), d.stream(streams[r.Name]))
		case r.Text && texts[r.Name] != nil:
			mux.Handle(r.Pattern(), texts[r.Name])
		case actions[r.Name] != nil:
			mux.Handle(r.Pattern(), limited(actions[r.Name]))
		case handlers[r.Name] != nil:
			mux.Handle(r.Pattern(), limited(d.answer(handlers[r.Name])))
		default:
			panic("daemon: no handler for " + r.Name)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.fail(w, &api.Error{Code: api.CodeUnsupported, Message: fmt.Sprintf(
			"daemon %s has no %s %s; run `pace update` if the command is newer", d.Version, r.Method, r.URL.Path)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.VersionHeader, d.Version)
		mux.ServeHTTP(w, r)
	})
}

// answer sends what a handler returns.
func (d *daemon) answer(handle func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := handle(r)
		if err != nil {
			d.fail(w, err)
			return
		}
		d.send(w, http.StatusOK, result)
	})
}

// limited bounds the body of a request.
func limited(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, api.MaxBody+1)
		h.ServeHTTP(w, r)
	})
}

func (d *daemon) send(w http.ResponseWriter, status int, body any) {
	var text []byte
	var err error
	if list, ok := body.(api.Briefs); ok {
		text = list.AppendJSON(make([]byte, 0, 256*(1+len(list))))
	} else {
		text, err = json.Marshal(body)
	}
	if err != nil {
		d.log.Error("encode answer", "error", err)
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be encoded"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // a reader then takes it in one piece
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		d.log.Debug("send answer", "error", err)
	}
}

func (d *daemon) fail(w http.ResponseWriter, err error) {
	e := apiError(err)
	d.send(w, e.Code.Status(), api.ErrorBody{Error: *e})
}

// apiError gives an error of the parts below its code.
func apiError(err error) *api.Error {
	if known, ok := errors.AsType[*api.Error](err); ok {
		return known
	}
	for _, c := range []struct {
		is   error
		code api.Code
	}{
		{supervisor.ErrNotFound, api.CodeNotFound},
		{supervisor.ErrExists, api.CodeExists},
		{supervisor.ErrReloading, api.CodeReloading},
		{supervisor.ErrReloadFailed, api.CodeReloadFailed},
		{supervisor.ErrStartFailed, api.CodeStartFailed},
		{supervisor.ErrTarget, api.CodeInvalid},
		{supervisor.ErrNotRunning, api.CodeInvalid},
		{supervisor.ErrUnchanged, api.CodeInvalid},
		{supervisor.ErrClosed, api.CodeBusy},
		{app.ErrInvalid, api.CodeInvalid},
	} {
		if errors.Is(err, c.is) {
			return &api.Error{Code: c.code, Message: err.Error()}
		}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}
