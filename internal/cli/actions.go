package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

// targetWords is what the help of every command says about its targets.
const targetWords = `A target is an id, a name, a script that an app runs, a namespace, "all", or a
/regular expression/ on the name. If one of several means nothing, nothing is done.`

// action builds a command that acts on targets and prints what came of it.
func (c *cli) action(cmd *cobra.Command, act func(context.Context, api.TargetsRequest) (api.ActionReply, error),
	request *api.TargetsRequest, tell func([]app.Status),
) *cobra.Command {
	cmd.Long += "\n" + targetWords
	cmd.Args = atLeast(1, "one target or more: an id, a name or all")
	cmd.ValidArgsFunction = c.completeTargets
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := api.TargetsRequest{Targets: args}
		if request != nil {
			q.Parallel, q.Verify = request.Parallel, request.Verify
		}
		reply, err := byPath(c, q.Targets, func(targets []string) (api.ActionReply, error) {
			q.Targets = targets
			return act(cmd.Context(), q)
		})
		return c.done(reply, err, tell)
	}
	return cmd
}

// byPath asks for something of targets. If one of them means nothing, those that are
// files are tried as the scripts that apps run: "stop ./server.js".
func byPath[T any](c *cli, targets []string, ask func(targets []string) (T, error)) (T, error) {
	reply, err := ask(targets)
	if !isNotFound(err) {
		return reply, err
	}
	dir, dirErr := c.folder()
	if dirErr != nil {
		return reply, err
	}
	paths, found := slices.Clone(targets), false
	for i, word := range paths {
		if isSelector(word) {
			continue
		}
		path := word
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			paths[i], found = path, true
		}
	}
	if !found {
		return reply, err
	}
	if again, other := ask(paths); !isNotFound(other) {
		return again, other
	}
	return reply, err // which names the word that was typed
}

// isNotFound tells that a target means nothing: nothing has been done then.
func isNotFound(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Code == api.CodeNotFound
}

// done prints what an action has led to, also if it failed on the way.
func (c *cli) done(reply api.ActionReply, err error, tell func([]app.Status)) error {
	if tell == nil || err != nil {
		tell = c.list
	}
	switch {
	case c.asPM2() && err == nil:
		err = c.overview()
	case len(reply.Instances) > 0:
		tell(reply.Instances)
	}
	c.verified(reply.Verified)
	for _, w := range reply.Warnings {
		c.warn(w)
	}
	if e, ok := errors.AsType[*api.Error](err); ok && (e.Code == api.CodeStartFailed || e.Code == api.CodeReloadFailed) {
		c.lastWords(reply.Instances)
	}
	return err
}

// lastWords prints what the first instance that failed wrote to stderr.
func (c *cli) lastWords(list []app.Status) {
	for i := range list {
		s := &list[i]
		if s.LastExit == nil || s.LastExit.Wanted || len(s.LastExit.Stderr) == 0 || c.silent {
			continue
		}
		for _, line := range s.LastExit.Stderr {
			c.printf("%s %s\n", c.look.paint(red, fmt.Sprintf("%d|%s |", s.ID, s.Name)), printable(line))
		}
		return
	}
}

// names lists instances by app: "api (0, 1), worker (2)".
func names(list []app.Status) string {
	var order []string
	ids := map[string][]string{}
	for i := range list {
		s := &list[i]
		if !slices.Contains(order, s.Name) {
			order = append(order, s.Name)
		}
		ids[s.Name] = append(ids[s.Name], fmt.Sprint(s.ID))
	}
	for i, name := range order {
		order[i] = name + " (" + strings.Join(ids[name], ", ") + ")"
	}
	return strings.Join(order, ", ")
}

// tell prints one line about what was acted on.
func (c *cli) tell(verb string) func([]app.Status) {
	return func(list []app.Status) { c.say("%s %s", verb, names(list)) }
}

// halting is action for stop and delete, which take app files as well.
func (c *cli) halting(cmd *cobra.Command, act func(context.Context, api.TargetsRequest) (api.ActionReply, error), tell func([]app.Status)) *cobra.Command {
	var x fileOptions
	cmd.Long += "\nAn app file stands for the apps in it, of which --only picks some."
	cmd = c.action(cmd, func(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error) {
		targets, err := c.targets(ctx, q.Targets, x)
		if c.nothingMeant(err) {
			return api.ActionReply{}, nil
		}
		if err != nil {
			return api.ActionReply{}, err
		}
		q.Targets = targets
		return act(ctx, q)
	}, nil, tell)
	cmd.Flags().StringVar(&x.only, "only", "", "with an app file: `names` of the apps that are meant, apart by commas or blanks (default: all)")
	cmd.Flags().StringVar(&x.env, "env", "", "with an app file: `name` of the env_<name> that is part of the apps' names (default: none)")
	return cmd
}

func (c *cli) stopCommand() *cobra.Command {
	return c.halting(&cobra.Command{
		Use:   "stop target...",
		Short: "Stop instances; they stay in the list",
		Long: `stop sends the app's stop signal (--kill-signal), waits until the process and its
descendants have ended, and ends by force what is left after --kill-timeout. The
instances stay in the list; start or restart brings them back.`,
		Example: `  pace stop api
  pace stop 0 1 2
  pace stop '/^test-/'
  pace stop ecosystem.config.js --only api
  pace stop all`,
	}, c.client.Stop, nil)
}

func (c *cli) restartCommand() *cobra.Command {
	ch := &changing{cli: c, action: api.ApplyRestart, plain: c.client.Restart}
	cmd := c.action(&cobra.Command{
		Use:   "restart target... [-- args...]",
		Short: "Stop and start instances",
		Long: `restart stops instances and starts them again, also those that were stopped or
errored. Requests may fail meanwhile; reload replaces instances without that.

Options change the apps first, all of their instances; the word null takes one back
to its default. --watch switches watching on or off. What follows "--" are the new
arguments. --update-env brings the variables of this shell into the apps.

` + fileWords,
		Example: `  pace restart api
  pace restart api --update-env
  pace restart api --max-memory-restart 200M -i 4
  pace restart ecosystem.config.js --only api,worker --env production
  pace restart all`,
	}, nil, nil, nil)
	cmd.RunE = ch.run
	ch.declare(cmd)
	return cmd
}

func (c *cli) deleteCommand() *cobra.Command {
	return c.halting(&cobra.Command{
		Use:     "delete target...",
		Aliases: []string{"del"},
		Short:   "Stop instances and forget them",
		Long:    `delete stops instances and takes them out of the list. Their log files stay.`,
		Example: `  pace delete api
  pace delete ecosystem.config.js
  pace delete all`,
	}, c.client.Delete, c.tell("deleted"))
}

func (c *cli) resetCommand() *cobra.Command {
	return c.action(&cobra.Command{
		Use:   "reset target...",
		Short: "Set the restart counters to zero",
		Long:  `reset sets the counters of restarts to zero. Nothing is restarted.`,
		Example: `  pace reset api
  pace reset all`,
	}, c.client.Reset, nil, nil)
}

func (c *cli) flushCommand() *cobra.Command {
	cmd := c.action(&cobra.Command{
		Use:   "flush [target...]",
		Short: "Empty log files",
		Long:  `flush empties the log files of instances, of all if no target is given.`,
		Example: `  pace flush
  pace flush api`,
	}, func(ctx context.Context, q api.TargetsRequest) (api.ActionReply, error) {
		if len(q.Targets) == 0 {
			q.Targets = []string{"all"}
		}
		reply, err := c.client.Flush(ctx, q)
		if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeNotFound && c.asPM2() {
			c.warn(e.Message) // where PM2 says that all went well
			err = nil
		}
		return reply, err
	}, nil, c.tell("emptied the logs of"))
	cmd.Args = atLeast(0, "")
	return cmd
}

func (c *cli) scaleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scale app count",
		Short: "Change the number of an app's instances",
		Long: `scale starts or stops instances of an app until there are as many as wanted:
a number, +N or -N for a difference, or max for one per CPU that can be used. The
highest are stopped first. It is an error if there are that many already.`,
		Example: `  pace scale api 4
  pace scale api +2
  pace scale api -1
  pace scale api max`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name an app and a count, e.g. `pace scale api 4`")
			}
			return nil
		},
		ValidArgsFunction: c.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.asPM2() && args[1] == "0" { // PM2 deletes all there are
				list, err := c.named(cmd.Context(), args[0])
				if err == nil && len(list) > 0 {
					reply, err := c.client.Delete(cmd.Context(), api.TargetsRequest{Targets: []string{args[0]}})
					return c.done(reply, err, nil)
				}
			}
			reply, err := c.client.Scale(cmd.Context(), api.ScaleRequest{App: args[0], Instances: args[1]})
			return c.done(reply, err, nil)
		},
	}
}
