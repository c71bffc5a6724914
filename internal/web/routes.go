package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"paceline/internal/api"
)

// route is one thing that a browser can ask. All but the files and the sign-in need
// a session or the token; what changes something is a POST.
type route struct {
	pattern string
	answer  func(me who, w http.ResponseWriter, r *http.Request) error
}

func (s *server) routes() []route {
	return []route{
		{"GET /api/session", s.hello},
		{"POST /api/logout", s.logout},
		{"GET /api/stream", s.stream},
		{"GET /api/overview", s.overview},
		{"GET /api/app", s.app},
		{"GET /api/history", s.appHistory},
		{"GET /api/events", s.events},
		{"GET /api/logs", s.searchLogs},
		{"GET /api/env", s.env},
		{"POST /api/env/reveal", s.reveal},
		{"POST /api/action", s.act},
		{"GET /metrics", s.metrics},
	}
}

// handler answers everything.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) {
			me, ok := s.recognise(w, q)
			if !ok || !s.readable(w, q) {
				return
			}
			if err := r.answer(me, w, q); err != nil {
				s.fail(w, err)
			}
		})
	}
	mux.HandleFunc("POST /api/login", s.login)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "there is nothing here") })
	mux.Handle("/", allFiles())
	return guard{hosts: s.hosts, tls: s.tls, next: mux}
}

// readable reads and checks what a request brings. From then on the answer may take
// its time.
func (s *server) readable(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "the request is too long, or did not arrive")
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // an error is a connection without deadlines
	if r.Method != http.MethodPost {
		return true
	}
	// What a form of another site can send is not JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return false
	}
	return true
}

// login exchanges the token for a session.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	if !s.readable(w, r) {
		return
	}
	var q struct {
		Token string `json:"token"`
	}
	if err := decode(r, &q); err != nil {
		s.fail(w, err)
		return
	}
	if !s.tryToken(w, r, q.Token) {
		return
	}
	cookie, key := s.sessions.begin()
	s.keep(s.kept.save)
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: cookie, Path: "/", HttpOnly: true, Secure: s.tls,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife / time.Second),
	})
	s.log.Printf("signed in from %s", r.RemoteAddr)
	s.send(w, map[string]string{"key": key})
}

// logout ends the session, and what still streams to it.
func (s *server) logout(_ who, w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		s.sessions.end(c.Value)
		s.keep(s.kept.save)
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Path: "/", HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteStrictMode, MaxAge: -1,
	})
	s.send(w, struct{}{})
	return nil
}

// invalid is a request that no page of ours makes.
func invalid(text string) error { return &api.Error{Code: api.CodeInvalid, Message: text} }

// decode reads a small JSON object.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("the request is not the JSON it should be")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("the request goes on after its end")
	}
	return nil
}

// send answers with JSON.
func (s *server) send(w http.ResponseWriter, v any) {
	s.sendAs(w, http.StatusOK, v)
}

func (s *server) sendAs(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.log.Printf("encode an answer: %v", err)
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be encoded"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	s.write(w, status, text)
}

// write sends a whole answer to a client that has to take it in time.
func (s *server) write(w http.ResponseWriter, status int, body []byte) {
	// From now on, however long the answer has taken.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // as above
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error is the client's, who has left
}

// fail answers with an error of the daemon's, or of the way to it.
func (s *server) fail(w http.ResponseWriter, err error) {
	e := api.AsError(err)
	status := e.Code.Status()
	if errors.Is(err, api.ErrNoDaemon) || errors.Is(err, api.ErrLost) {
		e, status = &api.Error{Code: api.CodeBusy, Message: "the daemon does not answer at the moment"}, http.StatusBadGateway
	}
	s.sendAs(w, status, api.ErrorBody{Error: api.Error{Code: e.Code, Message: e.Message}})
}

// refuse answers what is not answered.
func refuse(w http.ResponseWriter, status int, why string) {
	text, err := json.Marshal(api.ErrorBody{Error: api.Error{Code: api.CodeInvalid, Message: why}})
	if err != nil { // of two texts
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error is the client's, who has left
}
