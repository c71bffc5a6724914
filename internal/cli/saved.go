package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) saveCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "save",
		Aliases: []string{"dump"},
		Short:   "Save the list of apps, for resurrect",
		Long: `save writes the apps and whether they run to dump.json in Paceline's home, for
resurrect. The one before stays as dump.json.bak. The file is readable by its owner
alone and holds the apps' environments; what an env_file holds is not in it.

Without apps nothing is saved, unless --force empties the file. It is not needed for
a reboot: the daemon keeps its list at each change, and takes it up by itself.

Under the name pm2 it writes dump.pm2 as well, in PM2's shape.`,
		Example: `  pace save
  pace save --force`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.save(cmd, api.SaveRequest{Force: force || c.getenv("FORCE") != "" && c.asPM2(), PM2: c.asPM2()})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "save an empty list as well")
	return cmd
}

func (c *cli) cleardumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "cleardump",
		Short:   "Empty the saved list",
		Long:    `cleardump saves an empty list. The one before stays as dump.json.bak. No app is touched.`,
		Example: `  pace cleardump`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.save(cmd, api.SaveRequest{Clear: true, PM2: c.asPM2()})
		},
	}
}

func (c *cli) save(cmd *cobra.Command, q api.SaveRequest) error {
	reply, err := c.client.Save(cmd.Context(), q)
	if err != nil {
		return err
	}
	if len(reply.Files) == 0 {
		c.warn("there are no apps, so nothing is saved and the file stays; `pace save --force` saves an empty list")
		return nil
	}
	c.say("saved %s in %s", count(reply.Apps, "app"), strings.Join(reply.Files, " and "))
	return nil
}

func (c *cli) resurrectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resurrect",
		Short: "Start the saved apps that are not there",
		Long: `resurrect starts the apps of dump.json whose names are not there, each after those
that it depends on; what was stopped when it was saved is listed as stopped. A file
that cannot be read is moved aside, and dump.json.bak takes its place. That nothing
is saved is no error.

Under the name pm2 it reads PM2's dump.pm2 if there is no dump.json.`,
		Example: `  pace resurrect`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply, err := c.client.Resurrect(cmd.Context(), api.ResurrectRequest{PM2: c.asPM2()})
			return c.done(reply, err, nil)
		},
	}
}
