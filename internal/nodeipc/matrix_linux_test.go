package nodeipc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// eval runs JavaScript in a worker that runs testdata/eval.js and returns its value as JSON.
func (m *member) eval(code string) string {
	m.tb.Helper()
	value, err := m.try(code)
	if err != "" {
		m.tb.Fatalf("%s: %s", code, err)
	}
	return value
}

func (m *member) try(code string) (value, fail string) {
	m.tb.Helper()
	m.evals++
	id := m.evals
	b, _ := json.Marshal(map[string]any{"id": id, "code": code})
	if err := m.Send(b); err != nil {
		m.tb.Fatal(err)
	}
	type reply struct {
		ID    int
		Value json.RawMessage
		Error string
	}
	var answer reply
	m.ev.wait("answer to "+code, 1, func(ev Event) bool {
		answer = reply{}
		return ev.Kind == Message && json.Unmarshal(ev.Message, &answer) == nil && answer.ID == id
	})
	return string(answer.Value), answer.Error
}

func evalApp(t *testing.T, node string, handOff bool, n int) *app {
	a := newApp(t, handOff, launch{node: node, args: []string{"testdata/eval.js"}, preload: true})
	for range n {
		a.fork()
	}
	for _, w := range a.workers {
		w.ev.message(`"up"`)
	}
	return a
}

const listenHTTP = `
	const s = kept.s = require('http').createServer((q, r) => r.end(String(process.pid)));
	return await new Promise((ok, no) => { s.on('error', no); s.listen(PORT, HOST, () => ok(s.address().port)); });`

func listenOn(port, host string) string {
	return strings.NewReplacer("PORT", port, "HOST", host).Replace(listenHTTP)
}

const closeHTTP = `await new Promise((ok) => kept.s.close(ok))`

// TestCluster is the suite of what a cluster worker may do, with one app for each version and mode.
func TestCluster(t *testing.T) {
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		modes(t, func(t *testing.T, handOff bool) {
			a := evalApp(t, node, handOff, 2)
			t.Run("identity", func(t *testing.T) { testIdentity(t, a) })
			t.Run("listen", func(t *testing.T) { testListens(t, a) })
			t.Run("unix and udp", func(t *testing.T) { testUnixAndUDP(t, a) })
			t.Run("tls and http2", func(t *testing.T) { testTLSAndHTTP2(t, a, dir, handOff) })
			if handOff {
				t.Run("maxConnections", func(t *testing.T) { testMaxConnections(t, a) })
			}
			t.Run("leave", func(t *testing.T) { testWorkerLeaves(t, a) })
		})
	})
}

func testIdentity(t *testing.T, a *app) {
	got := a.workers[1].eval(`const c = require('cluster');
		return [c.isWorker, c.worker.id, process.env.NODE_APP_INSTANCE, process.env.NODE_UNIQUE_ID === undefined,
			process.execArgv.length, Object.keys(require.cache).length, process.listenerCount('message')]`)
	// The listeners are the app's and that of Node's cluster.worker.
	if want := `[true,2,"1",true,0,1,2]`; got != want {
		t.Errorf("worker says %s, want %s", got, want)
	}
	// The app's children must not get the preload either.
	got = a.workers[0].eval(`const {fork} = require('child_process');
		const c = fork('testdata/child.js');
		const answer = await new Promise((ok) => c.on('message', ok));
		c.disconnect();
		return answer`)
	if want := `[0,0]`; got != want {
		t.Errorf("child says %s (execArgv, internalMessage listeners of ours), want %s", got, want)
	}
}

func testListens(t *testing.T, a *app) {
	w, other := a.workers[0], a.workers[1]
	c := client(t, false)
	for _, host := range []string{"undefined", "'127.0.0.1'", "'::1'", "'localhost'"} {
		port := w.eval(listenOn("0", host))
		if again := other.eval(listenOn("0", host)); again != port {
			t.Errorf("listen(0, %s): ports %s and %s, want one", host, port, again)
		}
		ip := "127.0.0.1"
		switch host {
		case "'::1'":
			ip = "[::1]"
		case "'localhost'":
			ip = "localhost"
		}
		if _, err := get(c, "http://"+ip+":"+port); err != nil {
			t.Errorf("listen(0, %s): %v", host, err)
		}
		// A port in use: once more in the same worker, and by somebody else.
		if host == "'127.0.0.1'" {
			if _, err := w.try(listenOn(port, host)); err != "EADDRINUSE" {
				t.Errorf("second listen in a worker: %q, want EADDRINUSE", err)
			}
		}
		w.eval(`kept.t = kept.s`)
		if host != "'127.0.0.1'" { // there kept.s is the one that failed
			w.eval(closeHTTP)
			other.eval(closeHTTP)
			if now := w.eval(listenOn(port, host)); now != port {
				t.Errorf("listen again: port %s, want %s", now, port)
			}
			if _, err := get(c, "http://"+ip+":"+port); err != nil {
				t.Errorf("listen again: %v", err)
			}
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for i, want := range map[string]string{port: "EADDRINUSE", "203.0.113.9": "EADDRNOTAVAIL"} {
		code := listenOn(i, "'127.0.0.1'")
		if want == "EADDRNOTAVAIL" {
			code = listenOn("0", "'"+i+"'")
		}
		if _, err := w.try(code); err != want {
			t.Errorf("listen on %s: %q, want %s", i, err, want)
		}
	}
	if _, err := w.try(`const s = require('net').createServer();
		return await new Promise((ok, no) => { s.on('error', no); s.listen({fd: 2}, ok) })`); err != "EINVAL" {
		t.Errorf("listen({fd: 2}): %q, want EINVAL", err)
	}
}

func testUnixAndUDP(t *testing.T, a *app) {
	path := filepath.Join(t.TempDir(), "s")
	for _, w := range a.workers {
		w.eval(listenOn("'"+path+"'", "undefined"))
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	for range 4 {
		if _, err := get(c, "http://x"); err != nil {
			t.Fatal(err)
		}
	}
	a.workers[0].ev.wait("listening on "+path, 1, func(ev Event) bool {
		return ev.Kind == Listening && ev.Addr.String() == path
	})
	for _, kind := range []string{"udp4", "udp6"} {
		var port string
		for _, w := range a.workers {
			port = w.eval(`const s = kept.u = require('dgram').createSocket('` + kind + `');
				s.on('message', (m, r) => s.send(String(process.pid), r.port, r.address));
				return await new Promise((ok) => s.bind(0, () => ok(s.address().port)))`)
		}
		ip := "127.0.0.1"
		if kind == "udp6" {
			ip = "::1"
		}
		conn, err := net.Dial("udp", net.JoinHostPort(ip, port))
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("x"))
		if err := greeted(conn); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		conn.Close()
	}
}

// certificate writes a key and a certificate for localhost and returns their folder.
func certificate(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"key.pem": {Type: "PRIVATE KEY", Bytes: der}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tlsServer is JavaScript that makes s, a server with the certificate in dir; the module is https or
// http2. It leaves fs and dir, too.
func tlsServer(dir, module, handler string) string {
	return `const fs = require('fs'), dir = '` + dir + `', tls = {key: fs.readFileSync(dir + '/key.pem'), cert: fs.readFileSync(dir + '/cert.pem')};
		const {createSecureServer, createServer} = require('` + module + `');
		const s = (createSecureServer || createServer)(tls, ` + handler + `);`
}

func testTLSAndHTTP2(t *testing.T, a *app, dir string, handOff bool) {
	var port, port2 string
	for _, w := range a.workers {
		port = w.eval(tlsServer(dir, "https", `(q, r) => r.end(process.pid + ' ' + q.socket.isSessionReused())`) + `
			kept.s = s;
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		port2 = w.eval(tlsServer(dir, "http2", `(q, r) => r.end(String(process.pid))`) + `
			kept.s2 = s;
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
	}
	// Sessions are resumed on whichever worker: the ticket keys are shared.
	cache := tls.NewLRUClientSessionCache(10)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, ClientSessionCache: cache,
	}}}
	pids, reused := map[string]bool{}, 0
	for range 8 {
		text, err := get(c, "https://127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		pid, again, _ := strings.Cut(text, " ")
		pids[pid] = true
		if again == "true" {
			reused++
		}
	}
	if reused < 7 {
		t.Errorf("%d of 7 sessions resumed", reused)
	}
	if handOff && len(pids) != 2 {
		t.Errorf("answered by %v, want both workers", pids)
	}
	h2 := http2Client(nil)
	defer h2.CloseIdleConnections()
	r, err := h2.Get("https://127.0.0.1:" + port2)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	if r.ProtoMajor != 2 {
		t.Errorf("protocol %s, want HTTP/2", r.Proto)
	}
}

func testMaxConnections(t *testing.T, a *app) {
	var port string
	for _, w := range a.workers {
		port = w.eval(`const s = kept.s = require('net').createServer((c) => { c.on('error', () => {}); c.write('hello'); });
			s.maxConnections = 1;
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
	}
	// Two are greeted, and the others when these have gone, one after the other.
	conns := dial(t, "127.0.0.1:"+port, 4)
	greetings := make(chan int, len(conns))
	for i, c := range conns {
		go func() {
			if err := greeted(c); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
			greetings <- i
		}()
	}
	first, second := <-greetings, <-greetings
	select {
	case i := <-greetings:
		t.Errorf("connection %d is served as well as %d and %d", i, first, second)
		greetings <- i
	case <-time.After(300 * time.Millisecond):
	}
	conns[first].Close()
	conns[second].Close()
	<-greetings
	<-greetings
}

func testWorkerLeaves(t *testing.T, a *app) {
	a.fork().ev.message(`"up"`)
	var port string
	for _, w := range a.workers {
		port = w.eval(listenOn("0", "'127.0.0.1'"))
	}
	for i, how := range []string{"disconnect", "kill"} {
		gone := a.workers[i]
		code, _ := json.Marshal(map[string]any{"id": 0, "code": "require('cluster').worker." + how + "()"})
		gone.Send(code)
		gone.ev.kind(Leaving)
		gone.ev.kind(Disconnected)
		if err := gone.wait(patience); err != nil {
			t.Errorf("%s: worker ended with %v, want exit 0", how, err)
		}
		c := client(t, false)
		for range 4 {
			if _, err := get(c, "http://127.0.0.1:"+port); err != nil {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
}

// A worker that is killed while it blocks has accepted nothing of what it was handed since.
func TestKilledWhileBlocked(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		a := newApp(t, true, launch{node: node, args: []string{"testdata/server.js"}})
		a.forkN(2)
		url := "http://" + a.addr()
		blocked := make(chan error, 1) // the block is so long that nothing is over before the kill
		go func() {
			_, err := get(client(t, false), url+"/block?ms=3600000")
			blocked <- err
		}()
		var victim *member
		for victim == nil {
			for _, w := range a.workers {
				if strings.Contains(w.out.String(), "blocks") {
					victim = w
				}
			}
			time.Sleep(time.Millisecond)
		}
		failed := make(chan error, 20)
		c := client(t, false)
		for range 20 {
			go func() {
				_, err := get(c, url)
				failed <- err
			}()
		}
		for late := time.Now().Add(patience); !busy(t, victim); { // until it has a connection waiting
			if time.Now().After(late) {
				t.Fatal("the worker that is blocked is handed nothing")
			}
			time.Sleep(time.Millisecond)
		}
		victim.cmd.Process.Kill()
		for range 20 {
			if err := <-failed; err != nil {
				t.Errorf("request that was not the killed worker's: %v", err)
			}
		}
		if err := <-blocked; err == nil {
			t.Error("the request that the killed worker was serving succeeded")
		}
	})
}

// busy says whether the worker has connections that it does not acknowledge.
func busy(t *testing.T, m *member) bool {
	n := make(chan int)
	if !m.p.loop.do(func() { n <- len(m.handed.unacked) }) {
		t.Fatal("primary is closed")
	}
	return <-n > 0
}

// A worker at its descriptor limit receives messages without their descriptors and says so. What
// it cannot take goes to the other one.
func TestWorkerOutOfDescriptors(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		a := newApp(t, true, launch{node: "/bin/sh", preload: false})
		a.l.args = []string{"-c", "ulimit -n 32; exec " + node + " testdata/eval.js"}
		small := a.fork()
		a.l.args = []string{"-c", "exec " + node + " testdata/eval.js"}
		a.fork()
		var port string
		for _, w := range a.workers {
			w.ev.message(`"up"`)
			port = w.eval(`const s = require('net').createServer((c) => { c.on('error', () => {}); c.write('hello'); });
				return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		}
		for i, c := range dial(t, "127.0.0.1:"+port, 60) {
			if err := greeted(c); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		if !small.alive() {
			t.Errorf("the limited worker died: %s", small.out.String())
		}
	})
}

func TestGivenDescriptor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	s := newSockets(true)
	t.Cleanup(s.Close)
	p := NewPrimary(PrimaryOptions{Open: s.Open, FDs: []int{fd}})
	t.Cleanup(p.Close)
	a := attachPeer(t, p, nil, nil)
	if g := a.listen(fmt.Sprintf(`"address":null,"port":-1,"addressType":null,"fd":%d`, fd)); g.Errno != nil {
		t.Fatalf("listen({fd: %d}) answered %s", fd, g.raw)
	}
	dial(t, l.Addr().String(), 1)
	if a.take(patience) == nil {
		t.Error("no connection from the given descriptor")
	}
}
