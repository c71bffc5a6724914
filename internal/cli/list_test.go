package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestListTables(t *testing.T) {
	f := newFake(t, map[string]func(r *http.Request) any{api.OpInstances: give(sample())})
	for _, c := range []struct {
		name    string
		width   int // 0: not a terminal
		environ []string
		args    []string
	}{
		{name: "plain"},
		{name: "wide", width: 160},
		{name: "narrow", width: 80},
		{name: "narrower", width: 44},
		{name: "dumb", width: 160, environ: []string{"TERM=dumb"}},
		{name: "nocolor", width: 100, environ: []string{"TERM=xterm", "NO_COLOR=1"}},
		{name: "nocolorflag", width: 100, args: []string{"--no-color"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Environ: c.environ}
			if c.width > 0 {
				o.Terminal = terminal(c.width)
			}
			r := f.with(t.Context(), o, append([]string{"list"}, c.args...)...)
			if r.exit != 0 || r.stderr != "" {
				t.Fatalf("got %+v", r)
			}
			golden(t, "list_"+c.name+".txt", r.stdout)
			coloured := strings.Contains(r.stdout, "\x1b[")
			if want := c.name == "wide" || strings.HasPrefix(c.name, "narrow"); coloured != want {
				t.Errorf("colours: got %v, want %v", coloured, want)
			}
			for line := range strings.Lines(r.stdout) {
				if strings.ContainsAny(line, "│╭╰├") && c.width > 0 && width(strings.TrimSuffix(line, "\n")) > c.width {
					t.Errorf("wider than %d: %q", c.width, line)
				}
			}
		})
	}
}

func TestListPlainHasOneLineAndFieldsForEach(t *testing.T) {
	f := newFake(t, map[string]func(r *http.Request) any{api.OpInstances: give(sample())})
	r := f.run("ls")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 1+len(sample()) {
		t.Fatalf("%d lines for %d instances", len(lines), len(sample()))
	}
	for _, line := range lines {
		if n := len(strings.Fields(line)); n < 12 {
			t.Errorf("%d fields, want at least 12: %q", n, line)
		}
	}
}

func TestListEmpty(t *testing.T) {
	f := newFake(t, nil)
	f.run("list").want(t, 0, "id  name", "")
	f.with(t.Context(), Options{Terminal: terminal(80)}, "list").want(t, 0, "pace start", "")
	f.run("list", "--silent").want(t, 0, "", "")
}

func TestListTellsAFewTroublesOnly(t *testing.T) {
	var list []app.Status
	for i := range 300 {
		list = append(list, app.Status{ID: i, Name: "api", State: app.Errored, Reason: "it broke"})
	}
	f := newFake(t, map[string]func(r *http.Request) any{api.OpInstances: give(list)})
	r := f.with(t.Context(), Options{Terminal: terminal(80)}, "list")
	if n := strings.Count(r.stdout, "it broke"); n != maxTroubles {
		t.Errorf("%d lines of trouble, want %d", n, maxTroubles)
	}
	if !strings.Contains(r.stdout, "and 290 more") {
		t.Error("the others are not counted")
	}
}

func TestListTellsWhyTheBalanceIsNotTheBest(t *testing.T) {
	list := sample()[:2]
	for i := range 7 {
		s := sample()[0]
		s.ID, s.Name, s.Balance, s.BalanceReason = 10+i, fmt.Sprintf("s%d", i%6), app.Shared, "eBPF is not\npermitted here"
		list = append(list, s)
	}
	f := newFake(t, map[string]func(r *http.Request) any{api.OpInstances: give(list)})
	r := f.with(t.Context(), Options{Terminal: terminal(160), Environ: []string{"NO_COLOR=1"}}, "list")
	if n := strings.Count(r.stdout, " shared* "); n != 7 || strings.Contains(r.stdout, "round-robin*") {
		t.Errorf("%d marks, want 7 in:\n%s", n, r.stdout)
	}
	if want := "* s0, s1, s2, s3, s4, 1 more: eBPF is not; permitted here\n"; strings.Count(r.stdout, "* s0") != 1 || !strings.Contains(r.stdout, want) {
		t.Errorf("want %q in:\n%s", want, r.stdout)
	}
	if r := f.run("list"); strings.Contains(r.stdout, "*,") || strings.Contains(r.stdout, "shared*") || strings.Contains(r.stdout, "eBPF") {
		t.Errorf("a mark where programs read:\n%s", r.stdout)
	}
}

func TestUptime(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 119 * time.Second: "119s", 120 * time.Second: "2m", 119 * time.Minute: "119m",
		2 * time.Hour: "2h", 47 * time.Hour: "47h", 2 * day: "2D", 59 * day: "59D", 60 * day: "2M", 729 * day: "24M", 730 * day: "2Y",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestMemory(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0b", 900: "900b", 1024: "1kb", 54_945_382: "52.4mb", 1_288_490_189: "1.2gb", 1 << 42: "4096gb",
	} {
		if got := memory(bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
}

func BenchmarkList500(b *testing.B) {
	var list []app.Status
	for i := range 500 {
		s := sample()[0]
		s.ID, s.Name = i, fmt.Sprintf("app-%d", i)
		list = append(list, s)
	}
	for _, columns := range []int{0, 160} {
		b.Run(fmt.Sprintf("width=%d", columns), func(b *testing.B) {
			o := Options{Stdout: discard{}}
			if columns > 0 {
				o.Terminal = terminal(columns)
			}
			for b.Loop() {
				newCLI(o).list(list)
			}
		})
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
