package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/ecosystem"
)

// commandGroup is a heading of the help.
type commandGroup struct {
	id, title string
	commands  []declared
}

// declared is a command that can be built. Declaring all options of all commands
// takes most of a millisecond, a tenth of what `pace list` may take, so one that is
// called by its first word is built alone: see root.
type declared struct {
	words string // its name, then its aliases; a test holds that they are those
	build func(c *cli) *cobra.Command
}

func commandGroups() []commandGroup {
	return []commandGroup{
		{"apps", "Run apps:", []declared{
			{"start", (*cli).startCommand},
			{"runtime", (*cli).runtimeCommand},
			{"dev", (*cli).devCommand},
			{"stop", (*cli).stopCommand},
			{"restart", (*cli).restartCommand},
			{"reload", (*cli).reloadCommand},
			{"scale", (*cli).scaleCommand},
			{"delete del", (*cli).deleteCommand},
			{"reset", (*cli).resetCommand},
			{"startOrRestart", func(c *cli) *cobra.Command { return c.startOrCommand("startOrRestart", api.ApplyRestart) }},
			{"startOrReload startOrGracefulReload", func(c *cli) *cobra.Command {
				return c.startOrCommand("startOrReload", api.ApplyReload, "startOrGracefulReload")
			}},
			{"serve expose", (*cli).serveCommand},
			{"deploy", (*cli).deployCommand},
		}},
		{"look", "Look at apps:", []declared{
			{"list ls l ps status", (*cli).listCommand},
			{"jlist", (*cli).jlistCommand},
			{"show describe desc info", (*cli).showCommand},
			{"why", (*cli).whyCommand},
			{"check", (*cli).checkCommand},
			{"logs log", (*cli).logsCommand},
			{"flush", (*cli).flushCommand},
			{"reloadLogs", (*cli).reloadLogsCommand},
			{"events", (*cli).eventsCommand},
			{"wait", (*cli).waitCommand},
			{"prettylist", (*cli).prettylistCommand},
			{"env", (*cli).envCommand},
			{"id", (*cli).idCommand},
			{"metrics", (*cli).metricsCommand},
			{"pid", (*cli).pidCommand},
			{"web dashboard", (*cli).webCommand},
		}},
		{"files", "Files of apps:", []declared{
			{"init ecosystem", (*cli).initCommand},
			{"validate", (*cli).validateCommand},
			{"diff", (*cli).diffCommand},
			{"import", (*cli).importCommand},
			{"schema", (*cli).schemaCommand},
		}},
		{"talk", "Talk to running apps:", []declared{
			{"sendSignal", (*cli).sendSignalCommand},
			{"send", (*cli).sendCommand},
			{"attach", (*cli).attachCommand},
			{"trigger", (*cli).triggerCommand},
		}},
		{"daemon", "Paceline itself:", []declared{
			{"ping", (*cli).pingCommand},
			{"kill", (*cli).killCommand},
			{"update updatePM2", (*cli).updateCommand},
			{"doctor", (*cli).doctorCommand},
			{"startup", (*cli).startupCommand},
			{"unstartup", (*cli).unstartupCommand},
			{"version", (*cli).versionCommand},
			{"api", (*cli).apiCommand},
			{"completion", (*cli).completionCommand},
			{"save dump", (*cli).saveCommand},
			{"resurrect", (*cli).resurrectCommand},
			{"cleardump", (*cli).cleardumpCommand},
			{"set config", (*cli).setCommand},
			{"multiset", (*cli).multisetCommand},
			{"get", (*cli).getCommand},
			{"hooks", (*cli).hooksCommand},
			{"unset", (*cli).unsetCommand},
			{"conf", (*cli).confCommand},
			{"report", (*cli).reportCommand},
			{"slist sysinfos", (*cli).slistCommand},
		}},
	}
}

// only leaves in groups the one command that has word among its words; without
// such a one they stay as they are.
func only(groups []commandGroup, word string) []commandGroup {
	for _, g := range groups {
		for i, d := range g.commands {
			for w := range strings.FieldsSeq(d.words) {
				if w == word {
					g.commands = g.commands[i : i+1]
					return []commandGroup{g}
				}
			}
		}
	}
	return groups
}

// laterCommands are PM2's commands that this version does not have yet.
func laterCommands() []string {
	return strings.Fields(`dash imonit monit`)
}

// laterFlags are PM2's options that this version does not have.
func laterFlags() []string {
	return strings.Fields(`attach container daemon dockerdaemon dist image-name mini-list node-version sort`)
}

// unknownCommand says what is wrong with a first word that is no command.
func unknownCommand(root *cobra.Command, word string) error {
	if slices.Contains(laterCommands(), word) {
		return fmt.Errorf("%s is a command of PM2's that is not there yet; `pace help` lists those that are", word)
	}
	if instead := insteadOf(word); instead != "" {
		return fmt.Errorf("%s is a command of PM2's that there is not here: %s", word, instead)
	}
	if near := nearest(root, word); near != "" {
		return fmt.Errorf("unknown command %q; did you mean `pace %s`?", word, near)
	}
	if strings.ContainsAny(word, "./ ") {
		return fmt.Errorf("unknown command %q; to run it: `pace start %s`", word, word)
	}
	return fmt.Errorf("unknown command %q; `pace help` lists all", word)
}

// nearest returns the command that word may be a slip of, or "".
func nearest(root *cobra.Command, word string) string {
	var names []string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			names = append(append(names, cmd.Name()), cmd.Aliases...)
		}
	}
	return ecosystem.Nearest(word, names)
}

// flagError says what is wrong with an option, in words of ours.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	help := "; `" + strings.TrimSpace(cmd.CommandPath()) + " --help` lists all"
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		name, _, _ = strings.Cut(name, "=")
		if slices.Contains(laterFlags(), name) {
			return fmt.Errorf("--%s is an option of PM2's that is not there yet%s", name, help)
		}
		return fmt.Errorf("unknown option --%s%s", name, help)
	}
	if rest, ok := strings.CutPrefix(text, "unknown shorthand flag: "); ok {
		if _, word, ok := strings.Cut(rest, " in "); ok {
			rest = word
		}
		return fmt.Errorf("unknown option %s%s", rest, help)
	}
	if rest, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		if _, word, ok := strings.Cut(rest, " in "); ok {
			rest = word
		}
		return fmt.Errorf("option %s needs a value%s", rest, help)
	}
	return errors.New(text + help)
}

// atLeast asks for n words, which what names.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return errors.New("name " + what)
		}
		if slices.Contains(args, "") {
			return errors.New("an empty word names nothing")
		}
		return nil
	}
}

// noWords refuses arguments.
func noWords(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("takes no arguments, but got %q", args[0])
	}
	return nil
}
