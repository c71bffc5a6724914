package cli

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

// completeTimeout bounds how long a TAB may hang on a busy daemon.
const completeTimeout = 500 * time.Millisecond

// completeTargets offers names and ids, if a daemon runs: TAB starts none.
func (c *cli) completeTargets(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd.Context(), true), cobra.ShellCompDirectiveNoFileComp
}

// completeApps offers the names of apps as the first word.
func (c *cli) completeApps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd.Context(), false), cobra.ShellCompDirectiveNoFileComp
}

func (c *cli) complete(ctx context.Context, ids bool) []string {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	list, err := c.local.Instances(ctx, api.InstancesQuery{Brief: true})
	if err != nil {
		return nil
	}
	var words []string
	for i := range list {
		words = append(words, list[i].Name)
	}
	words = unique(words)
	if !ids {
		return words
	}
	for i := range list {
		s := &list[i]
		words = append(words, strconv.Itoa(s.ID)+"\t"+s.Name+", "+string(s.State))
	}
	return append(words, "all\tevery app")
}

// mustComplete offers words as the value of an option of cmd.
func mustComplete(cmd *cobra.Command, option string, words []string) {
	if err := cmd.RegisterFlagCompletionFunc(option, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("cli: complete --" + option + ": " + err.Error())
	}
}

// texts turns a list of words of some type into one of strings.
func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func (c *cli) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long: `completion prints a script that teaches the shell to complete commands, options,
and the names and ids of apps.`,
		Example: `  pace completion bash > /etc/bash_completion.d/pace
  pace completion zsh > "${fpath[1]}/_pace"
  pace completion fish > ~/.config/fish/completions/pace.fish`,
		Args:              atLeast(1, "a shell: bash, zsh or fish"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(c.out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(c.out)
			case "fish":
				return cmd.Root().GenFishCompletion(c.out, true)
			}
			return errors.New(strconv.Quote(args[0]) + " is none of bash, zsh, fish")
		},
	}
}
