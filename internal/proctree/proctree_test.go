package proctree

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 1234 100 200"
	want := stat{state: 'S', parent: 10, group: 20, session: 30, threads: 9, start: 1234}
	for _, name := range []string{"sh", "a b", "a) S 1 (b", "", ")", "("} {
		if got, ok := parseStat([]byte("1 (" + name + ")" + rest)); !ok || got != want {
			t.Errorf("name %q: %+v, %t; want %+v", name, got, ok, want)
		}
	}
	for _, line := range []string{"", "1 (sh", "1 (sh)", "1 (sh) S 1 2", "1 (sh)" + strings.Replace(rest, "1234", "12x4", 1)} {
		if got, ok := parseStat([]byte(line)); ok {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (sh) S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 1234 100 200"))
	f.Add([]byte(") "))
	f.Fuzz(func(_ *testing.T, line []byte) { parseStat(line) })
}

func TestParseNumbers(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "1": {1}, "12 34 ": {12, 34}, " 5\n6\n": {5, 6}} {
		var got []int
		parseNumbers([]byte(text), func(n int) { got = append(got, n) })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	// A shell 100 with a pipeline; what has left it; and others.
	table := map[int]stat{
		1:   {state: 'S', start: 1},
		50:  {state: 'S', parent: 1, group: 50, session: 50, start: 10},
		100: {state: 'S', parent: 50, group: 100, session: 100, start: 100},
		101: {state: 'S', parent: 100, group: 100, session: 100, start: 101},
		102: {state: 'S', parent: 101, group: 102, session: 102, start: 102},             // a session of its own
		103: {state: 'S', parent: 1, group: 100, session: 100, start: 103},               // an orphan
		104: {state: 'S', parent: 103, group: 104, session: 104, start: 104},             // its child
		105: {state: 'Z', parent: 100, group: 100, session: 100, start: 105, threads: 1}, // has ended
		106: {state: 'Z', parent: 100, group: 100, session: 100, start: 106, threads: 2}, // its first thread has
		107: {state: 'S', parent: 101, group: 50, session: 50, start: 90},                // older than its parent: not its child
		200: {state: 'S', parent: 201, group: 7, session: 7, start: 200},                 // a circle
		201: {state: 'S', parent: 200, group: 7, session: 7, start: 200},
	}
	for _, test := range []struct {
		name             string
		roots            []Process
		members, orphans []int
	}{
		{"by number", []Process{{PID: 100}}, []int{100, 101, 102, 103, 104, 106}, []int{103}},
		{"by number and start", []Process{{PID: 100, StartTicks: 100}}, []int{100, 101, 102, 103, 104, 106}, []int{103}},
		{"number in other hands", []Process{{PID: 100, StartTicks: 99}}, nil, nil},
		{"two", []Process{{PID: 102}, {PID: 104}}, []int{102, 104}, nil},
		{"gone", []Process{{PID: 300}}, nil, nil},
		{"a session whose leader has gone", []Process{{PID: 7, StartTicks: 5}}, []int{200, 201}, nil},
		{"none", nil, nil, nil},
	} {
		members, orphans := resolve(table, test.roots)
		if got := pids(members); !slices.Equal(got, test.members) {
			t.Errorf("%s: members %v, want %v", test.name, got, test.members)
		}
		if got := pids(orphans); test.orphans != nil && !slices.Equal(got, test.orphans) {
			t.Errorf("%s: orphans %v, want %v", test.name, got, test.orphans)
		}
	}
}

func pids(list []Process) []int {
	set := map[int]bool{}
	for _, p := range list {
		set[p.PID] = true
	}
	return slices.Sorted(maps.Keys(set))
}
