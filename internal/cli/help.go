package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints what a command does, its examples and its options.
func (c *cli) help(cmd *cobra.Command, _ []string) {
	c.printf("%s\n\n%s\n  %s\n", c.renamed(cmd.Long), c.heading("Usage:"), c.renamed(usageLine(cmd)))
	if len(cmd.Aliases) > 0 {
		c.printf("\n%s\n  %s\n", c.heading("Aliases:"), strings.Join(cmd.Aliases, ", "))
	}
	c.printf("\n%s\n%s\n", c.heading("Examples:"), c.renamed(cmd.Example))
	if cmd.HasParent() {
		inherited := cmd.InheritedFlags()
		c.helpFlags("Options:", cmd.Flags(), func(name string) bool { return inherited.Lookup(name) == nil })
		c.helpFlags("Options of all commands:", inherited, func(string) bool { return true })
		return
	}
	for _, g := range commandGroups() {
		c.printf("\n%s\n", c.heading(g.title))
		for _, sub := range cmd.Commands() {
			if sub.GroupID == g.id {
				c.printf("  %-12s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	c.helpFlags("Options:", cmd.Flags(), func(string) bool { return true })
	c.printf("\n%s\n", c.renamed("`pace help COMMAND` tells more about a command."))
}

func (c *cli) heading(text string) string { return c.look.paint(bold, text) }

func usageLine(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "pace command [words and options...]"
	}
	return "pace " + cmd.Use
}

// The options' names stand in a column, and their meaning beside it.
const (
	flagColumn = 32
	helpWidth  = 104
)

// helpFlags prints those of flags that are wanted, in the order of their
// declaration.
func (c *cli) helpFlags(title string, flags *pflag.FlagSet, wanted func(name string) bool) {
	c.printf("\n%s\n", c.heading(title))
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || !wanted(f.Name) {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		head := "      --" + f.Name
		if f.Shorthand != "" {
			head = "  -" + f.Shorthand + ", --" + f.Name
		}
		if _, ok := f.Annotations[mayBeAlone]; ok {
			head += " [" + name + "]"
		} else if f.NoOptDefVal == "" {
			head += " " + name
			if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "[]" {
				usage += " (default " + f.DefValue + ")"
			}
		}
		lines := wrap(usage, helpWidth-flagColumn)
		if len(head) < flagColumn-1 {
			c.printf("%-*s%s\n", flagColumn, head, lines[0])
			lines = lines[1:]
		} else {
			c.printf("%s\n", head)
		}
		for _, line := range lines {
			c.printf("%*s%s\n", flagColumn, "", line)
		}
	})
}

// wrap breaks text between words into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
