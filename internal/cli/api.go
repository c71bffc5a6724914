package cli

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) apiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api [openapi]",
		Short: "Tell how programs reach Paceline, or print the API's description",
		Long: `api prints where the API is and how to call it: HTTP with JSON over a unix socket that
only its owner can open. With openapi it prints the description, an OpenAPI 3.1
document, of which clients for other languages can be made. docs/api.md has more
examples. No daemon is started.`,
		Example: `  pace api
  pace api openapi > openapi.json`,
		ValidArgsFunction: cobra.FixedCompletions([]string{"openapi"}, cobra.ShellCompDirectiveNoFileComp),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "openapi" {
				return errors.New("want `pace api` or `pace api openapi`")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				c.printf("%s", api.OpenAPI())
				return nil
			}
			socket := quoteWord(filepath.Join(c.Home, api.SocketName))
			c.printf(`socket    %s
document  pace api openapi          OpenAPI 3.1
list      curl -s --unix-socket %s http://pace/v1/instances
restart   curl -s --unix-socket %s http://pace/v1/restart -d '{"targets":["all"]}'
events    curl -sN --unix-socket %s 'http://pace/v1/events?follow=1'
Go        import "paceline/client"
`, socket, socket, socket, socket)
			return nil
		},
	}
}
