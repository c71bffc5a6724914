package metrics

import "slices"

// The labels that several families have.
var (
	ofApp      = []string{"app"}
	ofInstance = []string{"app", "id"}
	ofPort     = []string{"app", "address"}
)

func with(labels []string, more ...string) []string {
	return slices.Concat(labels, more)
}

// families are all figures. docs/metrics.md is held against it.
var families = []Family{
	{"paceline_app_instances", Gauge, "Instances that the app is to have.", ofApp},

	{"paceline_instance_info", Gauge, "1, with what does not change while the instance is there.", with(ofInstance, "index", "namespace", "mode")},
	{"paceline_instance_up", Gauge, "1 if the instance is online.", ofInstance},
	{"paceline_instance_ready", Gauge, "1 if the instance listens, or has said that it is ready.", ofInstance},
	{"paceline_instance_state", Gauge, "1 for the state that the instance is in, 0 for the others.", with(ofInstance, "state")},
	{"paceline_instance_check_passed", Gauge, "1 if the health check passed the last time.", with(ofInstance, "check")},
	{"paceline_instance_restarts_total", Counter, "Processes that followed another one, by why the earlier was replaced.", with(ofInstance, "reason")},
	{"paceline_instance_last_exit_code", Gauge, "Exit code of the last process; -1 if a signal ended it.", ofInstance},
	{"paceline_instance_last_exit_time_seconds", Gauge, "When the last process ended, in seconds since 1970.", ofInstance},
	{"paceline_instance_start_time_seconds", Gauge, "When the present process started, in seconds since 1970.", ofInstance},
	{"paceline_instance_uptime_seconds", Gauge, "How long the present process has run.", ofInstance},
	{"paceline_instance_cpu_seconds_total", Counter, "CPU time of the present process, its children not included.", ofInstance},
	{"paceline_instance_resident_memory_bytes", Gauge, "Resident memory of the present process, shared pages in full.", ofInstance},
	{"paceline_instance_proportional_memory_bytes", Gauge, "Memory of the present process, shared pages in part (PSS); only when asked for.", ofInstance},
	{"paceline_instance_threads", Gauge, "Threads of the present process.", ofInstance},
	{"paceline_instance_open_fds", Gauge, "Open file descriptors of the present process.", ofInstance},
	{"paceline_instance_connections_waiting", Gauge, "Connections that wait to be accepted by this instance alone.", with(ofInstance, "address")},
	{"paceline_instance_connections_accepted_total", Counter, "Connections that this instance was given.", with(ofInstance, "address")},

	{"paceline_log_written_bytes_total", Counter, "Bytes that were written to the log file.", with(ofApp, "file")},
	{"paceline_log_dropped_bytes_total", Counter, "Bytes that should be in the log file and could not be written.", with(ofApp, "file")},
	{"paceline_log_dropped_lines_total", Counter, "Lines that ended in bytes that were dropped.", with(ofApp, "file")},

	{"paceline_port_info", Gauge, "1, with how the connections to the address are dealt out.", with(ofPort, "balance", "mechanism")},
	{"paceline_port_connections_accepted_total", Counter, "Connections that went to the app's instances; absent where nobody counts them.", ofPort},
	{"paceline_port_connections_dropped_total", Counter, "Connections that found the accept queue full.", ofPort},
	{"paceline_port_connections_moved_total", Counter, "Connections that went from the queue of one instance to another's.", ofPort},
	{"paceline_port_connections_waiting", Gauge, "Connections that wait to be accepted.", ofPort},
	{"paceline_port_connections_waiting_max", Gauge, "The most connections that were seen to wait in one queue.", ofPort},
	{"paceline_port_stuck_total", Counter, "How often an instance was found to accept nothing, and left the rotation.", ofPort},

	{"paceline_reloads_total", Counter, "Reloads of the app, by whether they succeeded.", with(ofApp, "result")},
	{"paceline_reload_connections_total", Counter, "Connections during reloads, by what became of them.", with(ofApp, "outcome")},

	{"paceline_custom", Gauge, "A figure that an app reports with @pm2/io; those that are no numbers are left out.", with(ofInstance, "name", "unit")},

	{"paceline_daemon_info", Gauge, "1, with the daemon's version.", []string{"version"}},
	{"paceline_daemon_start_time_seconds", Gauge, "When the daemon started, in seconds since 1970.", nil},
	{"paceline_daemon_cpu_seconds_total", Counter, "CPU time of the daemon.", nil},
	{"paceline_daemon_resident_memory_bytes", Gauge, "Resident memory of the daemon.", nil},
	{"paceline_daemon_goroutines", Gauge, "Goroutines of the daemon.", nil},
	{"paceline_daemon_history_bytes", Gauge, "Memory that history takes.", nil},
	{"paceline_daemon_events_lost_total", Counter, "Followers of the event stream that were dropped because they were too slow.", nil},
	{"paceline_daemon_clock_changes_total", Counter, "How often the system's clock was set.", nil},
}
