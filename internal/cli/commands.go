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
	commands  func(c *cli) []*cobra.Command
}

func commandGroups() []commandGroup {
	return []commandGroup{
		{"apps", "Run apps:", func(c *cli) []*cobra.Command {
			return []*cobra.Command{
				c.startCommand(), c.runtimeCommand(), c.devCommand(), c.stopCommand(), c.restartCommand(),
				c.reloadCommand(), c.scaleCommand(), c.deleteCommand(), c.resetCommand(),
				c.startOrCommand("startOrRestart", api.ApplyRestart),
				c.startOrCommand("startOrReload", api.ApplyReload, "startOrGracefulReload"), c.serveCommand(),
				c.deployCommand(),
			}
		}},
		{"look", "Look at apps:", func(c *cli) []*cobra.Command {
			return []*cobra.Command{
				c.listCommand(), c.jlistCommand(), c.showCommand(), c.checkCommand(), c.logsCommand(), c.flushCommand(),
				c.reloadLogsCommand(), c.waitCommand(), c.prettylistCommand(), c.envCommand(),
				c.idCommand(), c.pidCommand(), c.webCommand(),
			}
		}},
		{"files", "Files of apps:", func(c *cli) []*cobra.Command {
			return []*cobra.Command{
				c.initCommand(), c.validateCommand(), c.diffCommand(), c.importCommand(), c.schemaCommand(),
			}
		}},
		{"talk", "Talk to running apps:", (*cli).talkCommands},
		{"daemon", "Paceline itself:", func(c *cli) []*cobra.Command {
			return []*cobra.Command{
				c.pingCommand(), c.killCommand(), c.updateCommand(), c.doctorCommand(), c.startupCommand(),
				c.unstartupCommand(), c.versionCommand(), c.completionCommand(), c.saveCommand(), c.resurrectCommand(),
				c.cleardumpCommand(), c.setCommand(), c.multisetCommand(), c.getCommand(), c.unsetCommand(),
				c.confCommand(), c.reportCommand(), c.slistCommand(),
			}
		}},
	}
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
