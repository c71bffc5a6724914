package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/settings"
)

const settingWords = `A key is a word, or an app's name and a word: api.level or api:level.`

func (c *cli) setCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "set key value",
		Aliases: []string{"config"},
		Short:   "Keep a setting; one of an app restarts it",
		Long: `set keeps a text under a key, in settings.json of Paceline's home.
` + settingWords + `

A setting of an app that exists is put into its environment, the word as the name of
the variable, and all of its settings as JSON in a variable of the app's name; then
the app is restarted. One key changes Paceline itself: logs_max_total, the size that
all log files together may have (2G if it is not set, off for no limit); the oldest
rotated files go first.`,
		Example: `  pace set api.level debug
  pace set logs_max_total 4G
  pace set note "deployed by hand"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name a key and its value, e.g. `pace set api.level debug`; `pace conf` lists what is set")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.set(cmd.Context(), args) },
	}
}

func (c *cli) multisetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   `multiset "key value key value"`,
		Short: "Keep several settings",
		Long: `multiset keeps several settings at once: keys and values in turn.
` + settingWords,
		Example: `  pace multiset "api.level debug api.color off"`,
		Args:    atLeast(1, "keys and values in turn"),
		RunE: func(cmd *cobra.Command, args []string) error {
			words := strings.Fields(strings.Join(args, " "))
			if len(words)%2 != 0 {
				return fmt.Errorf("the key %q has no value", words[len(words)-1])
			}
			return c.set(cmd.Context(), words)
		},
	}
}

// set keeps pairs of a key and a value, and restarts the apps that they are of.
func (c *cli) set(ctx context.Context, pairs []string) error {
	all, err := settings.Load(c.settingsFile())
	if err != nil {
		return err
	}
	var apps []string
	for i := 0; i < len(pairs); i += 2 {
		owner, name, err := settings.Split(pairs[i])
		if err != nil {
			return err
		}
		if owner == "" && name == settings.LogsMaxTotal {
			if _, err := settings.ParseTotal(pairs[i+1]); err != nil {
				return err
			}
		}
		all.Set(owner, name, pairs[i+1])
		if owner != "" && !slices.Contains(apps, owner) {
			apps = append(apps, owner)
		}
	}
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return fmt.Errorf("make the home for settings: %w", err)
	}
	if err := all.Save(c.settingsFile()); err != nil {
		return err
	}
	for _, name := range apps {
		if err := c.hand(ctx, name, all.Apps[name]); err != nil {
			return fmt.Errorf("the setting is kept, but %s did not get it: %w", name, err)
		}
	}
	c.say("set")
	return nil
}

// hand gives an app its settings as variables, if there is that app.
func (c *cli) hand(ctx context.Context, name string, values map[string]string) error {
	apps, err := c.client.Apps(ctx, api.AppsQuery{Env: true})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(apps, func(a api.AppInfo) bool { return a.Spec.Name == name })
	if at < 0 {
		return nil
	}
	spec := apps[at].Spec
	together, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode the settings: %w", err)
	}
	given := maps.Clone(values)
	given[name] = string(together)
	if spec.Env == nil {
		spec.Env = map[string]string{}
	}
	for key, value := range given {
		spec.Env[key] = value
		if !slices.Contains(spec.EnvOwn, key) {
			spec.EnvOwn = append(spec.EnvOwn, key)
		}
	}
	slices.Sort(spec.EnvOwn)
	_, err = c.client.Apply(ctx, api.ApplyRequest{Specs: []app.Spec{spec}, Action: api.ApplyRestart}, nil)
	return err
}

func (c *cli) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get [key]",
		Short: "Print a setting",
		Long: `get prints the value of a key, all settings of an app if it is the app's name, or all
if no key is given. A key that is not set is an error without a word.
` + settingWords,
		Example: `  pace get api.level
  pace get api`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("name one key, or none")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.settings()
			}
			owner, name, err := settings.Split(args[0])
			if err != nil {
				return err
			}
			all, err := settings.Load(c.settingsFile())
			if err != nil {
				return err
			}
			values, ok := all.Get(owner, name)
			if !ok {
				return errQuiet
			}
			if value, single := values[strings.Replace(args[0], ".", ":", 1)]; single {
				c.printf("%s\n", value)
				return nil
			}
			for _, key := range slices.Sorted(maps.Keys(values)) {
				c.printf("%s %s\n", key, values[key])
			}
			return nil
		},
	}
}

func (c *cli) unsetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unset key",
		Short: "Forget a setting",
		Long: `unset forgets a key, all settings of an app if it is the app's name, or everything if
it is "all". That a key is not set is no error. No app is restarted.
` + settingWords,
		Example: `  pace unset api.level
  pace unset all`,
		Args: atLeast(1, "a key"),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := settings.Load(c.settingsFile())
			if err != nil {
				return err
			}
			for _, key := range args {
				owner, name, err := settings.Split(key)
				if err != nil {
					return err
				}
				if _, ok := all.Get(owner, name); !ok && key != "all" {
					continue
				}
				all.Unset(owner, name)
				if err := all.Save(c.settingsFile()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (c *cli) confCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "conf",
		Short:   "Print all settings",
		Long:    `conf prints all settings, a key and its value a line.`,
		Example: `  pace conf`,
		Args:    cobra.ArbitraryArgs, // PM2 ignores them
		RunE:    func(*cobra.Command, []string) error { return c.settings() },
	}
}

func (c *cli) settings() error {
	all, err := settings.Load(c.settingsFile())
	for _, kv := range all.All() {
		c.printf("%s %s\n", kv[0], kv[1])
	}
	return err
}

func (c *cli) settingsFile() string { return filepath.Join(c.Home, settings.Name) }
