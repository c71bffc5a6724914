package nodeipc

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseLine(t *testing.T) {
	listen := Request{Port: 3000, AddressType: "4", FD: -1}
	tests := []struct {
		line string
		want message
	}{
		{`{"cmd":"NODE_HANDLE_ACK"}`, message{kind: msgHandleAck}},
		{`{"cmd":"NODE_HANDLE_NACK"}`, message{kind: msgHandleNack}},
		{`{"cmd":"NODE_CLUSTER","ack":12,"accepted":true,"seq":7}`, message{kind: msgAck, ack: 12, seq: 7, accepted: true}},
		{`{"cmd":"NODE_CLUSTER","ack":12,"accepted":false,"seq":7}`, message{kind: msgAck, ack: 12, seq: 7}},
		{`{"accepted":true,"seq":7,"cmd":"NODE_CLUSTER","ack":12.0}`, message{kind: msgAck, ack: 12, seq: 7, accepted: true}},
		{`{"cmd":"NODE_CLUSTER","act":"online","seq":0}`, message{kind: msgOnline}},
		// listen(3000, cb): backlog is false, address null.
		{
			`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":3000,"addressType":4,"fd":null,"flags":0,"backlog":false,"seq":1}`,
			message{kind: msgQuery, seq: 1, query: query{Request: listen}},
		},
		{
			`{"cmd":"NODE_CLUSTER","act":"queryServer","port":3000,"addressType":4,"seq":1}`,
			message{kind: msgQuery, seq: 1, query: query{Request: listen}},
		},
		{
			`{"cmd":"NODE_CLUSTER","act":"queryServer","index":"x","data":{"ticketKeys":"a"},"address":5,"port":3000,"addressType":4,"fd":1e99,"flags":{},"backlog":[],"readableAll":1,"seq":1}`,
			message{kind: msgQuery, seq: 1, query: query{data: json.RawMessage(`{"ticketKeys":"a"}`), Request: Request{
				Port: 3000, AddressType: "4", FD: -1, ReadableAll: true,
			}}},
		},
		{
			`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/tmp/x","port":-1,"addressType":-1,"backlog":511,"readableAll":true,"writableAll":true,"seq":1}`,
			message{kind: msgQuery, seq: 1, query: query{Request: Request{
				Address: "/tmp/x", Port: -1, AddressType: "-1", FD: -1, Backlog: 511, ReadableAll: true, WritableAll: true,
			}}},
		},
		{`{"cmd":"NODE_CLUSTER","act":"close","key":"k","seq":3}`, message{kind: msgClose, key: "k", seq: 3}},
		{"\x02" + `{"cmd":"NODE_CLUSTER","act":"online","seq":0}`, message{kind: msgOnline, bun: true}},
		{`{"cmd":"NODE_CLUSTER","act":"future","seq":3}`, message{kind: msgIgnored, seq: 3}},
		{`{"cmd":"NODE_FUTURE"}`, message{kind: msgIgnored}},
		{`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1},"key":"0"}`, message{kind: msgHandle, body: []byte(`{"a":1}`)}},
		{`{"cmd":"NODE_SOCKET_GET_COUNT","key":"4:x"}`, message{kind: msgSocketCount, body: []byte(`"4:x"`)}},
		{`{"cmd":"NODE_"}`, message{kind: msgUser, body: []byte(`{"cmd":"NODE_"}`)}},
		{`{"x":"NODE_HANDLE"}`, message{kind: msgUser, body: []byte(`{"x":"NODE_HANDLE"}`)}},
		{`{"x":{"cmd":"NODE_HANDLE"}}`, message{kind: msgUser, body: []byte(`{"x":{"cmd":"NODE_HANDLE"}}`)}},
		{`["NODE_HANDLE"]`, message{kind: msgUser, body: []byte(`["NODE_HANDLE"]`)}},
		{`"ready"`, message{kind: msgUser, body: []byte(`"ready"`)}},
		{`"\ud800 12345678901234567890"`, message{kind: msgUser, body: []byte(`"\ud800 12345678901234567890"`)}},
		{`{"cmd":"NODE_CLUSTER","act":`, message{kind: msgInvalid}},
		{`hello`, message{kind: msgInvalid}},
		{``, message{kind: msgInvalid}},
	}
	for _, test := range tests {
		got := parseLine([]byte(test.line))
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(message{}, query{})); diff != "" {
			t.Errorf("parseLine(%s): want -, got +\n%s", test.line, diff)
		}
	}
}

// The quick way to read an acknowledgement has to agree with the general one.
func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"cmd":"NODE_HANDLE_ACK"}`,
		`{"cmd":"NODE_CLUSTER","ack":12,"accepted":true,"seq":7}`,
		`{"cmd":"NODE_CLUSTER","ack":00,"accepted":true,"seq":7}`,
		`{"cmd":"NODE_CLUSTER","ack":99999999999999999999,"accepted":true,"seq":7}`,
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":3000,"addressType":4,"fd":null,"flags":0,"backlog":false,"seq":1}`,
		"\x02\x02{}", `{"cmd":"NODE_HANDLE","msg":null}`, `"ready"`, `{`, ``, "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m := parseLine(line)
		if fast, ok := parseAck(line); ok {
			slow := parseValue(line)
			if diff := cmp.Diff(slow, fast, cmp.AllowUnexported(message{}, query{})); diff != "" {
				t.Errorf("parseAck(%q) differs from parseValue:\n%s", line, diff)
			}
		}
		if m.kind == msgUser && !json.Valid(m.body) {
			t.Errorf("user message %q is not JSON", m.body)
		}
		if m.kind == msgQuery || m.kind == msgListening {
			if b := answer(m.seq, 1, 0, m.query.key(), m.query.data, &net.TCPAddr{}); !json.Valid(b) {
				t.Errorf("answer to %q is not JSON: %q", line, b)
			}
		}
	})
}

// The lines of a stream come out whole and once, however it is cut.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{}\n\n\"x\"\n"), uint8(3), uint8(4))
	f.Add([]byte("long long long long\nx\nhalf"), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, step, limit uint8) {
		var a assembler
		var got []string
		have := 0 // bytes that have arrived
		for at := 0; ; {
			line, n, dropped := a.next(stream[at:have])
			switch {
			case dropped:
				t.Fatalf("dropped a line of %q", stream)
			case n > 0:
				got = append(got, string(line))
				at += n
				a.taken()
			case have-at > int(limit):
				a.swallow(stream[at:have])
				at = have
			case have == len(stream):
				want := strings.Split(string(stream), "\n")
				want = want[:len(want)-1]
				if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
					t.Fatalf("lines of %q: want -, got +\n%s", stream, diff)
				}
				return
			default:
				have = min(have+int(step)+1, len(stream))
			}
		}
	})
}

func TestLineTooLong(t *testing.T) {
	var a assembler
	chunk := make([]byte, 1<<20)
	for range maxLineBytes>>20 + 3 {
		a.swallow(chunk)
		if len(a.head) > maxLineBytes {
			t.Fatalf("holds %d bytes, want at most %d", len(a.head), maxLineBytes)
		}
	}
	if _, n, dropped := a.next([]byte("end\nok\n")); n != 4 || !dropped {
		t.Fatalf("next = %d bytes, dropped %v; want 4, true", n, dropped)
	}
	a.taken()
	if line, n, dropped := a.next([]byte("ok\n")); string(line) != "ok" || n != 3 || dropped {
		t.Fatalf("next = %q, %d, %v; want ok, 3, false", line, n, dropped)
	}
}

func TestSavedStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := workerState{
			Version: savedVersion,
			Seq:     rapid.Int64().Draw(t, "seq"), Last: rapid.Int64().Draw(t, "last"),
			Online: rapid.Bool().Draw(t, "online"), Out: rapid.Bool().Draw(t, "out"),
			Torn: rapid.SampledFrom([]tear{"", tornLine, tornHandle}).Draw(t, "torn"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "held") {
			want.Held = append(want.Held, savedHold{
				Key: rapid.String().Draw(t, "key"), Seq: rapid.Int64().Draw(t, "seq"),
				Request: Request{Address: rapid.String().Draw(t, "address"), Port: rapid.Int().Draw(t, "port"), FD: -1},
				HandOff: rapid.Bool().Draw(t, "handoff"),
			})
		}
		got, ok := decodeWorkerState(want.encode())
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Fatalf("decoded %v: want -, got +\n%s", ok, diff)
		}
	})
	for _, bad := range []string{"", "x", `{"v":99}`, `[]`} {
		if s, ok := decodeWorkerState([]byte(bad)); ok || s.Seq != 0 {
			t.Errorf("decodeWorkerState(%q) = %v, %v; want nothing", bad, s, ok)
		}
		if s := decodePrimaryState([]byte(bad)); len(s.Data) != 0 || s.Data == nil {
			t.Errorf("decodePrimaryState(%q) = %v; want an empty state", bad, s)
		}
	}
}

func FuzzSavedState(f *testing.F) {
	f.Add((&workerState{Held: []savedHold{{Key: "k", Request: Request{Port: 1}}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decodeWorkerState(b); ok {
			if _, ok := decodeWorkerState(s.encode()); !ok {
				t.Errorf("state %q does not come back", b)
			}
		}
		_ = decodePrimaryState(b)
	})
}
