package nodeipc

import (
	"bytes"
	"encoding/json"
	"math"
	"net"
	"strconv"
	"strings"

	"paceline/internal/nodewire"
)

// message is one line from a worker, as far as the primary cares.
type message struct {
	kind     messageKind
	bun      bool // came with Bun's prefix, so answers to it need it too
	seq, ack int64
	accepted bool
	key      string // close
	query    query  // queryServer, listening
	body     []byte // what a user or handle message carries; for NODE_SOCKET_* the key
}

type messageKind int

const (
	msgInvalid messageKind = iota // not JSON
	msgIgnored                    // internal, of no meaning to us
	msgUser
	msgHandleAck
	msgHandleNack
	msgHandle // a user message that came with a descriptor
	msgOnline
	msgQuery
	msgListening
	msgClose
	msgLeaving
	msgAck
	msgSocketCount  // NODE_SOCKET_GET_COUNT
	msgSocketNotify // NODE_SOCKET_NOTIFY_CLOSE
)

// query is what a worker says about an address, in queryServer and again in listening.
type query struct {
	Request
	data json.RawMessage // nil or not null
}

// key names the listener of a request; it is opaque to the worker. Node <= 20 numbered every
// listen (Index), which made a close followed by a listen on the same address look like a second
// listener (EADDRINUSE); as in Node 22+ only several binds to port 0 are told apart by number.
func (r *Request) key() string {
	key := r.Address + ":" + strconv.Itoa(r.Port) + ":" + r.AddressType + ":" + strconv.Itoa(r.FD)
	if r.Port == 0 {
		key += ":" + strconv.Itoa(r.Index)
	}
	return key
}

func (r *Request) udp() bool { return strings.HasPrefix(r.AddressType, "udp") }

// The two lines that come for every handed-off connection, as JSON.stringify writes them.
var (
	lineHandleAck = []byte(`{"cmd":"NODE_HANDLE_ACK"}`)
	lineAckStart  = []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	lineAckMiddle = []byte(`,"accepted":true,"seq":`)
)

// bunPrefix is the byte that Bun puts before internal lines.
const bunPrefix = 2

// parseLine reads a line. It is lenient: fields may be absent, null or of another type than usual
// (backlog is false for listen(port, cb)), and are then zero. body and data refer to line.
func parseLine(line []byte) message {
	if bytes.Equal(line, lineHandleAck) {
		return message{kind: msgHandleAck}
	}
	if m, ok := parseAck(line); ok {
		return m
	}
	bun := len(line) > 0 && line[0] == bunPrefix
	if bun {
		line = line[1:]
	}
	m := parseValue(line)
	m.bun = bun
	return m
}

// parseAck reads the commonest line without allocating.
func parseAck(line []byte) (message, bool) {
	rest, ok := bytes.CutPrefix(line, lineAckStart)
	if !ok {
		return message{}, false
	}
	ack, rest, ok := cutDigits(rest)
	if !ok {
		return message{}, false
	}
	rest, ok = bytes.CutPrefix(rest, lineAckMiddle)
	if !ok {
		return message{}, false
	}
	seq, rest, ok := cutDigits(rest)
	if !ok || len(rest) != 1 || rest[0] != '}' {
		return message{}, false
	}
	return message{kind: msgAck, ack: ack, seq: seq, accepted: true}, true
}

func cutDigits(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 16 && b[i] >= '0' && b[i] <= '9' { // 16 digits: 2^53 has them
		n = n*10 + int64(b[i]-'0')
		i++
	}
	if i == 0 || (i > 1 && b[0] == '0') {
		return 0, b, false
	}
	return n, b[i:], true
}

func parseValue(line []byte) message {
	fields := internalFields(line)
	if fields == nil {
		if !json.Valid(line) {
			return message{kind: msgInvalid}
		}
		return message{kind: msgUser, body: line}
	}
	switch fields.text("cmd") {
	case "NODE_HANDLE_ACK":
		return message{kind: msgHandleAck}
	case "NODE_HANDLE_NACK":
		return message{kind: msgHandleNack}
	case "NODE_HANDLE":
		return message{kind: msgHandle, body: fields["msg"]}
	case "NODE_SOCKET_GET_COUNT":
		return message{kind: msgSocketCount, body: fields["key"]}
	case "NODE_SOCKET_NOTIFY_CLOSE":
		return message{kind: msgSocketNotify, body: fields["key"]}
	case "NODE_CLUSTER":
		return parseCluster(fields)
	}
	return message{kind: msgIgnored}
}

func parseCluster(f fields) message {
	m := message{kind: msgIgnored, seq: int64(f.number("seq", 0)), ack: int64(f.number("ack", 0))}
	switch f.text("act") {
	case "online":
		m.kind = msgOnline
	case "queryServer":
		m.kind, m.query = msgQuery, parseQuery(f)
	case "listening":
		m.kind, m.query = msgListening, parseQuery(f)
	case "close":
		m.kind, m.key = msgClose, f.text("key")
	case "exitedAfterDisconnect":
		m.kind = msgLeaving
	case "":
		if m.ack != 0 {
			m.kind, m.accepted = msgAck, f.truth("accepted")
		}
	}
	return m
}

func parseQuery(f fields) query {
	q := query{Request: Request{
		Address:     f.text("address"),
		Port:        f.integer("port", -1),
		AddressType: f.text("addressType"),
		FD:          f.integer("fd", -1),
		Flags:       f.integer("flags", 0),
		Backlog:     f.integer("backlog", 0),
		ReadableAll: f.truth("readableAll"),
		WritableAll: f.truth("writableAll"),
		Index:       f.integer("index", 0),
	}}
	if q.AddressType == "" {
		q.AddressType = strconv.Itoa(f.integer("addressType", -1))
	}
	if data := f["data"]; len(data) > 0 && string(data) != "null" {
		q.data = data
	}
	return q
}

// fields are the members of an internal message.
type fields map[string]json.RawMessage

// internalFields returns the members of an internal message, else nil.
func internalFields(line []byte) fields { return nodewire.Internal(line) }

func (f fields) text(name string) string { return nodewire.Text(f[name]) }

func (f fields) number(name string, missing float64) float64 {
	var n *float64
	if raw := f[name]; len(raw) == 0 || json.Unmarshal(raw, &n) != nil || n == nil || math.Abs(*n) > 1<<53 {
		return missing
	}
	return *n
}

func (f fields) integer(name string, missing int) int {
	n := f.number(name, float64(missing))
	if n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return missing
	}
	return int(n)
}

func (f fields) truth(name string) bool {
	switch raw := f[name]; string(raw) {
	case "", "null", "false", "0", `""`:
		return false
	default:
		return true
	}
}

// Lines to the worker.

// envelopeType is what Node calls the kind of descriptor in a NODE_HANDLE envelope.
func envelopeType(udp bool) string {
	if udp {
		return "dgram.Native"
	}
	return "net.Native"
}

func appendEnvelope(b []byte, udp bool, inner []byte) []byte {
	b = append(b, `{"cmd":"NODE_HANDLE","type":"`...)
	b = append(b, envelopeType(udp)...)
	b = append(b, `","msg":`...)
	b = append(b, inner...)
	return append(b, "}\n"...)
}

// newconnStart is a hand-off line up to its seq; newconnEnd follows that.
func newconnStart(key string) []byte {
	b := []byte(`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":`)
	b = append(b, nodewire.Quote(key)...)
	return append(b, `,"seq":`...)
}

const newconnEnd = "}}\n"

// answer is the reply to a queryServer. errno is 0 or the negative Linux number.
func answer(ack, seq int64, errno int, key string, data json.RawMessage, sockname net.Addr) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	b = strconv.AppendInt(b, ack, 10)
	b = append(b, `,"errno":`...)
	if errno == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(errno), 10)
	}
	b = append(b, `,"key":`...)
	b = append(b, nodewire.Quote(key)...)
	b = append(b, `,"data":`...)
	if len(data) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, data...)
	}
	if a, ok := sockname.(*net.TCPAddr); ok { // none for unix: the worker then has no getsockname
		family := "IPv6"
		if a.IP.To4() != nil {
			family = "IPv4"
		}
		b = append(b, `,"sockname":{"address":`...)
		b = append(b, nodewire.Quote(a.IP.String())...)
		b = append(b, `,"family":"`+family+`","port":`...)
		b = strconv.AppendInt(b, int64(a.Port), 10)
		b = append(b, '}')
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, '}')
}

// acknowledge is the bare reply to exitedAfterDisconnect.
func acknowledge(ack, seq int64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","ack":`)
	b = strconv.AppendInt(b, ack, 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, "}\n"...)
}

func disconnectLine(seq int64) []byte {
	b := []byte(`{"cmd":"NODE_CLUSTER","act":"disconnect","seq":`)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, "}\n"...)
}

func drainLine(o DrainOptions) []byte {
	o = o.withDefaults()
	b := []byte(`{"cmd":"NODE_PACELINE","act":"drain","signal":`)
	b = append(b, nodewire.Quote(o.Signal)...)
	b = append(b, `,"hold":`...)
	b = strconv.AppendInt(b, o.Hold.Milliseconds(), 10)
	b = append(b, `,"grace":`...)
	b = strconv.AppendInt(b, o.Grace.Milliseconds(), 10)
	return append(b, "}\n"...)
}

// socketReply answers what a worker asks about connections that it has sent us (process.send(m,
// socket)): we close them at once, so there are none. Without the second its server.close waits
// for ever.
func socketReply(kind messageKind, key []byte) []byte {
	if len(key) == 0 {
		key = []byte("null")
	}
	if kind == msgSocketCount {
		return append(append([]byte(`{"cmd":"NODE_SOCKET_COUNT","key":`), key...), ",\"count\":0}\n"...)
	}
	return append(append([]byte(`{"cmd":"NODE_SOCKET_ALL_CLOSED","key":`), key...), "}\n"...)
}
