package app

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// Forward says where log lines go besides their files. The zero value is nowhere.
type Forward struct {
	Journal bool   // to journald; else to syslog
	Network string // udp, tcp, or unixgram
	Address string // host:port, or the path of a socket
}

// The sockets of this machine's services.
const (
	journalSocket = "/run/systemd/journal/socket"
	syslogSocket  = "/dev/log"
)

// ParseForward reads "journald", "syslog" (this machine's), "syslog://host:514" (UDP),
// "syslog+tcp://host:601" or "syslog+unix:///path"; "journald:///path" is another socket
// than the usual one. "" is the zero value.
func ParseForward(text string) (Forward, error) {
	switch text {
	case "":
		return Forward{}, nil
	case "journald":
		return Forward{Journal: true, Network: "unixgram", Address: journalSocket}, nil
	case "syslog":
		return Forward{Network: "unixgram", Address: syslogSocket}, nil
	}
	bad := fmt.Errorf("log_forward %q is none of journald, syslog, syslog://host:514, syslog+tcp://host:601, syslog+unix:///path", text)
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Forward{}, bad
	}
	switch u.Scheme {
	case "syslog", "syslog+udp", "syslog+tcp":
		f := Forward{Network: "udp", Address: u.Host}
		port := "514"
		if u.Scheme == "syslog+tcp" {
			f.Network, port = "tcp", "601"
		}
		if u.Hostname() == "" || u.Path != "" && u.Path != "/" {
			return Forward{}, bad
		}
		if u.Port() == "" {
			f.Address = net.JoinHostPort(strings.Trim(u.Hostname(), "[]"), port)
		}
		return f, nil
	case "syslog+unix", "journald":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return Forward{}, bad
		}
		return Forward{Journal: u.Scheme == "journald", Network: "unixgram", Address: u.Path}, nil
	}
	return Forward{}, bad
}
