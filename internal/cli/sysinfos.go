package cli

import (
	"math"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/hostinfo"
	"paceline/internal/inspect"
)

// sampleFor is how long the machine is measured.
const sampleFor = 500 * time.Millisecond

func (c *cli) slistCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "slist",
		Aliases: []string{"sysinfos"},
		Short:   "Print metrics of this machine, in PM2's shape",
		Long: `slist measures this machine for half a second and prints CPU, memory, network, disks
and the file system at /, as an object of JavaScript as PM2 does. It needs no daemon.`,
		Example: `  pace slist`,
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := hostinfo.Sample(cmd.Context(), sampleFor)
			if err != nil {
				return err
			}
			c.printf("%s", inspect.Text(hostMetrics(h)))
			if !c.asPM2() {
				c.printf("\n")
			}
			return nil
		},
	}
}

// hostMetrics is PM2's object of metrics. There is no look at temperatures: -1, as in
// PM2 where none is known.
func hostMetrics(h hostinfo.Host) inspect.Object {
	var o inspect.Object
	add := func(name string, value float64, unit string) {
		o = append(o, inspect.Member{Key: name, Value: inspect.Object{
			{Key: "value", Value: math.Round(value*1000) / 1000},
			{Key: "type", Value: "metric"},
			{Key: "unit", Value: unit},
			{Key: "historic", Value: true},
		}})
	}
	const mb, gb = 1 << 20, 1 << 30
	percentOf := func(part, whole uint64) float64 {
		if whole == 0 {
			return 0
		}
		return math.Round(10000*float64(part)/float64(whole)) / 100
	}
	used := h.MemoryTotal - min(h.MemoryAvailable, h.MemoryTotal)
	add("CPU Usage", math.Round(h.CPUPercent*10)/10, "%")
	add("CPU Temperature", -1, "°C")
	add("RAM Usage", math.Round(percentOf(used, h.MemoryTotal)*10)/10, "%")
	add("RAM Total", float64(h.MemoryTotal), "b")
	add("RAM Available", float64(h.MemoryAvailable), "b")
	add("RAM Active", float64(used), "b")
	for _, n := range h.Nets {
		add("net:rx_5:"+n.Name, n.Received/mb, "mb/s")
		add("net:tx_5:"+n.Name, n.Sent/mb, "mb/s")
	}
	add("Disk Reads", h.ReadPerSecond/mb, "mb/s")
	add("Disk Writes", h.WrotePerSecond/mb, "mb/s")
	add("fs:use:/", percentOf(h.RootUsed, h.RootTotal), "%")
	add("fs:size:/", math.Round(100*float64(h.RootTotal)/gb)/100, "gb")
	return o
}
