package cli

import (
	"github.com/spf13/cobra"

	"paceline/internal/api"
)

func (c *cli) metricsCommand() *cobra.Command {
	var q api.MetricsQuery
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Print all figures of the moment, for Prometheus",
		Long: `metrics prints what the daemon knows in figures: of each instance, each port, each
reload, each log file and of itself, in the text format of Prometheus.

The same without this command:
curl --unix-socket ~/.paceline/pace.sock http://pace/v1/metrics

docs/metrics.md lists all of them, and says how to have them collected.`,
		Example: `  pace metrics
  pace metrics --pss | grep proportional`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := c.local.Metrics(cmd.Context(), q)
			if err != nil {
				return err
			}
			c.printf("%s", text)
			return nil
		},
	}
	cmd.Flags().BoolVar(&q.PSS, "pss", false, "with the proportional memory of each process, which costs a millisecond or more for each")
	return cmd
}
