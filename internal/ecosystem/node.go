package ecosystem

import (
	"slices"
	"strings"
)

// nodeValueFlags are Node's options that take the next word as their value when
// they are written without "=" (node --help, 18 to 24). V8's options need "=".
var nodeValueFlags = []string{
	"--allow-fs-read", "--allow-fs-write", "--build-snapshot-config", "--conditions", "-C", "--cpu-prof-dir",
	"--cpu-prof-interval", "--cpu-prof-name", "--debug-port", "--diagnostic-dir", "--disable-proto", "--disable-warning",
	"--dns-result-order", "--env-file", "--env-file-if-exists", "--es-module-specifier-resolution",
	"--experimental-config-file", "--experimental-default-type", "--experimental-loader", "--experimental-policy",
	"--experimental-sea-config", "--experimental-specifier-resolution", "--heap-prof-dir", "--heap-prof-interval",
	"--heap-prof-name", "--heapsnapshot-near-heap-limit", "--heapsnapshot-signal", "--icu-data-dir", "--import",
	"--input-type", "--inspect-port", "--inspect-publish-uid", "--loader", "--localstorage-file", "--max-http-header-size",
	"--network-family-autoselection-attempt-timeout", "--openssl-config", "--policy-integrity", "--redirect-warnings",
	"--report-dir", "--report-directory", "--report-filename", "--report-signal", "--require", "-r", "--secure-heap",
	"--secure-heap-min", "--snapshot-blob", "--test-concurrency", "--test-coverage-branches", "--test-coverage-exclude",
	"--test-coverage-functions", "--test-coverage-include", "--test-coverage-lines", "--test-global-setup",
	"--test-isolation", "--test-name-pattern", "--test-reporter", "--test-reporter-destination", "--test-shard",
	"--test-skip-pattern", "--test-timeout", "--title", "--tls-cipher-list", "--tls-keylog", "--trace-event-categories",
	"--trace-event-file-pattern", "--trace-require-module", "--unhandled-rejections", "--use-largepages",
	"--v8-pool-size", "--watch-kill-signal", "--watch-path",
	"-e", "--eval", "-pe", "--run", // these also end in a mode below
}

// nodeModes are the options with which node does not itself run a script in the
// process that holds the channel, or with no argv[1], which its cluster module
// needs; measured, see docs of the channel.
var nodeModes = []string{
	"--watch", "--watch-path", "--test", "--eval", "-e", "--print", "-p", "-pe", "--interactive", "-i",
	"--run", "--check", "-c", "--version", "-v", "--help", "-h", "--v8-options", "--build-snapshot",
	"--experimental-sea-config", "--completion-bash",
}

// nodeLine is a command line of node, taken apart.
type nodeLine struct {
	flags []string // node's own, before the script
	rest  []string // the script and its arguments
	mode  string   // the flag that keeps the script from being the main program: "--watch"; "" if none
}

// parseNode takes apart the words after "node".
func parseNode(words []string) nodeLine {
	var l nodeLine
	for len(words) > 0 {
		w := words[0]
		if w == "--" { // ends node's options and is not an argument of the script
			words = words[1:]
			break
		}
		if !strings.HasPrefix(w, "-") || w == "-" {
			break
		}
		name, _, value := strings.Cut(w, "=")
		if strings.HasPrefix(name, "--") { // node takes an underscore for a dash
			name = "--" + strings.ReplaceAll(name[2:], "_", "-")
		}
		if l.mode == "" && slices.Contains(nodeModes, name) {
			l.mode = name
		}
		take := 1
		if !value && slices.Contains(nodeValueFlags, name) && len(words) > 1 {
			take = 2
		}
		l.flags = append(l.flags, words[:take]...)
		words = words[take:]
	}
	l.rest = words
	if l.mode == "" && len(l.rest) > 0 && (l.rest[0] == "inspect" || l.rest[0] == "-") {
		l.mode = l.rest[0] // the debugger; a script on stdin
	}
	return l
}
