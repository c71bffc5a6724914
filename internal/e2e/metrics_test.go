package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"
)

// metric is a line of the table in docs/metrics.md, which the tests of internal/metrics
// hold against what is exported.
type metric struct {
	kind   string
	labels []string
	help   string
}

func documentedMetrics() (map[string]metric, error) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		return nil, err
	}
	all := map[string]metric{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*) \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = metric{kind: m[2], labels: strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' }), help: m[4]}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("docs/metrics.md has no table")
	}
	return all, nil
}

// cmdPromLint reads a file as Prometheus does, and holds it against the manual.
func cmdPromLint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: promlint FILE")
	}
	known, err := documentedMetrics()
	ts.Check(err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	if len(families) == 0 {
		ts.Fatalf("%s has no metrics", args[0])
	}
	for name, f := range families {
		want, ok := known[name]
		if !ok {
			ts.Fatalf("%s is not in docs/metrics.md", name)
		}
		if kind := strings.ToLower(f.GetType().String()); kind != want.kind || f.GetHelp() != want.help {
			ts.Fatalf("%s is a %s, %q; in docs/metrics.md it is a %s, %q", name, kind, f.GetHelp(), want.kind, want.help)
		}
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			labels, key := labelsOf(m)
			if seen[key] {
				ts.Fatalf("%s%s is there twice", name, key)
			}
			seen[key] = true
			if !slices.Equal(labels, want.labels) {
				ts.Fatalf("%s has labels %q, in docs/metrics.md %q", name, labels, want.labels)
			}
			if v := m.GetCounter().GetValue(); v < 0 {
				ts.Fatalf("%s%s counts %v", name, key, v)
			}
		}
	}
}

func labelsOf(m *dto.Metric) (names []string, key string) {
	for _, l := range m.GetLabel() {
		names = append(names, l.GetName())
		key += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
	}
	return names, key
}

// TestDashboardAndAlerts parses each expression of the dashboard and of the rules, and
// looks up the metrics and labels that it names.
func TestDashboardAndAlerts(t *testing.T) {
	known, err := documentedMetrics()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	board := expressionsOfDashboard(t, "../../docs/grafana-dashboard.json")
	rules := expressionsOfRules(t, "../../docs/alerts.yml")
	if len(board) < 20 || len(rules) < 10 {
		t.Fatalf("%d expressions in the dashboard, %d in the rules", len(board), len(rules))
	}
	for _, expr := range append(board, rules...) {
		checkExpression(t, known, used, expr)
	}
	for _, name := range []string{ // what a dashboard is looked at for
		"paceline_instance_up", "paceline_instance_restarts_total", "paceline_instance_cpu_seconds_total",
		"paceline_instance_resident_memory_bytes", "paceline_port_connections_waiting", "paceline_reloads_total", "paceline_custom",
	} {
		if !used[name] {
			t.Errorf("no expression names %s", name)
		}
	}
}

func checkExpression(t *testing.T, known map[string]metric, used map[string]bool, expr string) {
	t.Helper()
	text := strings.ReplaceAll(expr, "$__rate_interval", "5m")
	e, err := metricsql.Parse(text)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return
	}
	var grouped []string
	labels := map[string]bool{}
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.AggrFuncExpr:
			grouped = append(grouped, e.Modifier.Args...)
		case *metricsql.BinaryOpExpr:
			grouped = append(grouped, e.GroupModifier.Args...)
		case *metricsql.MetricExpr:
			for _, or := range e.LabelFilterss {
				name := ""
				for _, f := range or {
					if f.Label == "__name__" {
						name = f.Value
					}
				}
				m, ok := known[name]
				if !ok {
					t.Errorf("%s: there is no metric %q", expr, name)
				}
				used[name] = true
				for _, l := range m.labels {
					labels[l] = true
				}
				for _, f := range or {
					if f.Label != "__name__" && !slices.Contains(m.labels, f.Label) {
						t.Errorf("%s: %s has no label %s", expr, name, f.Label)
					}
				}
			}
		}
	})
	for _, l := range grouped {
		if !labels[l] {
			t.Errorf("%s: groups by %s, which none of its metrics has", expr, l)
		}
	}
}

// expressionsOfDashboard returns each "expr" and the metrics that variables come from.
func expressionsOfDashboard(t *testing.T, path string) (list []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var board map[string]any
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"title", "uid", "schemaVersion", "panels", "templating"} {
		if board[key] == nil {
			t.Errorf("%s has no %s", path, key)
		}
	}
	ids := map[any]bool{}
	for _, p := range board["panels"].([]any) {
		id := p.(map[string]any)["id"]
		if id == nil || ids[id] {
			t.Errorf("%s: panel id %v is missing or there twice", path, id)
		}
		ids[id] = true
	}
	values := regexp.MustCompile(`^label_values\((.+), \w+\)$`)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				text, ok := value.(string)
				switch m := values.FindStringSubmatch(text); {
				case ok && key == "expr":
					list = append(list, text)
				case m != nil:
					list = append(list, m[1])
				}
				walk(value)
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		}
	}
	walk(board)
	return list
}

func expressionsOfRules(t *testing.T, path string) (list []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s: a rule lacks its name, severity or summary: %+v", path, r)
			}
			list = append(list, r.Expr)
		}
	}
	return list
}
