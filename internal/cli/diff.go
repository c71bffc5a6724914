package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
)

func (c *cli) diffCommand() *cobra.Command {
	var x fileOptions
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff [file]",
		Short: "Tell what an app file would change",
		Long: `diff compares an app file with the apps that exist and prints what start, restart or
reload of the file would change: a line per app, + for one that is not there yet.
Variables are told by their names alone. Nothing is changed.`,
		Example: `  pace diff
  pace diff ecosystem.config.js --env production
  pace diff apps.yaml --exit-code || pace reload apps.yaml`,
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := c.fileOr(args)
			if err != nil {
				return err
			}
			differs, err := c.diff(cmd.Context(), file, x)
			if err == nil && differs && exitCode {
				return errQuiet
			}
			return err
		},
	}
	readFlags(cmd, &x)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with status 1 if something differs")
	return cmd
}

func (c *cli) diff(ctx context.Context, file string, x fileOptions) (differs bool, err error) {
	f, err := c.load(ctx, file, ecosystem.StartOptions{}, x)
	if err != nil {
		return false, err
	}
	list, err := c.local.Apps(ctx, api.AppsQuery{Env: true})
	if err != nil && !errors.Is(err, api.ErrNoDaemon) { // without one there are no apps
		return false, err
	}
	present := map[string]*app.Spec{}
	for i := range list {
		present[list[i].Spec.Name] = &list[i].Spec
	}
	for i := range f.Apps {
		spec := &f.Apps[i]
		old := present[spec.Name]
		if old == nil {
			differs = true
			c.printf("+ %s\n", summary(spec))
			continue
		}
		if changes := app.Diff(old, spec); len(changes) > 0 {
			differs = true
			c.tellChanges(changes)
		}
	}
	if !differs {
		c.say("nothing differs")
	}
	return differs, nil
}
