package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/inspect"
	"paceline/internal/pm2"
)

const envWords = `The environment, which may hold secrets, is left out unless --show-env asks for it;
under the name pm2 it is there, as scripts for PM2 expect it.`

func (c *cli) jlistCommand() *cobra.Command {
	return c.pm2List(&cobra.Command{
		Use:   "jlist [target...]",
		Short: "List instances as JSON, in PM2's shape",
		Long: `jlist prints a JSON array with an object per instance, with the fields of PM2's
jlist in its order.

` + envWords,
		Example: `  pace jlist
  pace jlist | jq -r '.[] | select(.pm2_env.status == "errored") | .name'
  pace jlist --show-env api`,
	}, c.printJSON)
}

// printJSON prints instances one by one: a list of hundreds is megabytes.
func (c *cli) printJSON(instances []pm2.Instance) {
	text := []byte("[")
	for i, in := range instances {
		if i > 0 {
			text = append(text[:0], ',')
		}
		text = inspect.AppendJSON(text, pm2.Process(in))
		c.out.Write(text) //nolint:errcheck // bufio keeps the error for Flush
		text = text[:0]
	}
	c.printf("%s]", text)
}

func (c *cli) prettylistCommand() *cobra.Command {
	return c.pm2List(&cobra.Command{
		Use:   "prettylist [target...]",
		Short: "List instances as Node prints objects, in PM2's shape",
		Long: `prettylist prints what jlist does as Node's util.inspect would, for scripts that
search it line by line; of more than 100 instances it tells only the number.
` + envWords,
		Example: `  pace prettylist
  pace prettylist | grep -c "restart_time: 0"`,
	}, func(instances []pm2.Instance) {
		list := make([]any, len(instances))
		for i, in := range instances {
			list[i] = pm2.Process(in)
		}
		c.printf("%s", inspect.Text(list))
	})
}

// pm2List builds a command that prints instances in PM2's shape.
func (c *cli) pm2List(cmd *cobra.Command, show func([]pm2.Instance)) *cobra.Command {
	env := cmd.Flags().Bool("show-env", false, "with the environment of each app, which may hold secrets")
	cmd.ValidArgsFunction = c.completeTargets
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		instances, err := c.pm2Instances(cmd.Context(), args, *env || c.asPM2())
		if err != nil {
			return err
		}
		show(instances)
		if !c.asPM2() { // PM2 ends neither with a newline
			c.printf("\n")
		}
		return nil
	}
	return cmd
}

// pm2Instances returns instances with what PM2 tells of them, by id. No target
// means all.
func (c *cli) pm2Instances(ctx context.Context, targets []string, env bool) ([]pm2.Instance, error) {
	apps, err := c.client.Apps(ctx, api.AppsQuery{Targets: targets, Env: env})
	if err != nil {
		return nil, err
	}
	list := []pm2.Instance{}
	versions := versions{}
	for i := range apps {
		a := &apps[i]
		version := versions.of(filepath.Dir(a.Spec.Exec))
		for n := range a.Instances {
			in := pm2.Instance{
				Spec: &a.Spec, Status: &a.Instances[n], User: pm2.Me(), Version: version,
				Interpreter: pm2.Interpreter(&a.Spec), Env: env,
			}
			if n < len(a.PIDFiles) {
				in.PIDFile = a.PIDFiles[n]
			}
			if n < len(a.AXM) {
				in.AXM = a.AXM[n]
			}
			list = append(list, in)
		}
	}
	slices.SortFunc(list, func(a, b pm2.Instance) int { return a.Status.ID - b.Status.ID })
	return list, nil
}

// versions remembers the version that the nearest package.json says, by folder.
type versions map[string]string

// maxPackage is how long a package.json may be to be read.
const maxPackage = 1 << 20

// of returns the version of the program in dir, "" if none is known.
func (v versions) of(dir string) string {
	if version, known := v[dir]; known {
		return version
	}
	v[dir] = ""
	file := filepath.Join(dir, "package.json")
	var about struct {
		Version string `json:"version"`
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() <= maxPackage {
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &about) == nil {
			v[dir] = about.Version
		}
	} else if parent := filepath.Dir(dir); parent != dir {
		v[dir] = v.of(parent)
	}
	return v[dir]
}
