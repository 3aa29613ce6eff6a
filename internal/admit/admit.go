// Package admit says who may come in: it verifies passwords for every door in
// the same way, so that none of them tells whether an account exists, neither by
// its answer nor by the time it takes.
//
// Verifying costs 19 MiB of memory each (Argon2id), so at most a few run at
// once; the others wait their turn. A password that was right is remembered for
// a short time under a key that dies with the process, since mail programs log
// in every minute. The guard (bans, slowing by network) joins here.
package admit

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"

	"posta/internal/directory"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Errors of Login.
var (
	// ErrRefused: address or password is wrong, or the account is disabled.
	ErrRefused = errors.New("admit: login refused")
	// ErrExpired: the password is right, and older than it may be. A wrong one is
	// ErrRefused, whatever its account's age.
	ErrExpired = errors.New("admit: the password is too old")
	// ErrTryLater: it could not be found out now; never counted as a failure.
	ErrTryLater = errors.New("admit: try again later")
)

// Limits of one login.
const (
	maxLogin    = 320 // octets
	maxPassword = 1024
	remember    = 5 * time.Minute
	maxRemember = 10_000
)

// Config of an Authenticator. The zero value has good defaults.
type Config struct {
	Parallel int              // verifications at once; 0 means 2
	Failure  time.Duration    // every failure is answered this long after it was asked, or a multiple of it; 0 means 1 s
	Now      func() time.Time // nil means time.Now
	// Term is how long a password may be used, asked at each login; nil is for ever.
	Term func() store.PasswordTerm
}

// Identity is who logged in.
type Identity struct {
	Account     mailbox.AccountID
	Login       string    // the account's primary address
	PasswordSet time.Time // when the password was given that was right
}

// Authenticator verifies logins. Safe for concurrent use.
type Authenticator struct {
	dir   *directory.Directory
	cfg   Config
	turn  chan struct{}
	dummy string
	key   [32]byte

	mu    sync.Mutex
	known map[[32]byte]time.Time // until when
}

// New makes an Authenticator over a directory.
func New(dir *directory.Directory, cfg Config) *Authenticator {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 2
	}
	if cfg.Failure <= 0 {
		cfg.Failure = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Term == nil {
		cfg.Term = func() store.PasswordTerm { return store.PasswordTerm{} }
	}
	a := &Authenticator{
		dir: dir, cfg: cfg, turn: make(chan struct{}, cfg.Parallel),
		dummy: HashPassword(RandomPassword()), known: map[[32]byte]time.Time{},
	}
	rand.Read(a.key[:])
	return a
}

// Login verifies an address and a password that came from remote. It blocks
// while others are verified, and on failure until the fixed time has passed. The
// error is ErrRefused, ErrExpired, ErrTryLater or the context's; with ErrExpired the
// Identity says whose password it is.
func (a *Authenticator) Login(ctx context.Context, remote netip.Addr, login, password string) (Identity, error) {
	began := a.cfg.Now()
	id, err := a.check(ctx, login, password)
	if err != nil {
		a.stall(ctx, began)
	}
	return id, err
}

func (a *Authenticator) check(ctx context.Context, login, password string) (Identity, error) {
	if len(login) > maxLogin || len(password) > maxPassword || password == "" {
		return Identity{}, ErrRefused
	}
	acc := a.dir.View().ByLogin(login)
	hash, usable := a.dummy, false
	if acc != nil && acc.Password != "" && !acc.Disabled {
		hash, usable = acc.Password, true
	}
	mac := a.mac(hash, password)
	if usable && a.remembered(mac) {
		return a.right(acc)
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return Identity{}, ErrTryLater
	}
	right, err := verify(hash, password)
	<-a.turn
	if err != nil || !right || !usable {
		return Identity{}, ErrRefused
	}
	a.store(mac)
	return a.right(acc)
}

// right answers a right password. Its age is asked last, so that nothing about an
// account is told to who has not its password.
func (a *Authenticator) right(acc *store.Account) (Identity, error) {
	id := Identity{Account: acc.ID, Login: acc.Login, PasswordSet: acc.PasswordSet}
	if acc.Expired(a.cfg.Term(), a.cfg.Now()) {
		return id, ErrExpired
	}
	return id, nil
}

// mac binds a password to the hash it was verified against: a changed password
// is forgotten at once.
func (a *Authenticator) mac(hash, password string) (out [32]byte) {
	m := hmac.New(sha256.New, a.key[:])
	m.Write([]byte(hash))
	m.Write([]byte{0})
	m.Write([]byte(password))
	m.Sum(out[:0])
	return out
}

func (a *Authenticator) remembered(mac [32]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.known[mac]
	return ok && a.cfg.Now().Before(until)
}

func (a *Authenticator) store(mac [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	if len(a.known) >= maxRemember {
		for k, until := range a.known {
			if now.After(until) {
				delete(a.known, k)
			}
		}
		if len(a.known) >= maxRemember {
			clear(a.known)
		}
	}
	a.known[mac] = now.Add(remember)
}

// stall waits until the next multiple of the fixed time since began.
func (a *Authenticator) stall(ctx context.Context, began time.Time) {
	spent := a.cfg.Now().Sub(began)
	wait := a.cfg.Failure - spent%a.cfg.Failure
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
