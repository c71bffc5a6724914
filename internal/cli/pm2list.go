package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"paceline/internal/app"
	"paceline/internal/pm2"
)

// listing is how a list is wanted.
type listing struct {
	sort  string // a field, with ":desc" for the other direction
	mini  bool
	watch bool
}

func (o *listing) flags(f *pflag.FlagSet) {
	f.StringVar(&o.sort, "sort", "", "`field` to sort by: name, namespace, pid, id, cpu, memory, uptime, status or restarts, with :desc for the other direction (default id, under the name pm2 name)")
	f.BoolVarP(&o.mini, "mini-list", "m", false, "a block of lines for each instance, as PM2 prints it")
	f.BoolVar(&o.watch, "watch", false, "draw it anew every 0.9s until Ctrl-C")
}

// orders are what instances can be sorted by.
func orders() map[string]func(a, b *app.Status) int {
	return map[string]func(a, b *app.Status) int{
		"id":        func(a, b *app.Status) int { return cmp.Compare(a.ID, b.ID) },
		"name":      func(a, b *app.Status) int { return cmp.Compare(a.Name, b.Name) },
		"namespace": func(a, b *app.Status) int { return cmp.Compare(a.Namespace, b.Namespace) },
		"pid":       func(a, b *app.Status) int { return cmp.Compare(a.PID, b.PID) },
		"cpu":       func(a, b *app.Status) int { return cmp.Compare(a.CPU, b.CPU) },
		"memory":    func(a, b *app.Status) int { return cmp.Compare(a.MemoryBytes, b.MemoryBytes) },
		"uptime":    func(a, b *app.Status) int { return b.StartedAt.Compare(a.StartedAt) },
		"status":    func(a, b *app.Status) int { return cmp.Compare(a.State, b.State) },
		"restarts":  func(a, b *app.Status) int { return cmp.Compare(a.Restarts, b.Restarts) },
	}
}

func (o listing) check() error {
	field, direction, _ := strings.Cut(o.sort, ":")
	if o.sort != "" && orders()[field] == nil {
		return fmt.Errorf("--sort %s: there is no such field; name, id, cpu, memory and uptime are some", o.sort)
	}
	if direction != "" && direction != "asc" && direction != "desc" {
		return errors.New("--sort: the direction is asc or desc")
	}
	return nil
}

// compare returns the wanted order; equal ones stay by id.
func (o listing) compare() func(a, b *app.Status) int {
	field, direction, _ := strings.Cut(o.sort, ":")
	order := orders()[field]
	switch {
	case order == nil:
		return orders()["id"]
	case direction == "desc":
		return func(a, b *app.Status) int { return order(b, a) }
	}
	return order
}

func (o listing) arrange(list []app.Status) {
	order := o.compare()
	sorted := true
	rows := make([]*app.Status, len(list)) // a Status is half a kilobyte, too much to move about
	for i := range list {
		rows[i] = &list[i]
		sorted = sorted && (i == 0 || order(rows[i-1], rows[i]) <= 0)
	}
	if sorted { // as by id
		return
	}
	slices.SortStableFunc(rows, order)
	arranged := make([]app.Status, 0, len(list))
	for _, s := range rows {
		arranged = append(arranged, *s)
	}
	copy(list, arranged)
}

// redrawEvery is PM2's.
const redrawEvery = 900 * time.Millisecond

// redraw draws until ctx ends, which is how it is left.
func (c *cli) redraw(ctx context.Context, draw func() error) error {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		if c.look.terminal {
			c.printf("\x1b[H\x1b[2J")
		}
		if err := draw(); err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// pm2Table prints instances as PM2 does: in a box, into pipes as well.
func (c *cli) pm2Table(ctx context.Context, targets []string, o listing) error {
	if c.silent {
		return nil
	}
	list, err := c.pm2Instances(ctx, targets, false)
	if err != nil {
		return err
	}
	if o.sort == "" && c.asPM2() && !o.mini {
		o.sort = "name"
	}
	order := o.compare()
	slices.SortStableFunc(list, func(a, b pm2.Instance) int { return order(a.Status, b.Status) })
	if o.mini {
		for _, in := range list {
			c.miniBlock(in)
		}
		return nil
	}
	rows := make([][]string, 0, len(list))
	for _, in := range list {
		rows = append(rows, c.pm2Row(in))
	}
	c.pm2Box(rows)
	return nil
}

// pm2Heads are the columns, each with the width that PM2 gives it at least.
func pm2Heads() []column {
	return []column{
		{head: "id", max: 4},
		{head: "name", max: 10},
		{head: "namespace", max: 13},
		{head: "version", max: 9},
		{head: "mode", max: 9},
		{head: "pid", max: 10},
		{head: "uptime", max: 8},
		{head: "↺", max: 6},
		{head: "status", max: 11},
		{head: "cpu", max: 10},
		{head: "mem", max: 10},
		{head: "user", max: 10},
		{head: "watching", max: 10},
	}
}

func (c *cli) pm2Row(in pm2.Instance) []string {
	s := in.Status
	up := "0"
	if s.PID != 0 && !s.StartedAt.IsZero() {
		up = uptime(c.Now().Sub(s.StartedAt))
	}
	bytes, cpu := uint64(0), 0.0
	if s.State == app.Online {
		bytes, cpu = s.MemoryBytes, s.CPU
	}
	watching := c.look.paint(dim, "disabled")
	if in.Spec.Watching() {
		watching = c.look.paint(green, "enabled")
	}
	name := []rune(in.Spec.Name)
	if len(name) > 40 {
		name = append(name[:39:39], '…')
	}
	user := in.User
	if u := in.Spec.User; u != nil {
		user = cmp.Or(u.Name, strconv.FormatUint(uint64(u.UID), 10))
	}
	return []string{
		c.look.paint(cyan, strconv.Itoa(s.ID)), string(name), cmp.Or(in.Spec.Namespace, "default"), cmp.Or(in.Version, "N/A"),
		string(pm2.Mode(in.Spec)), strconv.Itoa(s.PID), up, strconv.Itoa(s.Restarts),
		c.look.paint(stateColour(s.State), pm2.Status(in)), percent(cpu), pm2Memory(bytes), user, watching,
	}
}

// pm2Memory writes a size as PM2 does in its table, where memory leaves out ".0".
func pm2Memory(bytes uint64) string {
	if bytes < 1024 {
		return memory(bytes)
	}
	text := strings.TrimRight(memory(bytes), "kmgb")
	unit := memory(bytes)[len(text):]
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text + unit
}

// pm2Box draws PM2's box: heads and cells at the left.
func (c *cli) pm2Box(rows [][]string) {
	heads := pm2Heads()
	widths := measure(heads, rows)
	for i := range widths {
		widths[i] = max(widths[i]+2, heads[i].max)
	}
	if len(rows) == 0 {
		widths[1] = 11 // as PM2's empty table
	}
	rule := func(left, middle, right string) {
		parts := make([]string, len(widths))
		for i, w := range widths {
			parts[i] = strings.Repeat("─", w)
		}
		c.printf("%s%s%s\n", left, strings.Join(parts, middle), right)
	}
	line := func(cell func(i int) string) {
		for i, w := range widths {
			text := cell(i)
			c.printf("│ %s%s", text, strings.Repeat(" ", w-1-width(text)))
		}
		c.printf("│\n")
	}
	rule("┌", "┬", "┐")
	line(func(i int) string { return c.look.paint(bold, heads[i].head) })
	if len(rows) > 0 {
		rule("├", "┼", "┤")
	}
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	rule("└", "┴", "┘")
}

// miniBlock prints an instance as `pm2 list -m` does.
func (c *cli) miniBlock(in pm2.Instance) {
	s, row := in.Status, c.pm2Row(in)
	watching := "no"
	if in.Spec.Watching() {
		watching = "yes"
	}
	c.printf("+--- %s\n", in.Spec.Name)
	for _, f := range [][2]string{
		{"namespace", row[2]},
		{"version", row[3]},
		{"pid", row[5]},
		{"pm2 id", strconv.Itoa(s.ID)},
		{"status", row[8]},
		{"mode", row[4]},
		{"restarted", row[7]},
		{"uptime", row[6]},
		{"memory usage", row[10] + " "},
		{"error log", s.ErrFile},
		{"watching", watching},
		{"PID file", in.PIDFile},
	} {
		c.printf("%s : %s\n", f[0], f[1])
	}
	c.printf("\n")
}
