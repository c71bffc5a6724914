package monit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestView(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 20}, {200, 50}} {
		for _, colour := range []bool{false, true} {
			name := fmt.Sprintf("view_%dx%d.txt", size[0], size[1])
			if colour {
				name = fmt.Sprintf("view_%dx%d_colour.txt", size[0], size[1])
			}
			t.Run(name, func(t *testing.T) {
				s := begin(t, colour, sample())
				s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				for i := range 20 {
					list := sample()
					list[0].CPU, list[0].MemoryBytes = float64(i*i)/5, uint64(i)<<22
					s.poll(list)
				}
				s.write(true, "listening on *:3000", "GET /", "wide: 日本語 👍🏽 \x1b[31mred\x1b[0m end", strings.Repeat("long ", 100))
				s.send(lines{stream: s.logs.stream, list: []logLine{
					{id: 1, stream: api.Err, text: "Error: no database"}, {id: 1, stream: api.Notice, text: "3 lines were skipped"},
				}})
				golden(t, name, s.raw())
			})
		}
	}
}

func TestViewOfHelp(t *testing.T) {
	s := begin(t, false, sample())
	s.press("?")
	golden(t, "help_80x24.txt", s.raw())
	s.send(tea.WindowSizeMsg{Width: 40, Height: 40})
	golden(t, "help_40x40.txt", s.raw())
	s.press("x")
	if strings.Contains(s.text(), "any key goes back") {
		t.Error("the help stays")
	}
}

// Names and logs of strangers, of any size of terminal: each line is as wide as the
// screen, and what is on it is text.
func TestEveryLineIsAsWideAsTheScreen(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		list := sample()
		for i := range list {
			list[i].Name = rapid.String().Draw(r, "name")
			list[i].Reason = rapid.String().Draw(r, "reason")
			list[i].CPU = rapid.Float64Range(0, 1e6).Draw(r, "cpu")
			list[i].Restarts = rapid.IntRange(0, 1<<30).Draw(r, "restarts")
		}
		s := begin(t, rapid.Bool().Draw(r, "colour"), list)
		w, h := rapid.IntRange(leastWidth, 210).Draw(r, "width"), rapid.IntRange(leastHeight, 60).Draw(r, "height")
		s.send(tea.WindowSizeMsg{Width: w, Height: h})
		s.write(true, rapid.SliceOfN(rapid.String(), 0, 50).Draw(r, "logs")...)
		s.press(rapid.SliceOfN(rapid.SampledFrom([]string{"j", "k", "tab", "enter", "z", "o", "w", "space", "R", "y", "+", "?", "/", "f", "x", "end", "home"}), 0, 12).Draw(r, "keys")...)
		screen := s.screen()
		if len(screen) != h {
			r.Fatalf("%d lines, want %d", len(screen), h)
		}
		for i, line := range screen {
			text := ansi.Strip(line)
			if got := width(text); got != w || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' }) {
				r.Fatalf("line %d is %d columns wide, want %d: %q", i, got, w, line)
			}
		}
	})
}

func TestATinyTerminal(t *testing.T) {
	s := begin(t, false, sample())
	for w := range leastWidth {
		s.send(tea.WindowSizeMsg{Width: w, Height: 3})
		s.press("/", "x", "esc")
		s.View()
	}
}

func TestAnActionIsAskedForFirst(t *testing.T) {
	s := begin(t, false, sample())
	for _, c := range []struct{ keys, question, want string }{
		{"r", "restart api (3 instances)?  y/n", "restart api [0 1 2] 0"},
		{"R", "reload api (3 instances)?  y/n", "reload api [0 1 2] 0"},
		{"s", "stop api (3 instances)?  y/n", "stop api [0 1 2] 0"},
		{"+", "scale api from 3 to 4?  y/n", "scale api [0 1 2] 4"},
		{"-", "scale api from 3 to 2?  y/n", "scale api [0 1 2] 2"},
		{"j r", "restart api [0]?  y/n", "restart api [0] 0"},
		{"+", "scale api from 3 to 4?  y/n", "scale api [0] 4"},
		{"j j j S", "start worker?  y/n", "start worker [3] 0"},
	} {
		s.wanted()
		s.press(strings.Fields(c.keys)...)
		if text := s.text(); !strings.Contains(text, c.question) {
			t.Fatalf("%s: no question %q in\n%s", c.keys, c.question, text)
		}
		s.press("n")
		if s.has(c.want) || s.confirm != nil {
			t.Errorf("%s: %v although the answer was no", c.keys, s.asked)
		}
		keys := strings.Fields(c.keys)
		s.press(keys[len(keys)-1], "y")
		if !s.has(c.want) {
			t.Errorf("%s: %v, want %s", c.keys, s.asked, c.want)
		}
		s.send(step{"instance 0 is up"})
		if !strings.Contains(s.text(), "instance 0 is up") {
			t.Errorf("%s: the step is not told", c.keys)
		}
		s.send(done{action: action{kind: "reload", label: "api"}, err: errors.New("reload: it is\nbad")})
		if !strings.Contains(s.text(), "reload api: reload: it is bad") {
			t.Errorf("%s: the error is not told:\n%s", c.keys, s.text())
		}
	}
	s.press("home", "down", "S")
	if s.confirm != nil || !strings.Contains(s.text(), "api [0] runs already") {
		t.Errorf("what runs is to be started:\n%s", s.text())
	}
}

func TestNothingIsDoneWithoutADaemon(t *testing.T) {
	s := begin(t, false, sample())
	s.send(eventsEnd{api.ErrLost})
	s.press("r")
	if s.confirm != nil || !strings.Contains(s.text(), "does not answer") {
		t.Errorf("a restart is offered:\n%s", s.text())
	}
}

func TestADaemonThatIsReplaced(t *testing.T) {
	s := begin(t, false, sample())
	s.write(true, "before")
	s.wanted()
	s.send(eventsEnd{api.ErrLost}, linesEnd{s.logs.stream, api.ErrLost})
	if text := s.text(); !strings.Contains(text, "daemon gone, reconnecting") || !strings.Contains(text, "before") {
		t.Errorf("the daemon is gone:\n%s", text)
	}
	s.send(second{}, snapshot{query: query{sample: true}, err: api.ErrNoDaemon})
	if s.has("events") {
		t.Error("events of a daemon that is not there")
	}
	s.send(second{}, answer(query{detail: 0, sample: true}, sample()))
	for _, want := range []string{"events", "after monit.settle"} {
		if !s.has(want) {
			t.Errorf("after it has come back: %v, want %s", s.asked, want)
		}
	}
	if text := s.text(); strings.Contains(text, "gone") || !strings.Contains(text, "before") {
		t.Errorf("the daemon is back:\n%s", text)
	}
	s.send(settle{s.logs.stream})
	if !s.has("follow [0 1 2]") {
		t.Errorf("%v, want the logs again", s.asked)
	}
	s.write(true, "after")
	if text := s.text(); strings.Contains(text, "before") || !strings.Contains(text, "after") {
		t.Errorf("the logs of the next daemon:\n%s", text)
	}
	s.wanted()
	s.send(second{})
	if !s.has("poll detail=0 sample=true history=true") {
		t.Errorf("%v, want what was meanwhile", s.asked)
	}
}

func TestEventsAskForTheListOnceAMoment(t *testing.T) {
	s := begin(t, false, sample())
	s.wanted()
	for range 100 {
		s.send(app.Event{Type: app.EventExit, ID: 1})
	}
	if got := s.wanted(); len(got) != 1 || got[0] != "after monit.refresh" {
		t.Errorf("100 events ask for %v", got)
	}
	s.send(refresh{})
	if got := s.wanted(); len(got) != 1 || got[0] != "poll detail=0 sample=false history=false" {
		t.Errorf("the refresh asks for %v", got)
	}
	s.send(app.Event{Type: app.EventExit, ID: 1}, refresh{}) // while the answer is awaited
	s.wanted()
	s.send(answer(query{detail: 0}, sample()))
	if !s.has("after monit.refresh") {
		t.Error("what happened meanwhile is not asked for")
	}
}

func TestTheSelectionStaysWhereItIs(t *testing.T) {
	s := begin(t, false, sample())
	s.press("j", "j", "j", "j", "j") // mailer
	if got := s.row().app; got != "mailer" {
		t.Fatalf("%s is selected", got)
	}
	s.press("o", "o", "o")
	if got := s.row().app; got != "mailer" || s.order != byCPU || !strings.HasPrefix(s.rows[0].app, "日本語") {
		t.Errorf("%s is selected, by %v first is %s", got, s.order, s.rows[0].app)
	}
	s.press("O", "O", "O", "z")
	if got := s.row().app; got != "mailer" || len(s.rows) != 5 {
		t.Errorf("all folded: %s is selected of %d rows", got, len(s.rows))
	}
	s.poll(sample()[:4]) // mailer is deleted
	if got := s.row().app; got != "worker" {
		t.Errorf("the next one is %s", got)
	}
	s.poll(nil)
	if s.row() != nil || !strings.Contains(s.text(), "no apps") {
		t.Errorf("without apps:\n%s", s.text())
	}
	s.press("j", "k", "r", "enter", "+", "z")
	s.poll(sample())
	if got := s.row(); got == nil {
		t.Error("nothing is selected")
	}
}

func TestFoldAnInstanceSelectsItsApp(t *testing.T) {
	s := begin(t, false, sample())
	s.press("j", "j", "enter")
	if r := s.row(); r.id != ofApp || r.app != "api" || r.open {
		t.Errorf("selected: %+v", r)
	}
	s.press("enter")
	if len(s.rows) != 8 {
		t.Errorf("%d rows", len(s.rows))
	}
}

func TestFind(t *testing.T) {
	s := begin(t, false, sample())
	s.press("f", "A", "I", "x", "backspace")
	if len(s.rows) != 1 || s.rows[0].app != "mailer" {
		t.Errorf("rows: %+v", s.rows)
	}
	s.press("enter", "esc")
	if len(s.rows) != 8 {
		t.Errorf("%d rows after Esc", len(s.rows))
	}
	s.press("f", "z", "z")
	if text := s.text(); !strings.Contains(text, "no app is called zz") {
		t.Errorf("nothing is found:\n%s", text)
	}
	s.press("esc")
	if len(s.rows) != 8 {
		t.Errorf("%d rows after Esc in the prompt", len(s.rows))
	}
}

func TestFilterAndPause(t *testing.T) {
	s := begin(t, false, sample())
	s.write(true, "GET /a", "POST /b", "get /c", "(odd")
	shown := func(want ...string) {
		t.Helper()
		var got []string
		for _, l := range s.logs.view() {
			got = append(got, l.text)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("shown %q, want %q", got, want)
		}
	}
	s.press("/", "g", "e", "t", "enter")
	shown("GET /a", "get /c")
	s.write(false, "get /d", "put /e")
	shown("GET /a", "get /c", "get /d")
	s.press("space")
	s.write(false, "get /f")
	shown("GET /a", "get /c", "get /d")
	if text := s.text(); !strings.Contains(text, "paused, 1 more") {
		t.Errorf("no word of the pause:\n%s", text)
	}
	s.press("space")
	shown("GET /a", "get /c", "get /d", "get /f")
	s.press("/", "backspace", "backspace", "backspace", "(", "o")
	shown("(odd")
	if text := s.text(); !strings.Contains(text, "as it stands") {
		t.Errorf("a text that is no expression:\n%s", text)
	}
	s.press("esc")
	shown("GET /a", "get /c", "get /d", "get /f")
	s.press("esc")
	if len(s.logs.view()) != 7 {
		t.Errorf("after Esc: %d lines", len(s.logs.view()))
	}
}

func TestScrollBackStaysAtItsLine(t *testing.T) {
	s := begin(t, false, sample())
	var texts []string
	for i := range 100 {
		texts = append(texts, fmt.Sprintf("line %d.", i))
	}
	s.write(true, texts...)
	s.press("tab", "k", "k", "k", "k")
	if text := s.text(); !strings.Contains(text, "line 95.") || strings.Contains(text, "line 96.") {
		t.Errorf("four lines back:\n%s", text)
	}
	s.write(false, "one more", "another")
	if text := s.text(); !strings.Contains(text, "line 95.") || strings.Contains(text, "line 96.") {
		t.Errorf("after two more lines:\n%s", text)
	}
	s.press("end")
	if text := s.text(); !strings.Contains(text, "another") {
		t.Errorf("at the end:\n%s", text)
	}
}

func TestLogsOfAnotherSelectionAreDropped(t *testing.T) {
	s := begin(t, false, sample())
	old := s.logs.stream
	s.write(true, "of the app")
	s.press("j")
	s.send(lines{stream: old, list: []logLine{{text: "late"}}}, settle{old}, linesEnd{stream: old})
	if len(s.logs.view()) != 0 || s.has("follow [0 1 2]") || s.logs.ended {
		t.Errorf("lines of another selection: %v, %v", s.logs.view(), s.asked)
	}
	s.send(settle{s.logs.stream})
	if !s.has("follow [0]") {
		t.Errorf("%v, want the logs of the instance", s.asked)
	}
}

func TestLogsAreBounded(t *testing.T) {
	s := begin(t, false, sample())
	for range 30 {
		l := lines{stream: s.logs.stream}
		for range 500 {
			l.list = append(l.list, logLine{text: "x"})
		}
		s.send(l)
	}
	if n := len(s.logs.all); n < keptLines || n > 3*keptLines {
		t.Errorf("%d lines are kept", n)
	}
	sent := make(chan int, 1000)
	b := &batch{send: func(msg tea.Msg) { sent <- len(msg.(lines).list) + msg.(lines).skipped }}
	for range 10 * keptLines {
		b.add(logLine{})
	}
	b.end()
	for got := 0; got < 10*keptLines; { // a timer may be about to send
		select {
		case n := <-sent:
			got += n
		case <-time.After(time.Minute):
			t.Fatalf("%d lines were sent or counted, want %d", got, 10*keptLines)
		}
	}
}

func TestHistoryBeginsTheCharts(t *testing.T) {
	s := begin(t, false, sample())
	a := answer(query{detail: 0, history: true}, sample())
	a.history = &api.History{Points: 3, Series: []api.HistorySeries{
		{ID: 0, Name: "api", Series: "cpu", Values: api.Points{10, nan(), 30}},
		{ID: 1, Name: "api", Series: "cpu", Values: api.Points{1, 2, nan()}},
		{ID: 0, Name: "api", Series: "memory", Values: api.Points{1 << 20, 2 << 20, 3 << 20}},
	}}
	s.send(a)
	if got := s.trails[0].cpu.chart(4, 30); got != " ▃ █" {
		t.Errorf("cpu of an instance: %q", got)
	}
	if got := s.appTrails["api"].cpu.chart(4, 30); got != " ▃▁█" {
		t.Errorf("cpu of the app: %q", got)
	}
	if s.appTrails["api"].memory.at(0) != 3<<20 {
		t.Error("memory is missing")
	}
}

// faulty is a backend that panics once something has been drawn.
type faulty struct {
	*recorder
	screen *screenful
}

func (f faulty) poll(query) tea.Cmd {
	return func() tea.Msg {
		<-f.screen.drawn
		panic("a fault of ours")
	}
}

// screenful is a terminal that tells when the dashboard has taken it over.
type screenful struct {
	drawn chan struct{}
	text  strings.Builder
}

func (s *screenful) Write(p []byte) (int, error) {
	before := strings.Contains(s.text.String(), ansi.SetModeAltScreenSaveCursor)
	s.text.Write(p)
	if !before && strings.Contains(s.text.String(), ansi.SetModeAltScreenSaveCursor) {
		close(s.drawn)
	}
	return len(p), nil
}

func TestAPanicRestoresTheTerminal(t *testing.T) {
	out := &screenful{drawn: make(chan struct{})}
	in, w := io.Pipe()
	defer w.Close()
	err := run(t.Context(), Options{In: in, Out: out, Environ: []string{"TERM=xterm"}}, func(func(tea.Msg)) backend { return faulty{new(recorder), out} })
	if !errors.Is(err, tea.ErrProgramPanic) {
		t.Errorf("run: %v", err)
	}
	if text := out.text.String(); strings.LastIndex(text, ansi.ResetModeAltScreenSaveCursor) < strings.LastIndex(text, ansi.SetModeAltScreenSaveCursor) {
		t.Errorf("the terminal is left as it was within: %q", text)
	}
}

func TestTheEndOfTheContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("terminated")
	cancel(reason)
	var out bytes.Buffer
	in, w := io.Pipe()
	defer w.Close()
	if err := run(ctx, Options{In: in, Out: &out}, func(func(tea.Msg)) backend { return new(recorder) }); !errors.Is(err, reason) {
		t.Errorf("run: %v", err)
	}
}

func BenchmarkFiveHundred(b *testing.B) {
	var list []app.Status
	for i := range 500 {
		s := sample()[i%3]
		s.ID, s.Index, s.Name = i, i, fmt.Sprintf("app%d", i/10)
		list = append(list, s)
	}
	r := new(recorder)
	m := newModel(r, true)
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	b.Run("answer", func(b *testing.B) {
		for b.Loop() {
			m.Update(snapshot{query: query{sample: true, detail: 0}, at: time.Now(), list: list})
		}
	})
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			m.View()
		}
	})
}
