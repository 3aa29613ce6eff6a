package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"time"

	"posta/internal/blob"
	"posta/internal/config"
	"posta/internal/store"
)

// Pauses between two attempts to open a state whose database or bucket is away.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// silence is how long clients wait without a word while the state is opened, be
	// it that another machine does not answer or that packs are read after a crash.
	silence = 3 * time.Second
	// attemptTime is more than an attempt may take beside a pause: connecting to
	// the database, and the bucket's own tries.
	attemptTime = 2 * time.Minute
)

// openState opens the state. While the database or the bucket is away it waits:
// a node may be up before the machines that it needs. Clients read 421 meanwhile.
// It gives up on what no waiting mends, such as a wrong password; when ctx ends
// there is no state and no error.
func (s *server) openState(ctx context.Context) error {
	opened := make(chan *lobby, 1)
	receive := func() { opened <- s.receive(ctx) }
	timer := time.AfterFunc(silence, receive)
	st, err := OpenState(ctx, s.cfg, s.opt.Failpoints)
	if timer.Stop() { // it has not come to that yet
		if passes(s.cfg, err) {
			receive()
		} else {
			close(opened)
		}
	}
	if l, ok := <-opened; ok {
		defer l.close()
	}
	for pause := firstPause; passes(s.cfg, err) && ctx.Err() == nil; pause = min(2*pause, longestPause) {
		s.log.WarnContext(ctx, "waiting: not everything that the state needs is there", "at", whereabouts(s.cfg, err), "err", err, "again", pause)
		if s.opt.Waiting != nil {
			s.opt.Waiting(pause + attemptTime)
		}
		if rest(ctx, pause) {
			st, err = OpenState(ctx, s.cfg, s.opt.Failpoints)
		}
	}
	if ctx.Err() != nil && err != nil {
		return nil
	}
	s.state = st
	return err
}

// passes tells whether an error of opening the state may go away by itself: what
// another machine does not answer now. A certificate that is not to be trusted is
// no such thing.
func passes(cfg *config.Config, err error) bool {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	return cfg.Store.PostgreSQL != "" && errors.Is(err, store.ErrTemporary) || cfg.Blobs.S3 != nil && errors.Is(err, blob.ErrTemporary)
}

// whereabouts names the machine that an error is about, never the password.
func whereabouts(cfg *config.Config, err error) string {
	where := cfg.Store.PostgreSQL
	if errors.Is(err, blob.ErrTemporary) && cfg.Blobs.S3 != nil {
		where = cfg.Blobs.S3.Endpoint
	}
	u, err := url.Parse(where)
	if err != nil {
		return "" // checked with the configuration
	}
	if u.Host == "" {
		return u.Query().Get("host") // a folder of sockets
	}
	return u.Host
}
