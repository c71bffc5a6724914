package cli

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"paceline/internal/ecosystem"
)

//go:embed samples
var samples embed.FS

// sampleFiles are what init writes, by format.
func sampleFiles() map[string]string {
	return map[string]string{
		"js": "ecosystem.config.js", "yaml": "ecosystem.yaml", "toml": "ecosystem.toml", "json": "ecosystem.json",
	}
}

func (c *cli) initCommand() *cobra.Command {
	var form string
	var force bool
	cmd := &cobra.Command{
		Use:     "init [simple]",
		Aliases: []string{"ecosystem"},
		Short:   "Write a sample app file",
		Long: `init writes a commented sample of an app file into this folder; with the word simple
a short one. One that is there stays, unless --force.`,
		Example: `  pace init
  pace init simple
  pace init --format yaml`,
		ValidArgs: []string{"simple"},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "simple" {
				return fmt.Errorf("%q means nothing here; want simple, or no word", args[len(args)-1])
			}
			return c.init(form, len(args) == 1, force)
		},
	}
	cmd.Flags().StringVar(&form, "format", "js", "`format` of the file: js, yaml, toml or json")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace a file that is there")
	mustComplete(cmd, "format", []string{"js", "yaml", "toml", "json"})
	return cmd
}

func (c *cli) init(form string, simple, force bool) error {
	name, ok := sampleFiles()[form]
	if !ok {
		return fmt.Errorf("--format %q: want js, yaml, toml or json", form)
	}
	dir, err := c.folder()
	if err != nil {
		return err
	}
	kind := "full"
	if simple {
		kind = "simple"
	}
	text, err := samples.ReadFile("samples/" + kind + filepath.Ext(name))
	if err != nil {
		return fmt.Errorf("read the sample: %w", err)
	}
	file := filepath.Join(dir, name)
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it", name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	c.say("wrote %s; `pace start` starts its apps", name)
	return nil
}

func (c *cli) importCommand() *cobra.Command {
	var x fileOptions
	var form string
	cmd := &cobra.Command{
		Use:   "import [file]",
		Short: "Make an app file of PM2's dump, or of another app file",
		Long: `import reads a dump of PM2's (by default ~/.pm2/dump.pm2) or an app file, and prints an
app file that says the same. What is not honoured is named on the error output.
Nothing is started, and PM2 is left alone.`,
		Example: `  pace import > apps.yaml
  pace import ~/.pm2/dump.pm2 --format json
  pace import ecosystem.config.js`,
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("takes one file, but got %q as well", args[1])
			}
			if !slices.Contains([]string{"yaml", "json"}, form) {
				return fmt.Errorf("--format %q: want yaml or json", form)
			}
			file := filepath.Join(c.pm2Home(), "dump.pm2")
			if len(args) == 1 {
				file = args[0]
			}
			f, err := c.importFile(cmd, file, x)
			if err != nil {
				return err
			}
			for _, note := range f.Notes {
				c.errorf("note: %s", note)
			}
			if len(f.Apps) == 0 {
				return fmt.Errorf("%s has no app that can be taken over", file)
			}
			text := ecosystem.FormatJSON(f.Apps)
			if form == "yaml" {
				if text, err = ecosystem.FormatYAML(f.Apps, []string{"Made by pace import of " + filepath.Base(file)}); err != nil {
					return err
				}
			}
			c.printf("%s", text)
			return nil
		},
	}
	readFlags(cmd, &x)
	cmd.Flags().StringVar(&form, "format", "yaml", "`format` of what is printed: yaml or json")
	mustComplete(cmd, "format", []string{"yaml", "json"})
	return cmd
}

// pm2Home is the home folder of PM2.
func (c *cli) pm2Home() string {
	if home := c.getenv("PM2_HOME"); home != "" {
		return home
	}
	return filepath.Join(c.getenv("HOME"), ".pm2")
}

// importFile reads a dump or an app file.
func (c *cli) importFile(cmd *cobra.Command, file string, x fileOptions) (*ecosystem.File, error) {
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	if ecosystem.IsFile(file) {
		return c.load(cmd.Context(), file, ecosystem.StartOptions{}, x)
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, file)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; name a dump of PM2's or an app file", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer f.Close() //nolint:errcheck // only read
	const limit = 64 << 20
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%s has more than %d MB, which is too much for a dump", file, limit>>20)
	}
	apps, notes, err := ecosystem.ImportDump(cmd.Context(), data, ecosystem.StartOptions{Dir: dir, Environ: c.Environ, CPUs: c.CPUs})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &ecosystem.File{Apps: apps, Notes: notes}, nil
}
