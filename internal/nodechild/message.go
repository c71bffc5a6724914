package nodechild

import (
	"encoding/json"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"paceline/internal/nodewire"
)

// message is one line from the primary, as far as a worker cares.
type message struct {
	kind  messageKind
	seq   int64         // of the primary
	ack   int64         // answer: which of our numbers it is for
	errno int           // answer: 0, or Linux's number
	key   string        // answer, newconn
	addr  net.Addr      // answer
	grace time.Duration // drain
	body  []byte        // user message
}

type messageKind int

const (
	msgInvalid messageKind = iota // not JSON
	msgIgnored                    // internal, of no meaning to us
	msgUser
	msgAnswer
	msgNewConn
	msgDisconnect
	msgDrain
	msgHandleAck
	msgHandleNack
)

// parse reads a line. envelope: the line carries a descriptor, and the message is what
// is in it. It is lenient: fields may be absent, null or of another type than usual,
// and are then zero. body refers to line.
func parse(line []byte) (m message, envelope bool) {
	f := internalFields(line)
	if f == nil {
		if !json.Valid(line) {
			return message{kind: msgInvalid}, false
		}
		return message{kind: msgUser, body: line}, false
	}
	switch f.text("cmd") {
	case "NODE_HANDLE":
		inner, body := internalFields(f["msg"]), f["msg"]
		switch {
		case inner != nil && inner.text("cmd") != "NODE_HANDLE": // else it could nest for ever
			return parseInternal(inner), true
		case inner == nil && len(body) > 0:
			return message{kind: msgUser, body: body}, true
		}
		return message{kind: msgIgnored}, true
	case "NODE_HANDLE_ACK":
		return message{kind: msgHandleAck}, false
	case "NODE_HANDLE_NACK":
		return message{kind: msgHandleNack}, false
	}
	return parseInternal(f), false
}

func parseInternal(f fields) message {
	m := message{kind: msgIgnored, seq: f.number("seq"), ack: f.number("ack"), key: f.text("key")}
	act := f.text("act")
	switch cmd := f.text("cmd"); {
	case cmd == "NODE_PACELINE" && act == "drain":
		m.kind = msgDrain
		m.grace = time.Duration(min(max(f.number("grace"), 0), maxGrace.Milliseconds())) * time.Millisecond
	case cmd != "NODE_CLUSTER":
	case m.ack != 0:
		m.kind, m.addr = msgAnswer, f.sockname()
		if n := f.number("errno"); n < 0 {
			m.errno = int(-n)
		}
	case act == "newconn":
		m.kind = msgNewConn
	case act == "disconnect":
		m.kind = msgDisconnect
	}
	return m
}

// maxGrace bounds what a primary may ask for.
const maxGrace = time.Hour

// fields are the members of an internal message.
type fields map[string]json.RawMessage

// internalFields returns the members of an internal message, else nil.
func internalFields(line []byte) fields { return nodewire.Internal(line) }

func (f fields) text(name string) string { return nodewire.Text(f[name]) }

// number returns 0 for what is no whole number that JavaScript can hold.
func (f fields) number(name string) int64 {
	var n float64
	if json.Unmarshal(f[name], &n) != nil || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0
	}
	return int64(n)
}

// sockname is what the primary says that a listener is bound to.
func (f fields) sockname() net.Addr {
	var name fields
	if json.Unmarshal(f["sockname"], &name) != nil || name == nil {
		return nil
	}
	host, zone, _ := strings.Cut(name.text("address"), "%")
	ip := net.ParseIP(host)
	port := name.number("port")
	if ip == nil || port < 0 || port > math.MaxUint16 {
		return nil
	}
	return &net.TCPAddr{IP: ip, Zone: zone, Port: int(port)}
}

// Lines to the primary.

var (
	lineHandleAck  = []byte(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")
	lineHandleNack = []byte(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
)

// clusterLine is a message of the cluster protocol; more is what stands between act and
// seq, with a comma at its end, or nothing.
func clusterLine(act, more string, seq int64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER",`)
	if act != "" {
		b = append(b, `"act":"`+act+`",`...)
	}
	b = append(b, more...)
	b = append(b, `"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, "}\n"...)
}

func keyMember(key string) string { return `"key":` + string(nodewire.Quote(key)) + "," }

func closeLine(key string, seq int64) []byte { return clusterLine("close", keyMember(key), seq) }

// ackLine is the word on a connection, as JSON.stringify orders it.
func ackLine(ack int64, accepted bool, seq int64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	b = strconv.AppendInt(b, ack, 10)
	b = append(b, `,"accepted":`...)
	b = strconv.AppendBool(b, accepted)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, "}\n"...)
}

// members are an address as Node's worker writes it: a key that the primary makes of it
// has to be the same for a Node worker and for us. So fd is -1 for UDP and left out
// otherwise.
func (r Request) members(port int) string {
	b := []byte(`"address":`)
	if r.Address == "" {
		b = append(b, "null"...)
	} else {
		b = append(b, nodewire.Quote(r.Address)...)
	}
	b = append(b, `,"port":`...)
	b = strconv.AppendInt(b, int64(port), 10)
	b = append(b, `,"addressType":`...)
	if r.UDP() {
		b = append(b, `"`+r.Type+`","fd":-1,`...)
	} else {
		b = append(b, r.Type+","...)
	}
	return string(b)
}

func (r Request) query() string {
	b := []byte(`"index":`)
	b = strconv.AppendInt(b, int64(r.Index), 10)
	b = append(b, `,"data":null,`...)
	b = append(b, r.members(r.Port)...)
	b = append(b, `"flags":`...)
	b = strconv.AppendInt(b, int64(r.Flags), 10)
	if !r.UDP() {
		b = append(b, `,"backlog":`...)
		b = strconv.AppendInt(b, backlog, 10)
	}
	return string(append(b, ',')) // seq follows
}

// backlog is what is asked for; the kernel cuts it to net.core.somaxconn, which is what
// Go's own listeners have.
const backlog = 65535
