package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // numbers
	// drop says when a narrow terminal loses the column: the highest first, zero
	// never.
	drop int
	max  int // on a terminal, a longer cell is cut; 0 means none is
}

// minCut is how short a column with a bound may be cut to fit a terminal.
const minCut = 8

// table prints rows: as a box on a terminal, as aligned text elsewhere, where
// nothing is dropped or cut. Cells may be coloured.
func (c *cli) table(columns []column, rows [][]string) {
	if c.look.terminal {
		c.box(columns, rows)
		return
	}
	c.align(columns, rows)
}

// align prints columns two blanks apart. A list of 500 instances into a pipe is
// to take a fraction of a millisecond here; go-pretty takes two.
func (c *cli) align(columns []column, rows [][]string) {
	head := make([]string, len(columns))
	for i, col := range columns {
		head[i] = col.head
	}
	widths := measure(columns, rows)
	line := make([]byte, 0, 256)
	for n := -1; n < len(rows); n++ {
		row := head
		if n >= 0 {
			row = rows[n]
		}
		line = line[:0]
		for i, cell := range row {
			blanks := widths[i] - width(cell)
			if columns[i].right {
				line = append(line, strings.Repeat(" ", blanks)...)
			}
			line = append(line, cell...)
			if !columns[i].right {
				line = append(line, strings.Repeat(" ", blanks)...)
			}
			line = append(line, "  "...)
		}
		c.out.Write(append(bytes.TrimRight(line, " "), '\n')) //nolint:errcheck // bufio keeps the error for Flush
	}
}

// measure returns how wide each column is.
func measure(columns []column, rows [][]string) []int {
	widths := make([]int, len(columns))
	for i, col := range columns {
		widths[i] = width(col.head)
		for _, row := range rows {
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	return widths
}

// width returns how many columns a terminal needs for cell.
func width(cell string) int {
	for i := range len(cell) {
		if cell[i] < ' ' || cell[i] > '~' {
			return text.StringWidthWithoutEscSequences(cell)
		}
	}
	return len(cell)
}

// box draws rows as a box that fits the terminal.
func (c *cli) box(columns []column, rows [][]string) {
	hidden, limits := fit(columns, measure(columns, rows), c.look.width)
	t := table.NewWriter()
	t.SetOutputMirror(c.out)
	style := table.StyleRounded
	style.Format = table.FormatOptions{} // cells and heads as they are
	t.SetStyle(style)

	var head table.Row
	var configs []table.ColumnConfig
	for i, col := range columns {
		if hidden[i] {
			continue
		}
		config := table.ColumnConfig{Number: len(head) + 1}
		if col.right {
			config.Align, config.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, config)
		head = append(head, c.look.paint(bold, col.head))
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(head)
	for _, cells := range rows {
		row := make(table.Row, 0, len(head))
		for i, cell := range cells {
			if hidden[i] {
				continue
			}
			if limits[i] > 0 {
				cell = text.Snip(cell, limits[i], "…")
			}
			row = append(row, cell)
		}
		t.AppendRow(row)
	}
	t.Render()
}

// fit chooses which columns a terminal shows, and how long their cells may be.
func fit(columns []column, widths []int, width int) (hidden []bool, limits []int) {
	hidden, limits = make([]bool, len(columns)), make([]int, len(columns))
	for i, col := range columns {
		if limits[i] = col.max; col.max > 0 {
			widths[i] = min(widths[i], col.max)
		}
	}
	total := func() int {
		n := 1
		for i, w := range widths {
			if !hidden[i] {
				n += w + 3 // a blank at each side, and the line
			}
		}
		return n
	}
	for total() > width {
		next := -1
		for i, col := range columns {
			if !hidden[i] && col.drop > 0 && (next < 0 || col.drop > columns[next].drop) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		hidden[next] = true
	}
	for i, col := range columns { // all that is left is needed: cut what may be cut
		if over := total() - width; over > 0 && col.max > 0 && !hidden[i] {
			widths[i] = max(widths[i]-over, min(widths[i], minCut))
			limits[i] = widths[i]
		}
	}
	return hidden, limits
}

// fields prints aligned pairs of a name and a value.
func (c *cli) fields(pairs [][2]string) {
	width := 0
	for _, p := range pairs {
		width = max(width, len(p[0]))
	}
	for _, p := range pairs {
		c.printf("  %s %s\n", c.look.paint(dim, fmt.Sprintf("%-*s", width+1, p[0])), p[1])
	}
}

// unique returns list without what is in it before.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
