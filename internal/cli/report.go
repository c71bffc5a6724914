package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/spf13/cobra"

	"paceline/internal/api"
)

// The end of the daemon's log that a report has.
const (
	reportLines = 20
	reportBytes = 16 << 10
)

func (c *cli) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report",
		Short: "Print what a report of a fault should say",
		Long: `report prints the versions, what this system lets Paceline do, the list of instances
and the last lines of the daemon's own log, to paste into a report of a fault. The
apps' environments and output are not in it; their names are. It starts no daemon.`,
		Example: `  pace report > report.txt`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.printf("--- Paceline report ---\n")
			c.fields(append(c.about(cmd.Context()), [2]string{"system", goruntime.GOOS + "/" + goruntime.GOARCH}))
			if c.Doctor != nil {
				c.printf("--- System ---\n")
				for _, check := range c.Doctor() {
					works := "yes"
					if !check.OK {
						works = "no"
					}
					c.printf("  %-40s %-4s %s\n", check.Name, works, oneLine(check.Detail))
				}
			}
			list, err := c.local.Instances(cmd.Context(), api.InstancesQuery{Brief: true})
			if err != nil && !errors.Is(err, api.ErrNoDaemon) {
				return err
			}
			c.printf("--- Instances ---\n")
			c.list(list)
			return c.reportLog(filepath.Join(c.Home, "pace.log"))
		},
	}
}

// reportLog prints the end of the daemon's log.
func (c *cli) reportLog(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the daemon's log: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the daemon's log: %w", err)
	}
	if _, err := f.Seek(max(0, info.Size()-reportBytes), io.SeekStart); err != nil {
		return fmt.Errorf("read the daemon's log: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, reportBytes))
	if err != nil {
		return fmt.Errorf("read the daemon's log: %w", err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	c.printf("--- Log, last lines ---\n")
	for _, line := range lines[max(0, len(lines)-reportLines):] {
		c.printf("%s\n", printable(string(line)))
	}
	return nil
}
