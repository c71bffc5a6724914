package nodeipc

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHandleNotReceivedIsSentAgain(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conn := dial(t, addr, 1)[0]
	seqs := map[int64]bool{}
	for range 1 + maxResends {
		g := a.take(patience)
		if g == nil {
			t.Fatal("connection was not sent again")
		}
		if seqs[g.Msg.Seq] {
			t.Errorf("seq %d was used twice", g.Msg.Seq)
		}
		seqs[g.Msg.Seq] = true
		a.drop(g)
		a.write(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
	}
	g := b.take(patience)
	if g == nil {
		t.Fatal("connection that worker a cannot receive did not go to b")
	}
	b.reply(g, true)
	if err := greeted(conn); err != nil {
		t.Error(err)
	}
}

func TestSharedHandleNotReceived(t *testing.T) {
	p, _ := newPrimary(t, false)
	a := attachPeer(t, p, nil, nil)
	a.send(`"act":"queryServer","index":0,"data":null,` + anyPort)
	for i := range 1 + maxResends {
		g := a.mustNext("answer")
		if g.Cmd != "NODE_HANDLE" || g.fd < 0 {
			t.Fatalf("answer %d is %s, want a handle", i, g.raw)
		}
		unix.Close(g.fd)
		a.write(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
	}
	if g := a.mustNext("error"); g.Ack != 1 || g.Errno == nil || *g.Errno != -int(syscall.EMFILE) {
		t.Errorf("got %s, want errno EMFILE", g.raw)
	}
}

// Two full workers: Node's primary passes the connection between them at full speed.
func TestRefusedConnectionDoesNotCircle(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conns := dial(t, addr, 3)
	offers, began := 0, time.Now()
	for time.Since(began) < time.Second || offers < 4 && time.Since(began) < patience {
		for _, x := range []*peer{a, b} {
			for g := x.take(10 * time.Millisecond); g != nil; g = x.take(0) {
				offers++
				x.reply(g, false)
			}
		}
	}
	if took := time.Since(began); offers < 4 || float64(offers) > 60*took.Seconds() {
		t.Errorf("%d offers of refused connections in %v, want a few", offers, took)
	}
	for taken := 0; taken < len(conns); {
		for _, x := range []*peer{a, b} {
			if g := x.take(10 * time.Millisecond); g != nil {
				x.reply(g, true)
				taken++
			}
		}
	}
	for _, c := range conns {
		if err := greeted(c); err != nil {
			t.Error(err)
		}
	}
	// A connection is counted when the reply to it has been read: later than its client is greeted.
	accepted := func() (n int64) {
		for _, one := range p.Accepted(nil) {
			if one.Address != addr {
				t.Errorf("got %+v, want connections to %s", one, addr)
			}
			n += one.Count
		}
		return n
	}
	for end := time.Now().Add(patience); accepted() < int64(len(conns)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := accepted(); n != int64(len(conns)) {
		t.Errorf("%d connections are counted, want %d: those refused are not", n, len(conns))
	}
}

func TestDeadWorkersConnectionsGoToOthers(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conns := dial(t, addr, 2)
	ga, gb := a.take(patience), b.take(patience)
	if ga == nil || gb == nil {
		t.Fatal("connections were not spread")
	}
	a.hangUp()
	b.reply(gb, true)
	g := b.take(patience)
	if g == nil {
		t.Fatal("the dead worker's connection did not go to the other")
	}
	b.reply(g, true)
	for _, c := range conns {
		if err := greeted(c); err != nil {
			t.Error(err)
		}
	}
	a.ev.kind(Disconnected)

	// The last one dies as well: its connection and new ones wait for a successor.
	more := dial(t, addr, 2)
	if b.take(patience) == nil {
		t.Fatal("no connection")
	}
	b.hangUp()
	c := attachPeer(t, p, nil, nil)
	c.send(`"act":"queryServer","index":0,"data":null,` + anyPort)
	for i := 0; i < len(more); {
		g := c.mustNext("answer or connection")
		if g.Cmd == "NODE_CLUSTER" {
			continue
		}
		c.reply(g, true)
		i++
	}
	for _, conn := range more {
		if err := greeted(conn); err != nil {
			t.Error(err)
		}
	}
}

func TestDepthAdapts(t *testing.T) {
	p, _ := newPrimary(t, true)
	blocked, quick := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := blocked.listen(anyPort).addr()
	quick.listen(anyPort)
	dial(t, addr, 40)
	if blocked.take(patience) == nil {
		t.Fatal("no connection")
	}
	most := 0
	for served := 0; served < 39; {
		var batch []*got
		for g := quick.take(patience); g != nil; g = quick.take(5 * time.Millisecond) {
			batch = append(batch, g)
		}
		most = max(most, len(batch))
		for _, g := range batch {
			quick.reply(g, true)
			served++
		}
		if len(batch) == 0 {
			t.Fatalf("only %d connections came", served)
		}
	}
	if g := blocked.take(50 * time.Millisecond); g != nil {
		t.Error("a worker that does not answer got more than one connection")
	}
	if most > maxDepth {
		t.Errorf("%d connections at once, want at most %d", most, maxDepth)
	}
	t.Logf("at most %d at once", most)
}

// A worker that answers at once gets several while connections wait.
func TestDepthGrowsUnderLoad(t *testing.T) {
	p, _ := newPrimary(t, true)
	x := attachPeer(t, p, nil, nil)
	addr := x.listen(anyPort).addr()
	x.Rotate(false)
	sync := make(chan bool)
	p.loop.do(func() { close(sync) })
	<-sync
	dial(t, addr, 100)
	if x.take(100*time.Millisecond) != nil {
		t.Fatal("got a connection while out of rotation")
	}
	x.Rotate(true)
	// Many tries: on a busy machine our acknowledgement may come too late to be a quick one.
	for began := time.Now(); time.Since(began) < patience; {
		dial(t, addr, maxDepth)
		x.reply(x.take(patience), true)
		n := 0
		var batch []*got
		for g := x.take(100 * time.Millisecond); g != nil; g = x.take(20 * time.Millisecond) {
			batch = append(batch, g)
			n++
		}
		if n == maxDepth {
			return
		}
		if n > maxDepth {
			t.Fatalf("%d unacknowledged connections, want at most %d", n, maxDepth)
		}
		for _, g := range batch[1:] {
			x.reply(g, true)
		}
		if len(batch) > 0 {
			x.reply(batch[0], true)
		}
	}
	t.Errorf("never %d connections at a time", maxDepth)
}

// While a worker blocks its event loop the other one serves; only what the blocked one had been
// given already waits with it.
func TestBlockedWorkerDelaysFew(t *testing.T) {
	a := newApp(t, true, launch{node: anyNode(t), args: []string{"testdata/server.js"}})
	a.forkN(2)
	var waited int64
	for block := 2 * time.Second; block < patience; block *= 3 { // the other may need longer on a busy machine
		if waited = waitForBlocked(t, "http://"+a.addr(), block); waited <= 3 {
			return
		}
	}
	t.Errorf("%d of 100 requests waited for the blocked worker, want 3 at most", waited)
}

// waitForBlocked has one worker block, and returns how many of 100 requests are not answered
// before it goes on.
func waitForBlocked(t *testing.T, url string, block time.Duration) int64 {
	t.Helper()
	var over atomic.Bool
	var waited atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := get(client(t, false), fmt.Sprintf("%s/block?ms=%d", url, block.Milliseconds())); err != nil {
			t.Error(err)
		}
		over.Store(true)
	})
	c := client(t, false)
	for range 100 {
		wg.Go(func() {
			if _, err := get(c, url); err != nil {
				t.Error(err)
			}
			if over.Load() {
				waited.Add(1)
			}
		})
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	t.Logf("%d of 100 requests waited for a block of %v", waited.Load(), block)
	return waited.Load()
}
