package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) whyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why target...",
		Short: "Tell what happened to an app, who did it, and what to do",
		Long: `why explains each instance on one screen: what went wrong last and when, who or what
ended the process as far as that is known, what speaks for it, the last lines on
stderr, memory, restarts in the last hour, what has changed since the last good run
(version, variables by name, fields of the configuration), the state now and why it is
that, and what to do next. Of an app that is well it says so. Values of variables
whose names say that they are secret are never shown.`,
		Example: `  pace why api
  pace why 3
  pace why all --json`,
		Args:              atLeast(1, "an app: an id, a name, or all"),
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.client.Why(cmd.Context(), api.WhyQuery{Targets: args})
			if err != nil {
				return err
			}
			if asJSON {
				text, err := json.MarshalIndent(list, "", "  ")
				if err != nil {
					return fmt.Errorf("encode the answer: %w", err)
				}
				c.printf("%s\n", text)
				return nil
			}
			if len(list) == 0 {
				return errors.New("there are no apps; to start one: pace start server.js")
			}
			for i := range list {
				if i > 0 && (!list[i].Healthy || !list[i-1].Healthy) {
					c.printf("\n")
				}
				c.tellWhy(&list[i])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, as the API has it")
	return cmd
}

// tellWhy prints one explanation.
func (c *cli) tellWhy(w *api.Why) {
	colour := red
	switch {
	case w.Healthy:
		colour = green
	case w.State == app.Online || w.State == app.Stopped:
		colour = yellow
	}
	c.printf("%s\n", c.look.paint(colour, oneLine(w.Summary)))
	line := func(name, text string) {
		if text != "" {
			c.printf("  %s %s\n", c.look.paint(dim, fmt.Sprintf("%-10s", name)), oneLine(text))
		}
	}
	if w.Healthy {
		line("memory", w.Memory)
		return
	}
	line("now", w.Now)
	if w.What != "" {
		line("what", w.What+", at "+clock(w.At, c.Now()))
	}
	line("cause", w.Cause)
	for i, text := range w.Evidence {
		line(firstOf("evidence", i), text)
	}
	for i, text := range w.Stderr {
		c.printf("  %s %s %s\n", c.look.paint(dim, fmt.Sprintf("%-10s", firstOf("stderr", i))), c.look.paint(red, "|"), oneLine(text))
	}
	line("memory", w.Memory)
	line("last hour", count(w.Restarts, "restart")+", "+crashes(w.Crashes))
	switch {
	case len(w.Changed) > 0:
		since := "since its first start"
		if !w.LastGood.IsZero() {
			since = "since the last good run, " + clock(w.LastGood, c.Now())
		}
		line("changed", since+":")
		for _, text := range w.Changed {
			line("", text)
		}
	case !w.LastGood.IsZero():
		line("changed", "nothing that is known, since the last good run, "+clock(w.LastGood, c.Now()))
	default:
		line("changed", "nothing that is known; no good run is either")
	}
	for i, step := range w.Next {
		text := step.Text
		if step.Command != "" {
			text += ":"
		}
		line(firstOf("next", i), text)
		if step.Command != "" {
			c.printf("  %10s   %s\n", "", c.look.paint(bold, oneLine(step.Command)))
		}
	}
}

func crashes(n int) string {
	if n == 1 {
		return "1 crash"
	}
	return fmt.Sprintf("%d crashes", n)
}

// firstOf returns the name of a block of lines for the first of them.
func firstOf(name string, i int) string {
	if i == 0 {
		return name
	}
	return ""
}
