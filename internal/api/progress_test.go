package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"paceline/internal/app"
)

// TestProgress holds Client and ActionWriter against each other: with and without
// steps, asked for or not, in success and failure.
func TestProgress(t *testing.T) {
	reply := ActionReply{Instances: []app.Status{{ID: 3}}, Verified: []Verification{{App: "api", Served: Unknown}}}
	failure := &Error{Code: CodeReloadFailed, Message: "it crashed", Reply: &reply}
	for _, c := range []struct {
		name   string
		steps  []string
		ask    bool
		failed *Error
	}{
		{"plain", nil, false, nil},
		{"plain failure", nil, false, failure},
		{"steps nobody asked for", []string{"one"}, false, nil},
		{"asked for, none comes", nil, true, nil},
		{"asked for, refused at once", nil, true, failure},
		{"steps", []string{"one", "two\nlines"}, true, nil},
		{"steps and failure", []string{"one", "two"}, true, failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			status := 0
			client := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a := NewActionWriter(w, r)
				for _, s := range c.steps {
					a.Step(s)
				}
				a.Step("")
				if err := a.End(reply, c.failed); err != nil {
					t.Error(err)
				}
				a.Step("too late")
			}))
			client.http.Transport = watch{client.http.Transport, &status}
			var got []string
			var progress func(string)
			if c.ask {
				progress = func(s string) { got = append(got, s) }
			}
			r, err := client.Reload(t.Context(), TargetsRequest{Targets: []string{"api"}}, progress)
			if len(r.Instances) != 1 || r.Instances[0].ID != 3 {
				t.Errorf("the reply was lost: %+v", r)
			}
			e, _ := errors.AsType[*Error](err)
			if (e != nil) != (c.failed != nil) || e == nil && err != nil || e != nil && (e.Code != c.failed.Code || e.Message != c.failed.Message) {
				t.Errorf("got error %v, want %v", err, c.failed)
			}
			want, wantStatus := c.steps, http.StatusOK
			if !c.ask {
				want = nil
			}
			if c.failed != nil && len(want) == 0 {
				wantStatus = c.failed.Code.Status()
			}
			if !slices.Equal(got, want) || status != wantStatus {
				t.Errorf("got steps %q, status %d, want %q, %d", got, status, want, wantStatus)
			}
		})
	}
}

// watch notes the status of the last answer.
type watch struct {
	http.RoundTripper
	status *int
}

func (w watch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err == nil {
		*w.status = response.StatusCode
	}
	return response, err
}

func TestProgressThatBreaks(t *testing.T) {
	body := ""
	c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Write([]byte(body))
	}))
	for _, b := range []struct{ body, want string }{
		{"data: {\"step\":\"x\"}\n\n", ErrLost.Error()},
		{"", ErrLost.Error()},
		{"data: {\n\n", "read event"},
		{"data: [1]\n\n", "read event"},
	} {
		body = b.body
		_, err := c.Reload(t.Context(), TargetsRequest{}, func(string) {})
		if err == nil || !strings.Contains(err.Error(), b.want) {
			t.Errorf("%q: got %v, want %q", b.body, err, b.want)
		}
	}
	body = ": comment\n\ndata: {\"later\":1}\n\ndata: {\"reply\":{\"instances\":[]}}\n\ndata: {\n\n"
	if _, err := c.Reload(t.Context(), TargetsRequest{}, func(string) {}); err != nil {
		t.Errorf("an event of a later version, and something after the end: %v", err)
	}
}

// TestStepsAreWritableAtOnce is for the race detector: instances that are
// replaced in parallel tell of it in parallel.
func TestStepsAreWritableAtOnce(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Accept", "application/json, text/event-stream;q=0.9")
	a := NewActionWriter(w, r)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				a.Step("step")
			}
		})
	}
	wg.Wait()
	if err := a.End(ActionReply{}, nil); err != nil {
		t.Error(err)
	}
	if n := strings.Count(w.Body.String(), "\n\n"); n != 401 {
		t.Errorf("%d events, want 401", n)
	}
}

func TestStepsToNobody(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Accept", streamType)
	a := NewActionWriter(deaf{}, r)
	a.Step("one")
	a.Step("two")
	if err := a.End(ActionReply{}, nil); err == nil {
		t.Error("no error, though nothing could be sent")
	}
}

// deaf is a connection that takes nothing.
type deaf struct{}

func (deaf) Header() http.Header       { return http.Header{} }
func (deaf) WriteHeader(int)           {}
func (deaf) Write([]byte) (int, error) { return 0, errors.New("gone") }
func (deaf) Flush()                    {}
