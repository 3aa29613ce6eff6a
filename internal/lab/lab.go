package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/admit"
	"posta/internal/certs"
	"posta/internal/dkim"
	"posta/internal/words"
)

// Options say how to start a lab. The zero value is a lab in a temporary folder.
type Options struct {
	// Keep is the folder that holds everything and is kept; "" makes one that
	// Close removes.
	Keep string
	// Lang is the language of the first letter.
	Lang words.Lang
	Log  *slog.Logger     // of our server; nil discards
	Now  func() time.Time // nil means time.Now
}

// Lab is a running internet in a box. Its methods are safe for concurrent use.
type Lab struct {
	opt               Options
	dir               string
	ca                *certs.Authority
	certFile, keyFile string
	dns               *nameServer
	outside           *outside
	users             []User
	signers           []dkim.Key // of the well-kept peer
	house             *house     // the one with the usual ports

	ctx    context.Context
	cancel context.CancelFunc
	group  *errgroup.Group

	mu     sync.Mutex
	houses map[setting]*house
	scans  map[setting][]scanner

	audits   sync.Once
	audited  *auditWorld // see auditedWorld
	auditErr error
}

// Start opens a lab and returns when the first letter from outside is in ana's
// INBOX. It ends with Close, or with the context; Wait tells when.
func Start(ctx context.Context, opt Options) (_ *Lab, err error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	l := &Lab{opt: opt, houses: map[setting]*house{}, scans: map[setting][]scanner{}}
	ctx, l.cancel = context.WithCancel(ctx)
	l.group, l.ctx = errgroup.WithContext(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := l.prepare(); err != nil {
		return nil, err
	}
	// Key pairs are what takes longest; theirs are made beside everything else.
	keys := make(chan error, 1)
	go func() { keys <- l.makeSigners() }()
	err = l.open()
	if err := errors.Join(err, <-keys); err != nil {
		return nil, err
	}
	if err := l.publishSigners(); err != nil {
		return nil, err
	}
	return l, l.welcome(l.ctx)
}

// prepare makes the folder, the authority and our certificate.
func (l *Lab) prepare() (err error) {
	if l.dir = l.opt.Keep; l.dir == "" {
		l.dir, err = os.MkdirTemp("", "posta-lab-")
	} else {
		l.dir, err = filepath.Abs(l.dir)
		err = errors.Join(err, os.MkdirAll(l.dir, 0o700))
	}
	if err != nil {
		return err
	}
	if l.ca, err = certs.NewAuthority("Posta lab", l.opt.Now); err != nil {
		return err
	}
	if err := os.WriteFile(l.CAFile(), l.ca.PEM(), 0o644); err != nil {
		return err
	}
	pair, err := l.ca.Issue(ourHost, ourDomain, "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	l.certFile, l.keyFile = filepath.Join(l.dir, "cert.pem"), filepath.Join(l.dir, "key.pem")
	if err := certs.WritePair(pair, l.certFile, l.keyFile); err != nil {
		return err
	}
	l.users, err = loadUsers(filepath.Join(l.dir, "users.json"), admit.RandomPassword)
	return err
}

// open starts the parts: DNS first, since everybody asks it, then the world,
// then our server.
func (l *Lab) open() (err error) {
	if l.dns, err = newNameServer(); err != nil {
		return err
	}
	if err := l.dns.start(l.ctx, l.group, usual["dns"]); err != nil {
		return err
	}
	if l.outside, err = startOutside(l.ctx, l.group, l.ca.Issue); err != nil {
		return err
	}
	if err := l.publishPolicies(); err != nil {
		return err
	}
	if l.house, err = l.startHouse(filepath.Join(l.dir, "data"), setting{level: "lenient"}, true); err != nil {
		return err
	}
	l.houses[l.house.setting] = l.house
	if err := l.settle(l.ctx, l.house); err != nil {
		return err
	}
	return l.settleKeys(l.ctx, l.house)
}

// houseAt is our server with a setting. One with another than the
// lab's own is started when it is first asked for, on any ports, with the same
// names and people, and without keys.
func (l *Lab) houseAt(set setting) (*house, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.houses[set]; h != nil {
		return h, nil
	}
	return l.newHouse(set)
}

// restart ends a server and starts it again on what it left on disk.
func (l *Lab) restart(h *house) (*house, error) {
	if h == l.house {
		return nil, errors.New("lab: the lab's own server is not restarted, others use it")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.stop()
	delete(l.houses, h.setting)
	return l.newHouse(h.setting)
}

// newHouse starts a server; mu is held.
func (l *Lab) newHouse(set setting) (*house, error) {
	h, err := l.startHouse(filepath.Join(l.dir, set.folder()), set, false)
	if err != nil {
		return nil, err
	}
	if err := l.settle(l.ctx, h); err != nil {
		return nil, err
	}
	l.houses[set] = h
	return h, nil
}

// makeSigners makes the keys of the well-kept peer, one of each kind (RFC 8463
// §5.1).
func (l *Lab) makeSigners() error {
	rsaKey, err := dkim.GenerateRSA()
	if err != nil {
		return err
	}
	edKey, err := dkim.GenerateEd25519()
	if err != nil {
		return err
	}
	l.signers = []dkim.Key{
		{Domain: "bien.test", Selector: "r1", Signer: rsaKey},
		{Domain: "bien.test", Selector: "e1", Signer: edKey},
	}
	return nil
}

// CAFile is where the authority's certificate is.
func (l *Lab) CAFile() string { return filepath.Join(l.dir, "ca.pem") }

// password is a user's.
func (l *Lab) password(address string) string {
	for _, u := range l.users {
		if u.Address == address {
			return u.Password
		}
	}
	return ""
}

// Wait blocks until the lab has ended and tells why; nil if it was asked to.
func (l *Lab) Wait() error {
	<-l.ctx.Done()
	err := l.group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Close ends the lab and, unless it is to be kept, removes its folder.
func (l *Lab) Close() error {
	l.cancel()
	err := l.Wait()
	if l.opt.Keep == "" && l.dir != "" {
		if e := os.RemoveAll(l.dir); e != nil {
			err = errors.Join(err, fmt.Errorf("lab folder: %w", e))
		}
	}
	return err
}

// Info is what a program needs to use the lab: `posta lab --json` prints it.
type Info struct {
	SMTP        string `json:"smtp"`
	Submission  string `json:"submission"`
	Submissions string `json:"submissions"`
	LMTP        string `json:"lmtp"`
	IMAP        string `json:"imap"`
	IMAPS       string `json:"imaps"`
	POP3        string `json:"pop3"`
	POP3S       string `json:"pop3s"`
	HTTP        string `json:"http"`
	HTTPS       string `json:"https"`
	DNS         string `json:"dns"`
	CAFile      string `json:"ca_file"`
	Data        string `json:"data"`
	Users       []User `json:"users"`
}

// Info tells where everything is, host:port each.
func (l *Lab) Info() Info {
	a := l.house.addrs
	return Info{
		SMTP: a["smtp"], Submission: a["submission"], Submissions: a["submissions"], LMTP: a["lmtp"],
		IMAP: a["imap"], IMAPS: a["imaps"], POP3: a["pop3"], POP3S: a["pop3s"], HTTP: a["http"], HTTPS: a["https"],
		DNS: l.dns.addr.String(), CAFile: l.CAFile(), Data: filepath.Join(l.dir, "data"), Users: l.users,
	}
}
