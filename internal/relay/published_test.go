package relay

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/certs"
	"posta/internal/mtasts"
	"posta/internal/resolver"
	"posta/internal/route"
)

// policies are MTA-STS policies by domain.
type policies map[string]mtasts.Answer

func (p policies) Policy(_ context.Context, domain string) (mtasts.Answer, error) {
	if domain == "lost.example" {
		return mtasts.Answer{}, errors.New("the store is away")
	}
	return p[domain], nil
}

func sts(m mtasts.Mode, mx ...string) policies {
	return policies{"example.net": {Kept: &mtasts.Kept{Policy: mtasts.Policy{Mode: m, MaxAge: time.Hour, MX: mx}}}}
}

// sessions keeps what Config.Sessions is told, in a line each.
type sessions struct {
	mu  sync.Mutex
	got []string
}

func (s *sessions) note(e Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := e.Policy.Type
	if kind == "" {
		kind = "none"
	}
	result := string(e.Result)
	if result == "" {
		result = "success"
	}
	s.got = append(s.got, fmt.Sprintf("%s %s %s", kind, e.Host, result))
}

func (s *sessions) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, ", ")
}

// certificate issues one for a name and gives the TLSA record 3 1 1 of it, and the 2 1 1 of
// the authority.
func certificate(t *testing.T, a *certs.Authority, name string) (server func(*gosmtp.Server), ee, ta string) {
	t.Helper()
	c, err := a.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	ee = fmt.Sprintf("TLSA 3 1 1 %x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	ta = fmt.Sprintf("TLSA 2 1 1 %x", sha256.Sum256(a.Certificate.RawSubjectPublicKeyInfo))
	return func(s *gosmtp.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c}} }, ee, ta
}

// What a domain publishes decides what is sent to its host mx.example.net, and what is
// told of the session.
func TestPublished(t *testing.T) {
	a, unknown := authority(t), authority(t)
	good, goodEE, goodTA := certificate(t, a, "mx.example.net")
	wrong, wrongEE, _ := certificate(t, a, "other.example.net")
	private, privateEE, privateTA := certificate(t, unknown, "mx.example.net")
	domain, _, domainTA := certificate(t, unknown, "example.net")
	none := func(*gosmtp.Server) {}
	old := func(s *gosmtp.Server) { s.TLSConfig = &tls.Config{MaxVersion: tls.VersionTLS11} }
	enforce, testing_ := sts(mtasts.Enforce, "mx.example.net"), sts(mtasts.Testing, "mx.example.net")
	broken := policies{"example.net": {Problem: &mtasts.FetchError{Kind: mtasts.Unreachable, Err: errors.New("down")}}}
	for _, c := range []struct {
		what   string
		server func(*gosmtp.Server)
		sts    policies
		tlsa   string // of _25._tcp.mx.example.net, records parted by |
		status Status
		word   string // in the reply, the note, or what is said of TLS
		told   string
	}{
		{"nothing published", good, nil, "", Delivered, "trusted", "none mx.example.net success"},
		{"nothing published, no STARTTLS", none, nil, "", Delivered, "", "none mx.example.net starttls-not-supported"},
		{"nothing published, TLS broken", old, nil, "", Delivered, "sent in clear", "none mx.example.net validation-failure"},

		{"enforce", good, enforce, "", Delivered, "verified (mta-sts)", "sts mx.example.net success"},
		{"enforce, wrong name", wrong, enforce, "", Temporary, "4.7.5", "sts mx.example.net certificate-host-mismatch"},
		{"enforce, unknown authority", private, enforce, "", Temporary, "unknown authority", "sts mx.example.net certificate-not-trusted"},
		{"enforce, STARTTLS stripped", none, enforce, "", Temporary, "4.7.4 Encryption is required here (mta-sts)", "sts mx.example.net starttls-not-supported"},
		{"enforce, TLS broken", old, enforce, "", Temporary, "TLS could not be established", "sts mx.example.net validation-failure"},
		{"enforce, the host not listed", good, sts(mtasts.Enforce, "mx2.example.net"), "", Temporary, "does not list mx.example.net; it lists mx2.example.net", "sts mx.example.net validation-failure"},
		{"testing, wrong name: sent and told", wrong, testing_, "", Delivered, "not trusted (mta-sts testing)", "sts mx.example.net certificate-host-mismatch"},
		{"testing, STARTTLS stripped: sent and told", none, testing_, "", Delivered, "", "sts mx.example.net starttls-not-supported"},
		{"testing, not listed: sent and told", good, sts(mtasts.Testing, "mx2.example.net"), "", Delivered, "trusted", "sts mx.example.net validation-failure"},
		{"none", wrong, sts(mtasts.None, "mx.example.net"), "", Delivered, "not trusted", "none mx.example.net success"},
		{"the policy host down and nothing kept", good, broken, "", Delivered, "trusted", "sts mx.example.net sts-policy-fetch-error"},

		{"3 1 1, a certificate of nobody's", private, nil, privateEE, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"3 1 1, another name", wrong, nil, wrongEE, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"3 1 1 of another key", private, nil, goodEE, Temporary, "matches none of the TLSA records (3 1 1)", "tlsa mx.example.net validation-failure"},
		{"rollover", private, nil, goodEE + "|" + privateEE, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"2 1 1", private, nil, privateTA, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"2 1 1, the name of the domain", domain, nil, domainTA, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"2 1 1, another name", wrong, nil, goodTA, Temporary, "other.example.net", "tlsa mx.example.net certificate-host-mismatch"},
		{"TLSA, STARTTLS stripped", none, nil, privateEE, Temporary, "Encryption is required here (dane)", "tlsa mx.example.net starttls-not-supported"},
		{"unusable records: encrypted", private, nil, "TLSA 1 1 1 " + strings.Repeat("ab", 32), Delivered, "not trusted (dane)", "tlsa mx.example.net tlsa-invalid"},
		{"unusable records, STARTTLS stripped", none, nil, "TLSA 1 1 1 " + strings.Repeat("ab", 32), Temporary, "Encryption is required here (dane)", "tlsa mx.example.net starttls-not-supported"},
		{"records bogus", private, nil, "FAIL servfail", Temporary, "Whether mx.example.net has TLSA records (DANE) cannot be found out", "tlsa mx.example.net dnssec-invalid"},
		{"DANE goes before MTA-STS, when it passes", private, enforce, privateEE, Delivered, "verified (dane)", "tlsa mx.example.net success"},
		{"and when it fails", good, enforce, privateEE, Temporary, "TLSA", "tlsa mx.example.net validation-failure"},
	} {
		t.Run(c.what, func(t *testing.T) {
			zone := resolver.Static{"mx.example.net": {"SECURE", "A 192.0.2.1"}, "_25._tcp.mx.example.net": {"SECURE"}}
			if c.tlsa != "" {
				zone["_25._tcp.mx.example.net"] = append(strings.Split(c.tlsa, "|"), "SECURE")
			}
			w, p, told := newWorld(), &peer{}, &sessions{}
			w.peer(t, "192.0.2.1:25", p, c.server)
			r := newRelay(t, w, trust(a), func(cfg *Config) {
				cfg.Policy, cfg.Sessions = InOrder{DANE{DNS: zone}, STS{c.sts}}, told.note
			})
			rt := routeTo("mx.example.net=192.0.2.1")
			rt.Hosts[0].Authentic = true
			o := r.Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]
			if said := o.Reply.String() + o.Note + o.TLS; o.Status != c.status || !strings.Contains(said, c.word) {
				t.Errorf("%s %q", o.Status, said)
			}
			if got := told.String(); got != c.told {
				t.Errorf("told %q, want %q", got, c.told)
			}
			if n, _ := p.count(); n > 0 != (c.status == Delivered) {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// A host that fails is not used, and the next one is.
func TestNextHostPasses(t *testing.T) {
	a := authority(t)
	w, bad, good := newWorld(), &peer{}, &peer{}
	w.peer(t, "192.0.2.1:25", bad, serverTLS(t, a, "other.example.net"))
	w.peer(t, "192.0.2.2:25", good, serverTLS(t, a, "mx2.example.net"))
	r := newRelay(t, w, trust(a), func(cfg *Config) {
		cfg.Policy = InOrder{STS{sts(mtasts.Enforce, "*.example.net")}}
	})
	o := r.Deliver(t.Context(), routeTo("mx1.example.net=192.0.2.1", "mx2.example.net=192.0.2.2"), letter(text, "luis@example.net"))[0]
	if n, _ := good.count(); o.Status != Delivered || o.Host != "mx2.example.net" || n != 1 {
		t.Errorf("%s", show(o))
	}
}

// Where the administrator chose the host, and where the DNS vouches for nothing, what is
// published about other hosts does not count; and no report tells of a smart host.
func TestNotPublishedForThis(t *testing.T) {
	zone := resolver.Static{"mx.example.net": {"SECURE", "A 192.0.2.1"}, "_25._tcp.mx.example.net": {"SECURE", "TLSA 3 1 1 " + strings.Repeat("ab", 32)}}
	w, p, told := newWorld(), &peer{}, &sessions{}
	w.peer(t, "192.0.2.1:25", p, serverTLS(t, authority(t), "mx.example.net"))
	r := newRelay(t, w, func(cfg *Config) {
		cfg.Policy, cfg.Sessions = InOrder{DANE{DNS: zone}, STS{sts(mtasts.Enforce, "other.example.net")}}, told.note
	})
	rt := routeTo("mx.example.net=192.0.2.1")
	rt.Fixed = true
	if o := r.Deliver(t.Context(), rt, letter(text, "luis@example.net"))[0]; o.Status != Delivered || told.String() != "" {
		t.Errorf("%s; told %q", show(o), told)
	}
	m := letter(text, "rua@elsewhere.example")
	m.ReversePath = "" // a report, perhaps
	rt = routeTo("mx.example.net=192.0.2.1")
	rt.Domain = "elsewhere.example"
	if o := r.Deliver(t.Context(), rt, m)[0]; o.Status != Delivered || told.String() != "" {
		t.Errorf("%s; told %q", show(o), told)
	}
	rt = routeTo("mx.example.net=192.0.2.1")
	rt.Domain = "lost.example"
	if o := r.Deliver(t.Context(), rt, letter(text, "luis@lost.example"))[0]; o.Status != Temporary || !strings.Contains(o.Reply.Text, "cannot be read here: the store is away") {
		t.Errorf("%s", show(o))
	}
}

// A report of failures must arrive where TLS fails (RFC 8460 §3): neither policy holds it up.
func TestTLSOptional(t *testing.T) {
	zone := resolver.Static{"mx.example.net": {"SECURE", "A 192.0.2.1"}, "_25._tcp.mx.example.net": {"SECURE", "TLSA 3 1 1 " + strings.Repeat("ab", 32)}}
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p, serverTLS(t, authority(t), "other.example.net"))
	r := newRelay(t, w, func(cfg *Config) {
		cfg.Policy = InOrder{DANE{DNS: zone}, STS{sts(mtasts.Enforce, "other.example.net")}}
	})
	rt := routeTo("mx.example.net=192.0.2.1")
	rt.Hosts[0].Authentic = true
	m := letter(text, "tls@example.net")
	m.TLSOptional = true
	if o := r.Deliver(t.Context(), rt, m)[0]; o.Status != Delivered || !strings.Contains(o.TLS, "not trusted (TLS-Required: No)") {
		t.Errorf("%s", show(o))
	}
	rt.Hosts[0].TLS = route.Verify
	if o := r.Deliver(t.Context(), rt, m)[0]; o.Status != Temporary {
		t.Errorf("against the administrator's word: %s", show(o))
	}
}

// A connection that was verified by the name of one domain is not used for another (2 1 1);
// one verified by its key is (3 1 1).
func TestReuseUnderDANE(t *testing.T) {
	for _, c := range []struct {
		usage string
		dials int
	}{{"3 1 1", 1}, {"2 1 1", 2}} {
		a := authority(t)
		server, ee, ta := certificate(t, a, "mx.example.net")
		zone := resolver.Static{"mx.example.net": {"SECURE", "A 192.0.2.1"}, "_25._tcp.mx.example.net": {"SECURE", ee}}
		if c.usage == "2 1 1" {
			zone["_25._tcp.mx.example.net"][1] = ta
		}
		w, p := newWorld(), &peer{}
		w.peer(t, "192.0.2.1:25", p, server)
		r := newRelay(t, w, func(cfg *Config) { cfg.Policy = InOrder{DANE{DNS: zone}} })
		for _, domain := range []string{"example.net", "example.org", "example.net"} {
			rt := routeTo("mx.example.net=192.0.2.1")
			rt.Domain, rt.Hosts[0].Authentic = domain, true
			if o := r.Deliver(t.Context(), rt, letter(text, "luis@"+domain))[0]; o.Status != Delivered {
				t.Errorf("%s: %s", domain, show(o))
			}
		}
		if w.dialled() != c.dials {
			t.Errorf("%s: %d connections, want %d", c.usage, w.dialled(), c.dials)
		}
	}
}
