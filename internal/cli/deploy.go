package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/deploy"
	"paceline/internal/ecosystem"
)

func (c *cli) deployCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "deploy [file] environment [command] [words...]",
		Short: "Put a git repository's state on servers, over ssh",
		Long: `deploy runs a command on every host of an environment in an app file's "deploy"
section, one after the other, by the programs ssh and git:

  setup         make the folders and clone the repository
  update        fetch, set the checkout to ref and run post-deploy; the default
  revert [n]    go back to the n-th deployment before the last (default 1)
  ref REF       update to another branch, tag or commit
  curr, prev    print the commit of the last deployment, or of the one before
  list          print all deployments
  exec LINE     run a command line in the checkout (also: run)
  console       open a shell there

The file is the first of ` + strings.Join(deployFiles()[:3], ", ") + `... here. The host
localhost is this machine. update refuses if this folder has changes that are not
committed, or not pushed. Without a post-deploy of its own, an environment has
` + "`pace startOrRestart FILE --env ENVIRONMENT`" + `.`,
		Example: `  pace deploy production setup
  pace deploy production
  pace deploy ecosystem.json staging revert 1
  pace deploy production exec "node --version"`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.deploy(cmd.Context(), args, force) },
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "deploy also if there are local changes that are not pushed")
	return cmd
}

// deployFiles are looked for in this order, PM2's.
func deployFiles() []string {
	return []string{
		"ecosystem.json", "ecosystem.yml", "ecosystem.yaml", "ecosystem.config.js", "ecosystem.config.cjs",
		"ecosystem.config.mjs", "ecosystem.json5", "package.json",
	}
}

func (c *cli) deploy(ctx context.Context, args []string, force bool) error {
	dir, err := c.abs(".")
	if err != nil {
		return err
	}
	file := ""
	if len(args) > 0 && isDeployFile(dir, args[0]) {
		file, args = args[0], args[1:]
	}
	if file == "" {
		for _, name := range deployFiles() {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				file = name
				break
			}
		}
	}
	if file == "" {
		return fmt.Errorf("no app file in %s; name it before the environment", dir)
	}
	if len(args) == 0 {
		return errors.New("name the environment, e.g. pace deploy production")
	}
	config, unknown, err := c.deployConfig(ctx, file, args[0])
	if err != nil {
		return err
	}
	for _, key := range unknown {
		c.warn(fmt.Sprintf("deploy.%s.%s in %s means nothing here", args[0], key, file))
	}
	o := deploy.Options{
		Force: force, File: file, Env: args[0], Dir: dir, Environ: c.Environ,
		Stdin: os.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
	}
	if c.silent {
		o.Stdout = io.Discard
	}
	if len(args) > 1 {
		o.Command, o.Args = args[1], args[2:]
	}
	return deploy.Run(ctx, config, o)
}

// isDeployFile tells an app file from the name of an environment.
func isDeployFile(dir, word string) bool {
	for _, ending := range []string{".json", ".json5", ".yml", ".yaml", ".toml", ".config.js", ".config.cjs", ".config.mjs"} {
		if strings.HasSuffix(word, ending) {
			return true
		}
	}
	if !strings.Contains(word, "/") && !slices.Contains(deployFiles(), word) {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, word))
	return err == nil && info.Mode().IsRegular()
}

// deployConfig reads one environment of an app file's deploy section.
func (c *cli) deployConfig(ctx context.Context, file, environment string) (config deploy.Config, unknown []string, err error) {
	o, err := c.loadOptions(file, ecosystem.StartOptions{}, fileOptions{env: environment})
	if err != nil {
		return config, nil, err
	}
	sections, err := ecosystem.Deploy(ctx, o)
	if err != nil {
		return config, nil, err
	}
	section, ok := sections[environment]
	if !ok {
		names := slices.Sorted(maps.Keys(sections))
		if len(names) == 0 {
			return config, nil, fmt.Errorf("%s has no deploy section; it needs deploy.%s with host, repo, path and ref", file, environment)
		}
		return config, nil, fmt.Errorf("%s has no deploy.%s; there are %s", file, environment, strings.Join(names, ", "))
	}
	config, unknown, err = deploy.Parse(section)
	if err != nil {
		return config, nil, fmt.Errorf("%s: deploy.%s: %w", file, environment, err)
	}
	return config, unknown, nil
}
