package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/probe"
	"posta/internal/resolver"
	"posta/internal/smtp"
)

// today is the time of the judgements here.
var today = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func reply(code int, text string) probe.Exchange {
	r := smtp.New(code, "", text)
	return probe.Exchange{Asked: "?", Reply: r, Text: r.String()}
}

// seenWell is a probe of an exchanger with which all is well.
func seenWell() *probe.SMTP {
	ext := smtp.Extensions{Domain: "mx.good.test", Pipelining: true, EightBit: true, Enhanced: true, Size: true, StartTLS: true}
	secure := ext
	secure.StartTLS, secure.RequireTLS = false, true
	return &probe.SMTP{
		Target:    probe.Target{Host: "mx.good.test", Addr: netip.MustParseAddrPort("203.0.113.25:25")},
		Asked:     probe.SMTPOptions{Versions: true, Inject: true, Relay: 1},
		Connected: true, Greeting: reply(220, "mx.good.test ESMTP"), Hello: reply(250, "mx.good.test"), Clear: ext, Secure: secure,
		Verify: []probe.Exchange{reply(252, "?"), reply(252, "?")}, Expand: reply(502, "no"),
		Null: reply(250, "ok"), Roles: []probe.Role{{Address: "postmaster@good.test", Exchange: reply(250, "ok")}}, Invented: reply(550, "nobody"),
		Injected: probe.No, Relay: []probe.Relayed{{Form: "plain", Reply: smtp.New(550, "", "no")}},
		TLS: &probe.TLS{Version: "TLS 1.3", Weak: probe.No, Accepted: []probe.TLSVersion{
			{ID: tls.VersionTLS10, Accepted: probe.No}, {ID: tls.VersionTLS11, Accepted: probe.No}, {ID: tls.VersionTLS12, Accepted: probe.Yes}, {ID: tls.VersionTLS13, Accepted: probe.Yes},
		}, Certificate: probe.Certificate{NotAfter: today.AddDate(0, 2, 0)}},
	}
}

// failed lists fails and, with "?", what could not be verified.
func failed(all []finding.Finding) string {
	var out []string
	for _, f := range all {
		switch f.Outcome {
		case finding.Fail:
			out = append(out, string(f.Check))
		case finding.Unverified:
			out = append(out, string(f.Check)+"?")
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// S8: one finding of all names of a server, with each that differs.
func TestNames(t *testing.T) {
	for _, tc := range []struct {
		what    string
		reverse []string
		do      func(*probe.SMTP)
		want    string // what is listed; "" where all are one
	}{
		{"all are one", []string{"MX.good.test."}, func(r *probe.SMTP) { r.TLS.Certificate.Names = []string{"mx.good.test"} }, ""},
		{"reverse DNS is not known", nil, func(*probe.SMTP) {}, ""},
		{"another PTR", []string{"203-0-113-25.isp.test"}, func(*probe.SMTP) {}, "PTR"},
		{"one of two PTR", []string{"www.good.test", "mx.good.test"}, func(*probe.SMTP) {}, ""},
		{"all differ", []string{"203-0-113-25.isp.test"}, func(r *probe.SMTP) {
			r.Greeting, r.Clear.Domain = reply(220, "smtp.midominio.es ESMTP"), "smtp.maild.org"
			r.TLS.Certificate.Names, r.TLS.Certificate.Problems = []string{"panel.isp.test"}, []probe.Problem{{Code: probe.HostnameMismatch}}
		}, "EHLO, host, PTR, certificate"},
		{"submission may have a name of its own", []string{"mx.good.test"}, func(r *probe.SMTP) {
			r.Addr = netip.MustParseAddrPort("203.0.113.25:587")
			r.Greeting, r.Clear.Domain = reply(220, "smtp.good.test ESMTP"), "smtp.good.test"
		}, ""},
	} {
		r := seenWell()
		tc.do(r)
		found := judgeSMTP(r, tc.reverse, today)
		i := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Check == finding.SMTPName })
		if i < 0 {
			t.Fatalf("%s: no finding", tc.what)
		}
		got := ""
		if last := found[i].Evidence[len(found[i].Evidence)-1]; last.What == "not the greeting's name" {
			got = last.Seen
		}
		if got != tc.want || (found[i].Outcome == finding.Fail) != (tc.want != "") {
			t.Errorf("%s: %v", tc.what, found[i])
		}
	}
}

// Each fault of an exchanger's door makes its finding, and no other.
func TestDoors(t *testing.T) {
	problem := func(code int) []probe.Problem { return []probe.Problem{{Code: code, Name: "x"}} }
	for _, tc := range []struct {
		what string
		do   func(*probe.SMTP)
		want string
	}{
		{"all is well", func(*probe.SMTP) {}, ""},
		{"refused", func(r *probe.SMTP) { *r = probe.SMTP{Target: r.Target, Error: &net.OpError{Err: syscall.ECONNREFUSED}} }, "mx.closed"},
		{"silent: perhaps our own firewall", func(r *probe.SMTP) { *r = probe.SMTP{Target: r.Target, Error: errors.New("i/o timeout")} }, "mx.closed? relay.open? tls.missing?"},
		{"it talks to nobody", func(r *probe.SMTP) {
			*r = probe.SMTP{Target: r.Target, Connected: true, Error: errors.New("EOF")}
		}, "smtp.name? smtp.slow? tls.missing?"},
		{"version", func(r *probe.SMTP) { r.Version = "Exim 4.96" }, "smtp.version"},
		{"slow", func(r *probe.SMTP) { r.Delay = 20 * time.Second }, "smtp.slow"},
		{"the example of S8", func(r *probe.SMTP) {
			r.Host, r.Greeting, r.Clear.Domain = "mail.maild.org", reply(220, "smtp.midominio.es ESMTP"), "smtp.maild.org"
		}, "smtp.name"},
		{"no STARTTLS", func(r *probe.SMTP) { r.TLS, r.Clear.StartTLS, r.Secure = nil, false, smtp.Extensions{} }, "tls.missing"},
		{"TLS fails", func(r *probe.SMTP) { r.TLS, r.TLSError, r.Secure = nil, errors.New("EOF"), smtp.Extensions{} }, "tls.broken"},
		{"TLS 1.0", func(r *probe.SMTP) { r.TLS.Accepted[0].Accepted = probe.Yes }, "tls.old"},
		{"TLS 1.0 was not answered", func(r *probe.SMTP) { r.TLS.Accepted[0].Accepted = probe.Unknown }, "tls.old?"},
		{"no TLS 1.3", func(r *probe.SMTP) { r.TLS.Accepted[3].Accepted = probe.No }, "tls.modern"},
		{"RC4", func(r *probe.SMTP) { r.TLS.Weak = probe.Yes }, "tls.weak"},
		{"no REQUIRETLS", func(r *probe.SMTP) { r.Secure.RequireTLS = false }, "tls.require"},
		{"injection", func(r *probe.SMTP) { r.Injected = probe.Yes }, "tls.injection"},
		{"injection was not answered", func(r *probe.SMTP) { r.Injected = probe.Unknown }, "tls.injection?"},
		{"self-signed, which an exchanger may be", func(r *probe.SMTP) { r.TLS.Certificate.Problems = problem(probe.SelfSigned) }, "cert.unverified"},
		{"another name", func(r *probe.SMTP) { r.TLS.Certificate.Problems = problem(probe.HostnameMismatch) }, "cert.unverified"},
		{"expired", func(r *probe.SMTP) { r.TLS.Certificate.Problems = problem(probe.Expired) }, "cert.expired"},
		{"expiring", func(r *probe.SMTP) { r.TLS.Certificate.NotAfter = today.AddDate(0, 0, 13) }, "cert.expiring"},
		{"RSA 1024", func(r *probe.SMTP) { r.TLS.Certificate.Problems = problem(probe.KeyTooSmall) }, "cert.weak"},
		{"AUTH on 25", func(r *probe.SMTP) { r.Secure.Auth = []string{"PLAIN"} }, "auth.exchanger"},
		{"no SIZE", func(r *probe.SMTP) { r.Secure.Size = false }, "smtp.extensions"},
		{"bounces are refused", func(r *probe.SMTP) { r.Null = reply(553, "who?"); r.Roles = nil }, "smtp.null"},
		{"abuse@ is refused", func(r *probe.SMTP) { r.Roles[0].Exchange = reply(550, "nobody") }, "smtp.postmaster"},
		{"greylisting refuses nobody", func(r *probe.SMTP) { r.Roles[0].Exchange, r.Invented = reply(450, "later"), reply(450, "later") }, "rcpt.any? smtp.postmaster?"},
		{"everybody exists", func(r *probe.SMTP) { r.Invented = reply(250, "ok") }, "rcpt.any"},
		{"VRFY tells", func(r *probe.SMTP) { r.Verify[0], r.Verify[1] = reply(250, "ana"), reply(550, "nobody") }, "smtp.enumeration"},
		{"open relay", func(r *probe.SMTP) { r.Relay[0].Accepted = true }, "relay.open"},
		{"the relay test broke off", func(r *probe.SMTP) { r.RelayError = probe.ErrClosing }, "relay.open?"},
		{"submission without TLS before AUTH", func(r *probe.SMTP) {
			r.Addr, r.Clear.Auth = netip.MustParseAddrPort("203.0.113.25:587"), []string{"PLAIN"}
		}, "auth.clear"},
		{"submission is verified by people's programs", func(r *probe.SMTP) {
			r.Addr, r.TLS.Certificate.Problems = netip.MustParseAddrPort("203.0.113.25:587"), problem(probe.UnverifiableLeaf)
		}, "cert.chain"},
		{"submission closed: not every exchanger has it", func(r *probe.SMTP) {
			*r = probe.SMTP{Target: probe.Target{Addr: netip.MustParseAddrPort("203.0.113.25:587")}, Error: &net.OpError{Err: syscall.ECONNREFUSED}}
		}, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			r := seenWell()
			tc.do(r)
			if got := failed(JudgeSMTP(r, today)); got != tc.want {
				t.Errorf("found %q, expected %q", got, tc.want)
			}
		})
	}
}

func TestMailboxDoors(t *testing.T) {
	well := func() *probe.Mailbox {
		return &probe.Mailbox{
			Target: probe.Target{Host: "mx.good.test", Addr: netip.MustParseAddrPort("203.0.113.25:143")}, Options: probe.MailboxOptions{Inject: true},
			Protocol: "imap", Connected: true, Greeting: "* OK ready", Clear: []string{"STARTTLS", "LOGINDISABLED"}, Asked: true, StartTLS: true, Injected: probe.No,
			TLS: &probe.TLS{Certificate: probe.Certificate{NotAfter: today.AddDate(0, 2, 0)}},
		}
	}
	for _, tc := range []struct {
		what string
		do   func(*probe.Mailbox)
		want string
	}{
		{"all is well", func(*probe.Mailbox) {}, ""},
		{"LOGIN in clear", func(m *probe.Mailbox) { m.Clear = []string{"STARTTLS"} }, "auth.clear"},
		{"no STARTTLS", func(m *probe.Mailbox) { m.Clear, m.StartTLS, m.TLS = []string{"LOGINDISABLED"}, false, nil }, "tls.missing"},
		{"version", func(m *probe.Mailbox) { m.Version = "Dovecot 2.3.19" }, "smtp.version"},
		{"self-signed", func(m *probe.Mailbox) { m.TLS.Certificate.Problems = []probe.Problem{{Code: probe.SelfSigned}} }, "cert.self-signed"},
		{"injection", func(m *probe.Mailbox) { m.Injected = probe.Yes }, "tls.injection"},
		{"closed", func(m *probe.Mailbox) { *m = probe.Mailbox{Target: m.Target, Error: syscall.ECONNREFUSED} }, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			m := well()
			tc.do(m)
			if got := failed(JudgeMailbox(m, today)); got != tc.want {
				t.Errorf("found %q, expected %q", got, tc.want)
			}
		})
	}
}

func TestJudgeSmuggling(t *testing.T) {
	for want, all := range map[string][]probe.Smuggled{
		"":                {{Accepted: probe.No}},
		"smtp.smuggling":  {{Accepted: probe.Unknown}, {Accepted: probe.Yes}, {Accepted: probe.No}},
		"smtp.smuggling?": {{Accepted: probe.No}, {Accepted: probe.Unknown}},
	} {
		if got := failed(JudgeSmuggling(probe.Target{}, all)); got != want {
			t.Errorf("found %q, expected %q", got, want)
		}
	}
}

// An audit probes each public address of each exchanger, and the doors of people's
// programs at the first; nobody's private addresses, and none where none has to answer.
func TestAuditProbesDoors(t *testing.T) {
	world := resolver.Static{
		"good.test":     {"MX 10 mx.good.test", "MX 20 mx2.good.test", "TXT v=spf1 mx -all"},
		"mx.good.test":  {"A 203.0.113.25", "AAAA 2001:db8::25"},
		"mx2.good.test": {"A 203.0.113.26", "A 10.0.0.26"},
		"parked.test":   {"MX 0 .", "TXT v=spf1 -all"},
	}
	for domain, want := range map[string]string{
		"good.test":   "203.0.113.25:110 203.0.113.25:143 203.0.113.25:25 203.0.113.25:465 203.0.113.25:587 203.0.113.25:993 203.0.113.25:995 203.0.113.26:25 [2001:db8::25]:25",
		"parked.test": "",
	} {
		dialled := make(chan string, 100)
		r := Run(t.Context(), Config{
			Resolver: world, Authority: authority.New(world, authority.Config{Timeout: time.Millisecond}), Timeout: 10 * time.Second,
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				dialled <- address
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			},
		}, Target{Domain: domain})
		close(dialled)
		var got []string
		for a := range dialled {
			got = append(got, a)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: dialled %s", domain, got)
		}
		closed := 0
		for _, f := range r.Findings {
			if f.Check == finding.MXClosed && f.Outcome == finding.Fail {
				closed++
			}
		}
		if want := strings.Count(want, ":25 ") + min(1, len(want)); closed != want {
			t.Errorf("%s: %d closed exchangers, expected %d", domain, closed, want)
		}
	}
}
