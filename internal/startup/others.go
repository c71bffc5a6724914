package startup

import (
	"fmt"
	"strings"
)

func openrc() Platform {
	return Platform{
		Name: "openrc", detect: "rc-update", words: []string{"gentoo", "alpine"},
		folder: "/etc/init.d", prefix: "pace-", mode: 0o755, text: openrcScript, rootless: true,
		enable:  func(name, _, _ string) [][]string { return [][]string{{"rc-update", "add", name, "default"}} },
		disable: func(name, _, _ string) [][]string { return [][]string{{"rc-update", "del", name, "default"}} },
	}
}

// openrcScript has pace bring up the keeper, which leaves the script's session by
// itself. su, as the only common way to be somebody else, may have a PATH of its own.
func openrcScript(s Service) string {
	network := "use net\n\tafter net firewall"
	if s.Online {
		network = "need net\n\tafter firewall"
	}
	env := "env PATH=" + shellQuote(s.Path) + " PACELINE_HOME=" + shellQuote(s.Home) + " HOME=" + shellQuote(s.UserHome)
	return `#!/sbin/openrc-run
# Paceline: apps of ` + s.User + `

description=` + shellQuote("Paceline: apps of "+s.User) + `
pidfile=` + shellQuote(s.Home+"/"+pidFile) + `
extra_started_commands="reload"
description_reload="Replace the apps without a failed request"
rc_ulimit="-n unlimited"

depend() {
	need localmount
	` + network + `
}

as_user() {
	su -s /bin/sh ` + s.User + ` -c ` + shellQuote("cd / && exec "+env+" "+shellQuote(s.Exe)+` "$@"`) + ` pace "$@"
}

start() {
	ebegin "Starting the apps of ` + s.User + `"
	# An app that does not come up is no reason to take the others down.
	as_user ` + atBoot + `
	[ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")"
	eend $?
}

reload() {
	ebegin "Reloading the apps of ` + s.User + `"
	as_user ` + atReload + `
	eend $?
}

stop() {
	ebegin "Stopping the apps of ` + s.User + `"
	as_user ` + atStop + `
	eend $?
}
`
}

// shellQuote makes one word of a shell's of a text.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func launchd() Platform {
	return Platform{
		Name: "launchd", detect: "launchctl", words: []string{"darwin", "macos"},
		folder: "/Library/LaunchDaemons", ending: ".plist", prefix: "pace.", mode: 0o644, text: plist, rootless: true,
		enable: func(name, file, _ string) [][]string {
			return [][]string{{"launchctl", "enable", "system/" + name}, {"launchctl", "bootstrap", "system", file}}
		},
		disable: func(name, _, _ string) [][]string {
			return [][]string{{"launchctl", "bootout", "system/" + name}}
		},
	}
}

// plist is a daemon of the system's, since those of a user begin when that one logs
// in. AbandonProcessGroup lets the keeper live on when resurrect has ended.
func plist(s Service) string {
	text := func(v string) string { return "<string>" + xmlText(v) + "</string>" }
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	` + text(s.Name) + `
	<key>UserName</key>
	` + text(s.User) + `
	<key>ProgramArguments</key>
	<array>
		` + text(s.Exe) + `
		` + text(atBoot) + `
	</array>
	<key>EnvironmentVariables</key>
	<dict>
		<key>HOME</key>
		` + text(s.UserHome) + `
		<key>PATH</key>
		` + text(s.Path) + `
		<key>PACELINE_HOME</key>
		` + text(s.Home) + `
	</dict>
	<key>RunAtLoad</key>
	<true/>
	<key>AbandonProcessGroup</key>
	<true/>
	<key>SoftResourceLimits</key>
	<dict>
		<key>NumberOfFiles</key>
		<integer>65536</integer>
	</dict>
	<key>StandardOutPath</key>
	` + text(fmt.Sprintf("/var/log/%s.log", s.Name)) + `
	<key>StandardErrorPath</key>
	` + text(fmt.Sprintf("/var/log/%s.log", s.Name)) + `
</dict>
</plist>
`
}

func xmlText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
