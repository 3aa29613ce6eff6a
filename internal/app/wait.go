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
	// attemptTime is more than an attempt may take beside a pause: connecting to
	// the database, and the bucket's own tries.
	attemptTime = 2 * time.Minute
)

// openState opens the state. While the database or the bucket is away it waits:
// a node may be up before the machines that it needs. Clients read 421 meanwhile.
// It gives up on what no waiting mends, such as a wrong password; when ctx ends
// there is no state and no error.
func (s *server) openState(ctx context.Context) error {
	st, err := OpenState(ctx, s.cfg, s.opt.Failpoints)
	if passes(s.cfg, err) {
		lobby := s.receive(ctx)
		defer lobby.close()
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
	if cfg.Store.PostgreSQL == "" && cfg.Blobs.S3 == nil {
		return false
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	return errors.Is(err, store.ErrTemporary) || errors.Is(err, blob.ErrTemporary)
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
