package api

// MetricsType is the media type of the answer of OpMetrics: Prometheus' text format.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// MetricsQuery says how much to measure.
type MetricsQuery struct {
	// PSS adds the proportional set size of each process, in which what several share
	// counts in part for each. The kernel walks all their pages for it: a millisecond
	// or more for each process.
	PSS bool
}
