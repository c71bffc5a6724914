package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/app"
	"paceline/internal/ecosystem"
)

// completeFiles leaves the words to the shell, which knows files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// fileOr is the file that the words name, or the usual one of this folder.
func (c *cli) fileOr(args []string) (string, error) {
	switch len(args) {
	case 0:
		dir, err := c.folder()
		if err != nil {
			return "", err
		}
		return ecosystem.FindDefault(dir)
	case 1:
		return args[0], nil
	}
	return "", fmt.Errorf("takes one app file, but got %q as well", args[1])
}

func (c *cli) validateCommand() *cobra.Command {
	var x fileOptions
	cmd := &cobra.Command{
		Use:   "validate [file]",
		Short: "Check an app file, and print what it would run",
		Long: `validate reads an app file as start does, and prints each app with what would run,
or everything that is wrong, a line each, with its place. Nothing is started; no
daemon is needed. The status is 1 if something is wrong.`,
		Example: `  pace validate
  pace validate ecosystem.config.js --env production
  generate | pace validate -`,
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := c.fileOr(args)
			if err != nil {
				return err
			}
			return c.validate(cmd.Context(), file, x)
		},
	}
	readFlags(cmd, &x)
	return cmd
}

// readFlags declares how a file is read.
func readFlags(cmd *cobra.Command, x *fileOptions) {
	cmd.Flags().StringVar(&x.env, "env", "", "`name` of the env_<name> that is used (default: none)")
	cmd.Flags().StringVar(&x.only, "only", "", "`names` of the apps that are meant, apart by commas or blanks (default: all)")
}

func (c *cli) validate(ctx context.Context, file string, x fileOptions) error {
	f, err := c.load(ctx, file, ecosystem.StartOptions{}, x)
	if p, ok := errors.AsType[*ecosystem.Problems](err); ok {
		for i := range p.List {
			c.errorf("%s", p.Line(i))
		}
		return errQuiet
	}
	if err != nil {
		return err
	}
	for i := range f.Apps {
		c.say("%s", summary(&f.Apps[i]))
	}
	for _, note := range f.Notes {
		c.say("note: %s", note)
	}
	return nil
}

// summary says in a line what an app would run.
func summary(s *app.Spec) string {
	_, argv := s.Command()
	text := fmt.Sprintf("%s: %s", s.Name, strings.Join(argv, " "))
	text += fmt.Sprintf(" (%s, %s, in %s", s.Mode, count(s.Instances, "instance"), s.Cwd)
	if s.Job != "" {
		text += ", at " + s.Job
	}
	if s.User != nil {
		text += ", as " + s.User.Name
	}
	return oneLine(text + ")")
}

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of app files",
		Long: `schema prints the JSON Schema of app files, by which editors complete and check them.
In a YAML file: # yaml-language-server: $schema=app-file.schema.json`,
		Example: `  pace schema > app-file.schema.json`,
		Args:    noWords,
		RunE: func(*cobra.Command, []string) error {
			c.printf("%s", ecosystem.Schema())
			return nil
		},
	}
}
