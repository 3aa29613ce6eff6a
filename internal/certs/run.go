package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// settled is how long Run waits when all is well.
const settled = time.Hour

// retries are the waits after the first, second… round that failed; the last one
// goes on. An authority counts failures per name and hour (Let's Encrypt: five).
var retries = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// Run keeps the certificates good until ctx ends, and gives nil then. Failures
// are logged, told by Findings and tried again after 1 minute to 6 hours, at
// once after Reload. Run it once.
func (m *Manager) Run(ctx context.Context) error {
	tend := m.tendLocal
	if m.acme != nil {
		cache, cfg := m.acme.keeper()
		defer cache.Stop()
		tend = func(ctx context.Context) error { return m.tendACME(ctx, cfg) }
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
			failed = 0
		case <-timer.C:
		}
		wait := settled
		if err := tend(ctx); err != nil && ctx.Err() == nil {
			wait = retries[min(failed, len(retries)-1)]
			failed++
			m.cfg.Log.ErrorContext(ctx, "certificate not renewed", "err", err, "again", wait)
		} else {
			failed = 0
		}
		timer.Reset(wait)
	}
}

// tendLocal looks for replaced files, or makes a new self-signed pair in time.
func (m *Manager) tendLocal(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load(ctx)
}

// keeper makes certmagic's view of our storage. The cache is certmagic's price
// for a Config; it stays empty, since what doors show is ours, and its goroutine
// ends with Stop.
func (a *authority) keeper() (*certmagic.Cache, *certmagic.Config) {
	var cfg *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return cfg, nil },
		Logger:           zap.NewNop(), // failures come back as errors
	})
	cfg = certmagic.New(cache, certmagic.Config{
		Issuers: []certmagic.Issuer{a}, Storage: a.storage, Logger: zap.NewNop(),
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		OCSP:      certmagic.OCSPConfig{DisableStapling: true},
		// The key stays when the certificate is renewed, so that TLSA records of it (RFC
		// 7672 §3.1.1: DANE-EE, SPKI) hold without anybody's doing.
		ReusePrivateKeys: true,
		// When to renew is asked in due, which needs no handshake to be reminded.
		DisableARI: true,
	})
	return cache, cfg
}

// tendACME obtains what is missing and renews what is due, name by name, so that
// one that fails keeps no other waiting.
func (m *Manager) tendACME(ctx context.Context, cfg *certmagic.Config) error {
	var errs []error
	m.acme.look(ctx)
	for _, name := range m.acme.names() {
		err := m.acme.ensure(ctx, cfg, name, m.cfg.Now)
		if ctx.Err() != nil {
			break // the end is nobody's failure
		}
		m.mu.Lock()
		m.note(name, err)
		m.mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(append(errs, m.load(ctx))...)
}

// ensure makes sure that the storage has a certificate for name that is not due.
func (a *authority) ensure(ctx context.Context, cfg *certmagic.Config, name string, now func() time.Time) error {
	old, err := a.load(ctx, name)
	if perr, ok := errors.AsType[*fs.PathError](err); ok && !errors.Is(perr, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, err) // the disk's trouble; what is there may be good
	}
	if err != nil {
		// Whatever is half there or damaged goes: certmagic would take it for whole.
		if err := a.storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(a.IssuerKey(), name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := cfg.ObtainCertSync(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.log.InfoContext(ctx, "certificate obtained", "name", name, "authority", a.acme.Directory)
		return nil
	}
	if err := cfg.RenewCertSync(ctx, name, a.due(ctx, name, old, now())); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if renewed, err := a.load(ctx, name); err == nil && renewed.Leaf.SerialNumber.Cmp(old.Leaf.SerialNumber) != 0 {
		a.log.InfoContext(ctx, "certificate renewed", "name", name, "until", renewed.Leaf.NotAfter)
	}
	return nil
}

// renewal is what the authority said about the renewal of one certificate.
type renewal struct {
	serial string
	at     time.Time // when to renew; zero means that it did not say
	ask    time.Time // when to ask again
}

// due reports whether the authority wants the certificate renewed now, however
// long it is good for: it may be about to revoke it (RFC 9773 §4). Without an
// answer, a third of the life being left decides.
func (a *authority) due(ctx context.Context, name string, pair *tls.Certificate, now time.Time) bool {
	serial := pair.Leaf.SerialNumber.String()
	known := a.polled[name]
	if known.serial != serial {
		known = renewal{serial: serial}
	}
	if !now.Before(known.ask) {
		known.ask = now.Add(6 * time.Hour) // RFC 9773 §4.3.2
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		info, err := a.exchange().GetRenewalInfo(ctx, pair.Leaf)
		switch {
		case err == nil:
			// Each answer picks another moment of its window. The first stands while
			// the window does, or the moment would flee before us.
			if known.at.Before(info.SuggestedWindow.Start) || known.at.After(info.SuggestedWindow.End) {
				known.at = info.SelectedTime
			}
		case !errors.Is(err, acme.ErrUnsupported):
			a.log.DebugContext(ctx, "authority does not say when to renew", "name", name, "err", err)
		}
		a.polled[name] = known
	}
	return !known.at.IsZero() && !now.Before(known.at)
}
