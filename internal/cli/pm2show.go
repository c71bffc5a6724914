package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
	"paceline/internal/inspect"
	"paceline/internal/pm2"
)

// pm2Show describes instances as PM2 does: a box of facts for each.
func (c *cli) pm2Show(ctx context.Context, targets []string) error {
	list, err := c.pm2Instances(ctx, targets, false)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("there are no apps; to start one: pace start server.js")
	}
	for _, in := range list {
		c.printf(" %s \n", c.look.paint(bold, fmt.Sprintf("Describing process with id %d - name %s", in.Status.ID, in.Spec.Name)))
		c.factBox(c.pm2Facts(in))
		if metrics := in.Status.Metrics; len(metrics) > 0 {
			c.printf(" %s \n", c.look.paint(bold, "Code metrics value"))
			rows := make([][2]string, len(metrics))
			for i, m := range metrics {
				rows[i] = [2]string{m.Name, strings.TrimSpace(m.Value + " " + m.Unit)}
			}
			c.factBox(rows)
		}
	}
	return nil
}

// pm2Facts are the rows of `pm2 describe`, with PM2's names and in its order; at the
// end what it does not tell.
func (c *cli) pm2Facts(in pm2.Instance) [][2]string {
	s, st := in.Spec, in.Status
	const none = "N/A"
	var rows [][2]string
	add := func(name, value string) { rows = append(rows, [2]string{name, value}) }
	up := "0"
	if st.PID != 0 && !st.StartedAt.IsZero() {
		up = uptime(c.Now().Sub(st.StartedAt))
	}
	interpreter := cmp.Or(in.Interpreter, s.Interpreter, "none")
	add("status", c.look.paint(stateColour(st.State), pm2.Status(in)))
	add("name", s.Name)
	add("namespace", cmp.Or(s.Namespace, "default"))
	add("version", cmp.Or(in.Version, none))
	add("restarts", strconv.Itoa(st.Restarts))
	add("uptime", up)
	if s.CronRestart != "" {
		add("cron restart", s.CronRestart)
	}
	if s.MaxMemoryBytes > 0 {
		add("max memory restart", memory(uint64(s.MaxMemoryBytes)))
	}
	if st.LogFile != "" {
		add("entire log path", st.LogFile)
	}
	add("script path", s.Exec)
	add("script args", cmp.Or(strings.Join(s.Args, " "), none))
	add("error log path", cmp.Or(st.ErrFile, "/dev/null"))
	add("out log path", cmp.Or(st.OutFile, "/dev/null"))
	add("pid path", in.PIDFile)
	add("interpreter", interpreter)
	add("interpreter args", cmp.Or(strings.Join(s.InterpreterArgs, " "), none))
	add("script id", strconv.Itoa(st.ID))
	add("exec cwd", s.Cwd)
	add("exec mode", string(pm2.Mode(s))+"_mode")
	add("node.js version", none)
	add("node env", cmp.Or(s.Env["NODE_ENV"], none))
	watching := "✘"
	if s.Watching() {
		watching = "✔"
	}
	add("watch & reload", watching)
	unstable, _ := pm2.Env(in).Get("unstable_restarts")
	add("unstable restarts", inspect.Text(unstable))
	created := none
	if !st.CreatedAt.IsZero() {
		created = st.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	add("created at", created)
	if text := why(st, c.Now()); text != "" {
		add("what is wrong", text)
	}
	return append(rows, lastLines(st)...)
}

// lastLines are the rows of what the last process that ended by itself wrote last.
func lastLines(st *app.Status) (rows [][2]string) {
	if st.LastExit == nil || st.LastExit.Wanted {
		return nil
	}
	name := "last on stderr, " + st.LastExit.At.Local().Format(time.TimeOnly)
	for _, line := range st.LastExit.Stderr {
		rows = append(rows, [2]string{name, printable(line)})
		name = ""
	}
	return rows
}

// factBox draws a box of two columns.
func (c *cli) factBox(rows [][2]string) {
	var widths [2]int
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], width(text))
		}
	}
	rule := func(left, middle, right string) {
		c.printf("%s%s%s%s%s\n", left, strings.Repeat("─", widths[0]+2), middle, strings.Repeat("─", widths[1]+2), right)
	}
	rule("┌", "┬", "┐")
	for _, row := range rows {
		c.printf("│ %s%s │ %s%s │\n", row[0], strings.Repeat(" ", widths[0]-width(row[0])), row[1], strings.Repeat(" ", widths[1]-width(row[1])))
	}
	rule("└", "┴", "┘")
}
