package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
	"paceline/internal/hooks"
	"paceline/internal/state"
)

func (c *cli) hooksCommand() *cobra.Command {
	var on []string
	var hook app.Hook
	var command, timeout string
	cmd := &cobra.Command{
		Use:   "hooks [list | add | remove number]",
		Short: "Have something done when something happens to any app",
		Long: `hooks lists what is done when something happens: of all apps, and of each. add has a
command run, or a URL get a POST, whatever the app; remove forgets one of those, by its
number. They are in hooks.json of Paceline's home. Hooks of one app are a field of its
app file. A hook acts at once, and then on the same kind of event of the same app at
most each 30 s, with their number. docs/events.md tells what it is given.`,
		Example: `  pace hooks
  pace hooks add --on crash,errored --webhook https://chat.example/hook
  pace hooks add --on hang --exec 'mail -s "$PACE_APP hangs" ops@example.com'
  pace hooks remove 1`,
		ValidArgsFunction: cobra.FixedCompletions([]string{"list", "add", "remove"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			action := "list"
			if len(args) > 0 {
				action = args[0]
			}
			switch {
			case action == "list" && len(args) <= 1:
				return c.listHooks(cmd.Context())
			case action == "add" && len(args) == 1:
				for _, word := range on {
					hook.On = append(hook.On, app.HookWord(strings.ReplaceAll(word, "-", "_")))
				}
				var err error
				if command != "" {
					if hook.Exec, err = ecosystem.CommandLine(command); err != nil {
						return fmt.Errorf("--exec %q: %w", command, err)
					}
				}
				if timeout != "" {
					if hook.Timeout, err = app.ParseDuration(timeout); err != nil {
						return fmt.Errorf("--timeout %w", err)
					}
				}
				return c.addHook(hook, cmd.Flags().Changed("retries"))
			case action == "remove" && len(args) == 2:
				return c.removeHook(args[1])
			}
			return errors.New("want `pace hooks`, `pace hooks add --on WORDS --exec COMMAND` or `--webhook URL`, or `pace hooks remove NUMBER`")
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&on, "on", nil, "when: `words` of "+strings.Join(texts(app.HookWords()), ", ")+" (default: none)")
	f.StringVar(&command, "exec", "", "a `command` line to run (default: none)")
	f.StringVar(&hook.Webhook, "webhook", "", "a `URL` that gets a POST (default: none)")
	f.StringVar(&timeout, "timeout", "", "`time` that the command or one request may take (default 30s, 10s)")
	f.IntVar(&hook.Retries, "retries", 4, "`count` of attempts after a request has failed, 0 for none")
	mustComplete(cmd, "on", texts(app.HookWords()))
	return cmd
}

func (c *cli) hooksFile() string { return filepath.Join(c.Home, hooks.FileName) }

// listHooks prints those of all apps, and of each.
func (c *cli) listHooks(ctx context.Context) error {
	all, err := hooks.Load(c.hooksFile())
	if err != nil {
		return err
	}
	apps, err := c.local.Apps(ctx, api.AppsQuery{})
	if err != nil && !errors.Is(err, api.ErrNoDaemon) {
		return err
	}
	found := len(all) > 0
	for i := range all {
		c.printf("%d  all apps  %s\n", i+1, hookText(&all[i]))
	}
	for i := range apps {
		for n := range apps[i].Spec.Hooks {
			found = true
			c.printf("-  %s  %s\n", apps[i].Spec.Name, hookText(&apps[i].Spec.Hooks[n]))
		}
	}
	if !found {
		c.say("there are no hooks; to have one: pace hooks add --on crash --exec COMMAND")
	}
	return nil
}

// hookText tells of a hook on one line, without what of a URL may be secret.
func hookText(h *app.Hook) string {
	return oneLine("on " + strings.Join(texts(h.On), ", ") + ": " + h.Target())
}

func (c *cli) addHook(h app.Hook, retriesGiven bool) error {
	switch {
	case !retriesGiven || h.Webhook == "":
		h.Retries = 0
	case h.Retries == 0:
		h.Retries = -1 // in the file 0 is the default
	}
	if err := h.Validate(); err != nil {
		return err
	}
	if len(h.Exec) > 0 { // the daemon runs it, in another folder and perhaps with another PATH
		program, err := exec.LookPath(h.Exec[0])
		if err != nil {
			return fmt.Errorf("--exec: %w", err)
		}
		if h.Exec[0], err = filepath.Abs(program); err != nil {
			return fmt.Errorf("--exec: %w", err)
		}
	}
	all, err := hooks.Load(c.hooksFile())
	if err != nil {
		return err
	}
	if len(all) >= app.MaxHooks {
		return fmt.Errorf("there are %d hooks, as many as there can be; `pace hooks remove NUMBER` forgets one", len(all))
	}
	if err := c.saveHooks(append(all, h)); err != nil {
		return err
	}
	c.say("%d  all apps  %s", len(all)+1, hookText(&h))
	return nil
}

func (c *cli) removeHook(number string) error {
	all, err := hooks.Load(c.hooksFile())
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(all) {
		return fmt.Errorf("%s is not the number of a hook of all apps; `pace hooks` lists them", number)
	}
	text := hookText(&all[n-1])
	if err := c.saveHooks(slices.Delete(all, n-1, n)); err != nil {
		return err
	}
	c.say("removed: %s", text)
	return nil
}

func (c *cli) saveHooks(all []app.Hook) error {
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return fmt.Errorf("make the home for hooks: %w", err)
	}
	if err := state.WriteFile(c.hooksFile(), hooks.Encode(all)); err != nil {
		return fmt.Errorf("save the hooks: %w", err)
	}
	return nil
}
