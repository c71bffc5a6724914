package startup

import "strings"

func systemd() Platform {
	root := func(root string) []string {
		if root == "" {
			return []string{"systemctl"}
		}
		return []string{"systemctl", "--root", root}
	}
	return Platform{
		Name: "systemd", detect: "systemctl", words: []string{"ubuntu", "centos", "arch", "oracle", "debian", "fedora"},
		folder: "/etc/systemd/system", ending: ".service", prefix: "pace-", mode: 0o644, text: unit,
		enable: func(name, _, dir string) [][]string {
			enable := append(root(dir), "enable", name+".service")
			if dir != "" {
				return [][]string{enable}
			}
			return [][]string{{"systemctl", "daemon-reload"}, enable}
		},
		// Not stopped: the apps go on until the machine does.
		disable: func(name, _, dir string) [][]string {
			return [][]string{append(root(dir), "disable", name+".service")}
		},
	}
}

// unit is a service whose main process is the keeper. It may outlive many daemons,
// and pace update does not end it, so systemd has no reason to end the apps.
//
//   - "-" before resurrect: an app that does not come up must not take those down that
//     did. Whether there is a keeper the PID file tells.
//   - KillMode: what is left after `pace kill`, or of a keeper that died, would hold
//     its ports against what is started next.
//   - OOMPolicy: an app that the kernel ends for its memory is restarted by pace; the
//     others have no part in it.
//   - Delegate: the daemon makes cgroups for the apps. DelegateSubgroup (systemd 254;
//     older ones pass over it) leaves the unit's own group without processes, so that
//     groups in it can have limits.
func unit(s Service) string {
	network := "After=network.target\n"
	if s.Online {
		network = "Wants=network-online.target\nAfter=network.target network-online.target\n"
	}
	pace := systemdCommand(s.Exe)
	return `[Unit]
Description=Paceline: apps of ` + s.User + `
` + network + `RequiresMountsFor=` + systemdQuote(s.Home) + `
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile=` + systemdText(s.Home+"/"+pidFile) + `
User=` + s.User + `
Environment=` + systemdQuote("PATH="+s.Path) + `
Environment=` + systemdQuote("PACELINE_HOME="+s.Home) + `
ExecStart=-` + pace + ` ` + atBoot + `
ExecReload=` + pace + ` ` + atReload + `
ExecStop=` + pace + ` ` + atStop + `
TimeoutStartSec=10min
Restart=on-failure
RestartSec=5
KillMode=control-group
OOMPolicy=continue
Delegate=yes
DelegateSubgroup=manager
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`
}

// systemdText takes away the meaning of systemd's own specifiers.
func systemdText(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// systemdQuote makes one word of a text; see systemd.syntax(7).
func systemdQuote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(systemdText(text)) + `"`
}

// systemdCommand writes a program's path; in this first word no $ names a variable.
func systemdCommand(path string) string {
	if strings.ContainsAny(path, " ;") {
		return systemdQuote(path)
	}
	return systemdText(path)
}
