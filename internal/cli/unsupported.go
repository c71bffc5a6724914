package cli

import "strings"

// insteadOf says what to do instead of one of PM2's commands that there will not
// be, "" if word is none of those.
func insteadOf(word string) string {
	for _, u := range unsupported() {
		for name := range strings.FieldsSeq(u.names) {
			if name == word {
				return u.instead
			}
		}
	}
	return ""
}

// without is a group of commands that there are not.
type without struct{ names, instead string }

func unsupported() []without {
	return []without{
		{
			"link unlink plus register login logout open monitor unmonitor",
			"they belong to PM2's cloud; `pace list`, `pace show` and `pace jlist` tell the same here, and nothing leaves this machine",
		},
		{
			"install module:install uninstall module:uninstall module:update module:generate package publish module:publish",
			"there are no modules; what they do is built in (log rotation: `pace start --log-max-size`), or is an app: `pace start`",
		},
		{"inspect", "start the app with `pace start app.js --node-args=--inspect` and open chrome://inspect"},
		{
			"profile:cpu profile:mem",
			"they look into PM2's own daemon, which is no Node program here; for an app: `pace start app.js --node-args=--cpu-prof`",
		},
		{"pull forward backward", "they move a git checkout; run `git pull` or `git checkout` in the app's folder, then `pace reload NAME`"},
		{"deepUpdate", "install the new version of this program, then `pace update`: no app is restarted"},
		{
			"install-otel uninstall-otel",
			"load OpenTelemetry in the app itself: `pace start app.js --node-args=\"--require @opentelemetry/auto-instrumentations-node/register\"`",
		},
		{"create", "make the app with your framework's own command, then `pace start` it"},
		{"autoinstall", "install the packages with `npm install` before `pace start`"},
		{"examples", "`pace help` and `pace help COMMAND` show examples of each command"},
		{"logrotate", "log files are rotated already; --log-max-size and --log-keep of `pace start` say when, and how many stay"},
	}
}
