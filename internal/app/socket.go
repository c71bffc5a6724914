package app

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Socket is an address on which Paceline itself listens for an app.
type Socket struct {
	Name    string // its word in LISTEN_FDNAMES; "" if it has none
	Network string // "tcp" or "unix"
	// Host is an IP address, with a zone where it needs one. "" means every
	// address of the machine: [::] for both families, 0.0.0.0 without IPv6.
	Host string
	Port uint16 // 0 lets the kernel choose
	// Path is the absolute path of a unix socket, or "@name" for one in Linux'
	// abstract namespace.
	Path string
}

// Bounds of sockets.
const (
	MaxSockets = 64 // per app; a program finds them one by one
	// maxSocketPath is what a sockaddr_un holds on Linux, less its final zero.
	maxSocketPath = 107
	// maxSocketName is systemd's bound for a name (sd_listen_fds_with_names(3)).
	maxSocketName = 255
)

// ParseSocket reads "8080", ":8080", "*:8080", "127.0.0.1:8080", "[::1]:8080",
// "/run/x.sock", "unix:/run/x.sock" or "@abstract", each of them with "name="
// before it if it is to have a name. Errors are one line that says what is wrong.
func ParseSocket(text string) (Socket, error) { return ParseSocketIn("", text) }

// ParseSocketIn is ParseSocket with paths that may be relative to the folder dir:
// "./x.sock", "run/x.sock", "unix:x.sock". Without a dir they are an error.
func ParseSocketIn(dir, text string) (Socket, error) {
	name, address := cutSocketName(text)
	s, err := parseSocketAddress(dir, address)
	if err == nil && name != nil {
		s.Name = *name
		err = validSocketName(s.Name)
	}
	if err != nil {
		return Socket{}, fmt.Errorf("socket %q: %w", text, err)
	}
	return s, nil
}

// cutSocketName takes the name off text. What can only be the beginning of an
// address is none: a path may hold a "=" itself.
func cutSocketName(text string) (name *string, address string) {
	before, after, found := strings.Cut(text, "=")
	if !found || strings.ContainsAny(before, "/@:[") {
		return nil, text
	}
	return &before, after
}

// validSocketName holds a name to what LISTEN_FDNAMES can carry, where ":"
// stands between names.
func validSocketName(name string) error {
	switch {
	case name == "":
		return errors.New(`the name before "=" is empty`)
	case len(name) > maxSocketName:
		return fmt.Errorf("the name is longer than %d bytes", maxSocketName)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("the name holds something else than printable ASCII")
	}
	return nil
}

func parseSocketAddress(dir, text string) (Socket, error) {
	path, isUnix := strings.CutPrefix(text, "unix:")
	switch {
	case text == "":
		return Socket{}, errors.New("the address is empty")
	case isUnix || text[0] == '@' || strings.Contains(text, "/") && text[0] != '[':
		return parseSocketPath(dir, path)
	}
	host, port, err := splitHostPort(text)
	if err != nil {
		return Socket{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strings.HasPrefix(port, "+") {
		return Socket{}, fmt.Errorf("%q is not a port from 0 to 65535", port)
	}
	s := Socket{Network: "tcp", Port: uint16(n)}
	if host == "" || host == "*" {
		return s, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return Socket{}, fmt.Errorf("%q is not an IP address; names are not looked up: write 127.0.0.1:%d or the like", host, n)
	}
	if strings.ContainsFunc(ip.Zone(), func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("[]%/=", r) }) {
		return Socket{}, fmt.Errorf("the zone %q is not the name of a network interface", ip.Zone())
	}
	s.Host = ip.Unmap().String()
	return s, nil
}

// splitHostPort cuts at the last colon. An IPv6 address stands in brackets.
func splitHostPort(text string) (host, port string, err error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		if strings.Trim(text, "0123456789") != "" {
			return "", "", errors.New("want a port, ADDRESS:PORT, [IPV6]:PORT, an absolute path or @name")
		}
		return "", text, nil
	}
	host, port = text[:i], text[i+1:]
	inner, opened := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	switch {
	case opened != closed || opened && !strings.Contains(inner, ":"):
		return "", "", errors.New("brackets belong around an IPv6 address, as in [::1]:8080")
	case !opened && strings.Contains(host, ":"):
		return "", "", errors.New("an IPv6 address needs brackets, as in [::1]:8080")
	}
	return inner, port, nil
}

func parseSocketPath(dir, path string) (Socket, error) {
	switch {
	case path == "":
		return Socket{}, errors.New("the path is empty")
	case path == "@":
		return Socket{}, errors.New(`the name after "@" is empty`)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return Socket{}, errors.New("the path holds an unprintable character")
	}
	if path[0] != '@' {
		if strings.HasSuffix(path, "/") || filepath.Clean(path) == "/" {
			return Socket{}, errors.New("the path is a folder; name a file in it")
		}
		if !filepath.IsAbs(path) && dir == "" {
			return Socket{}, errors.New("the path is not absolute")
		}
		if path = filepath.Clean(path); !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
	}
	if len(path) > maxSocketPath {
		return Socket{}, fmt.Errorf("the path is longer than %d bytes", maxSocketPath)
	}
	return Socket{Network: "unix", Path: path}, nil
}

// Address returns the address without its name, as Status.Ports shows it:
// "*:8080", "127.0.0.1:8080", "[::1]:8080", "/run/x.sock", "@abstract".
func (s Socket) Address() string {
	switch {
	case s.Network == "unix":
		return s.Path
	case s.Host == "":
		return "*:" + strconv.Itoa(int(s.Port))
	case strings.Contains(s.Host, ":"):
		return "[" + s.Host + "]:" + strconv.Itoa(int(s.Port))
	}
	return s.Host + ":" + strconv.Itoa(int(s.Port))
}

// String returns the form of Spec.Sockets, which ParseSocket reads back.
func (s Socket) String() string {
	if s.Name != "" {
		return s.Name + "=" + s.Address()
	}
	return s.Address()
}

// NormaliseSockets returns each text as Socket.String writes it. It is an error
// if one cannot be read, or if an address is given twice. Two may have one name,
// as in systemd.
func NormaliseSockets(texts []string) ([]string, error) { return NormaliseSocketsIn("", texts) }

// NormaliseSocketsIn is NormaliseSockets with ParseSocketIn.
func NormaliseSocketsIn(dir string, texts []string) ([]string, error) {
	if len(texts) > MaxSockets {
		return nil, fmt.Errorf("%d sockets are more than %d", len(texts), MaxSockets)
	}
	var normal, taken []string
	for _, text := range texts {
		s, err := ParseSocketIn(dir, text)
		if err != nil {
			return nil, err
		}
		if s.Network == "unix" || s.Port != 0 {
			if slices.Contains(taken, s.Address()) {
				return nil, fmt.Errorf("socket %q: the address is given twice", text)
			}
			taken = append(taken, s.Address())
		}
		normal = append(normal, s.String())
	}
	return normal, nil
}
