package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/inspect"
	"paceline/internal/pm2"
)

func (c *cli) envCommand() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use:   "env target",
		Short: "Print the environment of an instance",
		Long: `env prints the variables of an instance, one "name: value" a line. The values of
those whose names look like a secret's are masked unless --show-secrets asks for
them. What an env_file holds is read at each start, and is not among them.

Under the name pm2 it prints, as PM2 does, a few fields of the instance's record as
well, and masks nothing.`,
		Example: `  pace env 0
  pace env api --show-secrets`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one instance: an id or a name")
			}
			return nil
		},
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.pm2Instances(cmd.Context(), args, true)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("%s: there is no such instance", args[0])
			}
			c.env(list[0], secrets)
			return nil
		},
	}
	cmd.Flags().BoolVar(&secrets, "show-secrets", false, "with the values of variables that look like secrets")
	return cmd
}

// env prints the variables of an instance.
func (c *cli) env(in pm2.Instance, secrets bool) {
	if c.asPM2() {
		for _, m := range pm2.Shown(in) {
			c.printf("%s: %s\n", m.Key, strings.Trim(inspectPlain(m.Value), "\n"))
		}
		return
	}
	masked := false
	for _, name := range slices.Sorted(maps.Keys(in.Spec.Env)) {
		value := oneLine(in.Spec.Env[name])
		if !secrets && app.SecretName(name) && value != "" {
			value, masked = "***", true
		}
		c.printf("%s: %s\n", name, value)
	}
	if masked && c.look.terminal {
		c.say("--show-secrets shows what is masked")
	}
}

// inspectPlain writes a text as it is, anything else as JavaScript does.
func inspectPlain(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	return inspect.Text(v)
}

func (c *cli) idCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "id name",
		Short: "Print the ids of an app's instances",
		Long: `id prints the ids of the app of that name as a list of JavaScript: [ 0, 1 ]. It is
empty if there is no such app, which is no error.`,
		Example: `  pace id api`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one app")
			}
			return nil
		},
		ValidArgsFunction: c.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := []int{}
			list, err := c.named(cmd.Context(), args[0])
			for i := range list {
				ids = append(ids, list[i].ID)
			}
			if err == nil {
				c.printf("%s\n", inspect.Text(ids))
			}
			return err
		},
	}
}

func (c *cli) pidCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pid [name]",
		Short: "Print the process ids of an app, or of all",
		Long: `pid prints the process id of each instance of an app, or of all, one a line; 0 is
one without a process. If there is no such app it prints an empty line, which is
no error.`,
		Example: `  pace pid
  pace pid api`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("name one app, or none")
			}
			return nil
		},
		ValidArgsFunction: c.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			list, err := c.named(cmd.Context(), name)
			if err != nil {
				return err
			}
			for i := range list {
				c.printf("%d\n", list[i].PID)
			}
			if len(list) == 0 {
				c.printf("\n")
			}
			return nil
		},
	}
}

// named returns the instances of an app, of all if name is "".
func (c *cli) named(ctx context.Context, name string) ([]app.Status, error) {
	list, err := c.client.Instances(ctx, api.InstancesQuery{Brief: true})
	if err != nil || name == "" {
		return list, err
	}
	return slices.DeleteFunc(list, func(s app.Status) bool { return s.Name != name }), nil
}
