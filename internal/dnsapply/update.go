package dnsapply

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"posta/internal/zone"
)

// exchangeTimeout is what a server may take for one message.
const exchangeTimeout = 10 * time.Second

// fudge is how far the clocks may be apart, in seconds (RFC 8945 §10).
const fudge = 300

// algorithms of TSIG that are still good (RFC 8945 §6).
var algorithms = map[string]string{
	"": dns.HmacSHA256, "hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

// Update writes by dynamic update to a zone's primary server, over TCP. Each zone is
// changed by one message, which the server carries out whole or not at all (RFC 2136
// §3.4), and only if the records beside ours are still those that were read (§2.4).
type Update struct {
	server    netip.AddrPort
	key       string // name, with its final dot
	algorithm string
	client    *dns.Client
}

// NewUpdate makes a source of a server and its TSIG key; the secret is in base64. An
// error names what is wrong with the key.
func NewUpdate(server netip.AddrPort, key, algorithm, secret string) (*Update, error) {
	alg, ok := algorithms[strings.ToLower(algorithm)]
	if !ok {
		return nil, fmt.Errorf("TSIG algorithm %q is not one of hmac-sha256, hmac-sha384, hmac-sha512", algorithm)
	}
	if key == "" {
		return nil, errors.New("dynamic update needs a TSIG key: give its name and its secret")
	}
	if b, err := base64.StdEncoding.DecodeString(secret); err != nil || len(b) == 0 {
		return nil, errors.New("the TSIG secret is not base64; take what tsig-keygen prints behind \"secret\"")
	}
	u := &Update{server: server, key: dns.CanonicalName(key), algorithm: alg}
	u.client = &dns.Client{Net: "tcp", Timeout: exchangeTimeout, TsigSecret: map[string]string{u.key: secret}}
	return u, nil
}

// exchange sends one signed message. The reply's signature is checked by the library.
func (u *Update) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	m.SetTsig(u.key, u.algorithm, fudge, time.Now().Unix())
	r, _, err := u.client.ExchangeContext(ctx, m, u.server.String())
	if err != nil {
		return nil, err
	}
	if r.IsTsig() == nil {
		return nil, fmt.Errorf("the reply (%s) is not signed: does the server know the key %s?", dns.RcodeToString[r.Rcode], u.key)
	}
	return r, nil
}

// set reads the records of one question as they are written.
func (u *Update) set(ctx context.Context, q zone.Question) ([]dns.RR, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	m.RecursionDesired = false
	r, err := u.exchange(ctx, m)
	if err != nil {
		return nil, err
	}
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("%s %s: the server answers %s", q.Type, q.Name, dns.RcodeToString[r.Rcode])
	}
	if !r.Authoritative {
		return nil, fmt.Errorf("%s %s: the server does not keep that zone", q.Type, q.Name)
	}
	var out []dns.RR
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == m.Question[0].Qtype && strings.EqualFold(rr.Header().Name, m.Question[0].Name) {
			out = append(out, rr)
		}
	}
	return out, nil
}

// Read implements Source.
func (u *Update) Read(ctx context.Context, _ string, qs []zone.Question) (map[zone.Question][]string, error) {
	out := map[zone.Question][]string{}
	for _, q := range qs {
		rrs, err := u.set(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, rr := range rrs {
			if v, err := canonical(q.Type, rr); err == nil {
				out[q] = append(out[q], v)
			}
		}
	}
	return out, nil
}

func canonical(typ string, rr dns.RR) (string, error) {
	return zone.Canonical(typ, strings.TrimPrefix(rr.String(), rr.Header().String()))
}

// Write implements Source.
func (u *Update) Write(ctx context.Context, z string, steps []zone.Step) error {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(z))
	sets := map[zone.Question][]dns.RR{}
	for _, q := range questions(steps) {
		rrs, err := u.set(ctx, q)
		if err != nil {
			return err
		}
		sets[q] = rrs
		require(m, q, rrs)
	}
	for _, s := range steps {
		if err := change(m, s, sets[s.Question()]); err != nil {
			return err
		}
	}
	r, err := u.exchange(ctx, m)
	if err != nil {
		return err
	}
	switch r.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeYXDomain:
		return ErrChanged
	case dns.RcodeRefused, dns.RcodeNotAuth:
		return fmt.Errorf("the server refuses the update (%s): the key %s must be allowed to change %s", dns.RcodeToString[r.Rcode], u.key, z)
	}
	return fmt.Errorf("the server answers %s", dns.RcodeToString[r.Rcode])
}

// require makes the server look whether a set is still as it was read (RFC 2136
// §2.4.2, §2.4.3).
func require(m *dns.Msg, q zone.Question, rrs []dns.RR) {
	if len(rrs) == 0 {
		m.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(q.Name), Rrtype: dns.StringToType[q.Type]}}})
		return
	}
	for _, rr := range rrs {
		used := dns.Copy(rr)
		used.Header().Ttl, used.Header().Class = 0, dns.ClassINET
		m.Answer = append(m.Answer, used)
	}
}

// change puts one step into the message.
func change(m *dns.Msg, s zone.Step, set []dns.RR) error {
	if old, ok := leaving(s); ok {
		found := false
		for _, rr := range set {
			if v, err := canonical(s.Type, rr); err == nil && zone.Same(s.Type, v, old) {
				m.Remove([]dns.RR{dns.Copy(rr)})
				found = true
			}
		}
		if !found {
			return fmt.Errorf("%w: %s %s %q is not there", ErrChanged, s.Name, s.Type, old)
		}
	}
	if s.Action == zone.Remove {
		return nil
	}
	rr, err := dns.NewRR(s.Line())
	if err != nil {
		return fmt.Errorf("%s: %w", s.Line(), err)
	}
	m.Insert([]dns.RR{rr})
	return nil
}
