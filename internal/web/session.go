package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How long a browser stays signed in, and how many do.
const (
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	maxSessions = 64 // one more ends the one that has been idle longest
)

// digest is what is kept of a secret: no secret can be read out of memory dumps of
// it, and comparing digests tells nothing about how much was right.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// MarshalText and UnmarshalText write and read it in hexadecimal digits.
func (d digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText is the reverse of MarshalText.
func (d *digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(d) {
		return errors.New("no digest")
	}
	copy(d[:], b)
	return nil
}

func (d digest) equals(other digest) bool { return subtle.ConstantTimeCompare(d[:], other[:]) == 1 }

// sessions are the browsers that are signed in. Each has two secrets: one in a
// cookie that no script can read, one that the page keeps and sends in a header.
// Cookies go to every port of a host, so on a loopback address to other users'
// servers too; what a page keeps belongs to its port alone. Neither is of use
// without the other.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex // guards open
	open map[digest]*session
}

// savedSession is a session as it is kept over a restart: what its secrets are cannot
// be told from it.
type savedSession struct {
	ID    digest    `json:"id"`
	Key   digest    `json:"key"`
	Begun time.Time `json:"begun"`
	Used  time.Time `json:"used"`
}

// all returns those that count.
func (s *sessions) all() []savedSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	list := make([]savedSession, 0, len(s.open))
	for id, one := range s.open {
		list = append(list, savedSession{id, one.key, one.begun, one.used})
	}
	return list
}

// restore adds sessions of an earlier process.
func (s *sessions) restore(list []savedSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range list[:min(len(list), maxSessions)] {
		s.open[one.ID] = &session{key: one.Key, begun: one.Begun, used: one.Used, ended: make(chan struct{})}
	}
	s.expire()
}

// session is one browser's. Ended is closed when it does not count any more.
type session struct {
	key         digest
	begun, used time.Time
	ended       chan struct{}
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[digest]*session{}}
}

// begin signs a browser in.
func (s *sessions) begin() (cookie, key string) {
	cookie, key = rand.Text()+rand.Text(), rand.Text()+rand.Text() // 260 bits each
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if len(s.open) >= maxSessions {
		var oldest digest
		for id, other := range s.open {
			if first := s.open[oldest]; first == nil || other.used.Before(first.used) {
				oldest = id
			}
		}
		s.drop(oldest)
	}
	now := s.now()
	s.open[digestOf(cookie)] = &session{key: digestOf(key), begun: now, used: now, ended: make(chan struct{})}
	return cookie, key
}

// find returns the session of a cookie and its key, nil if there is none.
func (s *sessions) find(cookie, key string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	found := s.open[digestOf(cookie)]
	if found == nil || !found.key.equals(digestOf(key)) {
		return nil
	}
	found.used = s.now()
	return found
}

// use keeps a session from being idle, and ends those that are; nil is none.
func (s *sessions) use(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one != nil {
		one.used = s.now()
	}
	s.expire()
}

// end signs out.
func (s *sessions) end(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(digestOf(cookie))
}

// expire and drop are called with mu held.
func (s *sessions) expire() {
	now := s.now()
	for id, one := range s.open {
		if now.Sub(one.used) > sessionIdle || now.Sub(one.begun) > sessionLife {
			s.drop(id)
		}
	}
}

func (s *sessions) drop(id digest) {
	if one := s.open[id]; one != nil {
		delete(s.open, id)
		close(one.ended)
	}
}

// How many wrong tokens an address may show: wrongBurst at once, then one each
// wrongEvery.
const (
	wrongBurst = 10
	wrongEvery = 10 * time.Second
	maxClients = 1024 // that are remembered
)

// attempts compares tokens and counts the wrong ones.
type attempts struct {
	token digest
	now   func() time.Time

	mu    sync.Mutex // guards wrong
	wrong map[netip.Prefix]*rate.Limiter
}

func newAttempts(token string, now func() time.Time) *attempts {
	return &attempts{token: digestOf(token), now: now, wrong: map[netip.Prefix]*rate.Limiter{}}
}

// try tells whether the token is right. Wait is not zero if that address has shown
// so many wrong ones that it is not even looked at for that long.
func (a *attempts) try(token string, from netip.Addr) (ok bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, who := a.now(), network(from)
	limit := a.wrong[who]
	if limit != nil && limit.TokensAt(now) < 1 {
		return false, wrongEvery
	}
	if a.token.equals(digestOf(token)) {
		return true, 0
	}
	if limit == nil {
		if len(a.wrong) >= maxClients {
			a.forget(now)
		}
		limit = rate.NewLimiter(rate.Every(wrongEvery), wrongBurst)
		a.wrong[who] = limit
	}
	limit.AllowN(now, 1)
	return false, 0
}

// forget makes room: for those who may try as often as anybody, else for one.
func (a *attempts) forget(now time.Time) {
	var any netip.Prefix
	for who, limit := range a.wrong {
		if any = who; limit.TokensAt(now) >= wrongBurst {
			delete(a.wrong, who)
		}
	}
	if len(a.wrong) >= maxClients {
		delete(a.wrong, any)
	}
}

// network is whom an address belongs to: in IPv6 somebody has a whole /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // not an address at all: all of those are one
	}
	return p
}
