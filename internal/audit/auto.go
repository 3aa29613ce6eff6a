package audit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"posta/internal/autoconf"
	"posta/internal/finding"
	"posta/internal/resolver"
)

const (
	maxSRV      = 4 // records of one service that are looked at
	maxDocument = 64 << 10
	doorTimeout = 10 * time.Second
)

// service is a door for mail programs by its SRV name (RFC 6186, RFC 8314).
type service struct {
	label    string
	implicit bool // TLS from the first octet
	port     uint16
}

func services() []service {
	return []service{{"_imaps", true, 993}, {"_submissions", true, 465}, {"_pop3s", true, 995}, {"_imap", false, 143}, {"_submission", false, 587}, {"_pop3", false, 110}}
}

// portOfOther names what else than the service is at a port, by what it is registered
// for; "" for its own port and for those of nobody.
func (s *service) portOfOther(port uint16) string {
	if port == 25 {
		return "smtp, between servers"
	}
	for _, o := range services() {
		if o.port == port && o.label != s.label {
			return strings.TrimPrefix(o.label, "_")
		}
	}
	return ""
}

// programs judges how mail programs find their settings: SRV records and what they
// promise, autoconfig, Autodiscover, PACC. A domain without mail needs none of it.
func programs(ctx context.Context, a *audit) []finding.Finding {
	if s := a.setup(); s != withMail {
		return []finding.Finding{finding.Of(finding.AutoSRV, finding.NotApplicable, a.Domain, "mail", string(s))}
	}
	parts := []func() []finding.Finding{
		func() []finding.Finding { return a.srvRecords(ctx) },
		func() []finding.Finding { return a.autoconfig(ctx) },
		func() []finding.Finding { return a.autodiscover(ctx) },
		func() []finding.Finding { return a.pacc(ctx) },
	}
	found := make([][]finding.Finding, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { found[i] = p() })
	}
	wg.Wait()
	return slices.Concat(found...)
}

// srv is one SRV record; target "." says that the service is off (RFC 2782).
type srv struct {
	port   uint16
	target string
}

func parseSRV(data string) (srv, bool) {
	f := strings.Fields(data)
	if len(f) != 4 {
		return srv{}, false
	}
	port, err := strconv.ParseUint(f[2], 10, 16)
	target := strings.ToLower(strings.TrimSuffix(f[3], "."))
	if target == "" {
		target = "."
	}
	return srv{uint16(port), target}, err == nil
}

// srvRecords judges the records of all services. One service to read and one to submit
// are enough.
func (a *audit) srvRecords(ctx context.Context) []finding.Finding {
	list := services()
	states, found := make([]error, len(list)), make([][]finding.Finding, len(list))
	offered := make([]bool, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { offered[i], found[i], states[i] = a.srvService(ctx, s) })
	}
	wg.Wait()
	out := slices.Concat(found...)
	reads, submits := offered[0] || offered[2] || offered[3] || offered[5], offered[1] || offered[4]
	var seen []string
	for i, s := range list {
		if offered[i] {
			seen = append(seen, s.label)
		}
	}
	if bare := a.bareSRV(ctx); len(bare) > 0 {
		return append(out, finding.Of(finding.AutoSRV, finding.Fail, a.Domain, "services", orNone(seen), "misspelt, _tcp without its _", orNone(bare)))
	}
	if err := errors.Join(states...); err != nil && !(reads && submits) {
		return append(out, unverified(err, a.Domain, finding.AutoSRV)...)
	}
	return append(out, judged(finding.AutoSRV, !reads || !submits, a.Domain, "services", orNone(seen)))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

// bareSRV are records whose name has "tcp" for "_tcp", as the guide's example has one
// (S25): no program asks for them.
func (a *audit) bareSRV(ctx context.Context) []string {
	list := services()
	names := make([]string, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() {
			name := s.label + ".tcp." + a.Domain
			if res, err := a.cfg.Resolver.Lookup(ctx, name, resolver.TypeSRV); err == nil && len(res.Records) > 0 {
				names[i] = name
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// srvService judges one service; offered is whether a record names a host.
func (a *audit) srvService(ctx context.Context, s service) (offered bool, out []finding.Finding, err error) {
	name := s.label + "._tcp." + a.Domain
	res, err := a.cfg.Resolver.Lookup(ctx, name, resolver.TypeSRV)
	if err != nil {
		return false, nil, err
	}
	for _, r := range res.Records[:min(len(res.Records), maxSRV)] {
		v, ok := parseSRV(r.Data)
		if !ok {
			out = append(out, finding.Of(finding.AutoTarget, finding.Fail, name, "SRV", r.Data))
			continue
		}
		if v.target == "." {
			continue
		}
		offered = true
		other := s.portOfOther(v.port)
		if other != "" {
			out = append(out, finding.Of(finding.AutoDoor, finding.Fail, name, "SRV", r.Data, fmt.Sprintf("port %d is of", v.port), other))
		}
		h := findHost(ctx, a.cfg.Resolver, v.target)
		switch {
		case h.state == 0:
			out = append(out, unverified(h.err, name, finding.AutoTarget)...)
			continue
		case len(h.alias) > 0 || len(h.addrs) == 0:
			out = append(out, finding.Of(finding.AutoTarget, finding.Fail, name, "SRV", r.Data, "target", targetSeen(&h)))
			continue
		}
		out = append(out, finding.Of(finding.AutoTarget, finding.Pass, name, "SRV", r.Data))
		if other == "" {
			out = append(out, a.srvDoor(ctx, s, v, h.addrs[0], name))
		}
	}
	return offered, out, nil
}

func targetSeen(h *host) string {
	if len(h.alias) > 0 {
		return "alias of " + strings.Join(h.alias, " → ")
	}
	return h.state.String()
}

// srvDoor connects to what a record promises. That we cannot reach a host at all says
// nothing of it: our own way out may be shut.
func (a *audit) srvDoor(ctx context.Context, s service, v srv, ip netip.Addr, name string) finding.Finding {
	ctx, cancel := context.WithTimeout(ctx, doorTimeout)
	defer cancel()
	at := fmt.Sprintf("%s:%d (%s)", v.target, v.port, ip)
	a.probed("mail programs: what SRV records promise")
	conn, err := a.connect(ctx, netip.AddrPortFrom(ip, v.port))
	if err != nil {
		return finding.Of(finding.AutoDoor, refusedOr(err), name, "connect", at, "said", err.Error())
	}
	defer conn.Close()
	if !s.implicit {
		return finding.Of(finding.AutoDoor, finding.Pass, name, "connect", at)
	}
	client := tls.Client(conn, &tls.Config{ServerName: v.target, MinVersion: tls.VersionTLS12, RootCAs: a.roots()})
	if err := client.HandshakeContext(ctx); err != nil {
		o := finding.Fail
		if ctx.Err() != nil {
			o = finding.Unverified
		}
		return finding.Of(finding.AutoDoor, o, name, "connect", at, "TLS", err.Error())
	}
	return finding.Of(finding.AutoDoor, finding.Pass, name, "connect", at, "TLS", tls.VersionName(client.ConnectionState().Version))
}

// roots are the authorities that the audit's HTTP client trusts; nil are the system's.
func (a *audit) roots() *x509.CertPool {
	if t, ok := a.cfg.HTTP.Transport.(*http.Transport); ok && t.TLSClientConfig != nil {
		return t.TLSClientConfig.RootCAs
	}
	return nil
}

// refusedOr is Fail for a connection that the other side refused, Unverified for what
// did not answer.
func refusedOr(err error) finding.Outcome {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return finding.Fail
	}
	return finding.Unverified
}

// document is what a host answers; exists is false where the name is not there, err
// where it cannot be said.
type document struct {
	exists bool
	code   int
	body   []byte
	err    error
}

// page asks one URL of a name, if the name exists.
func (a *audit) page(ctx context.Context, method, name, path, body string) document {
	h := findHost(ctx, a.cfg.Resolver, name)
	if h.state == 0 {
		return document{err: h.err}
	}
	if len(h.addrs) == 0 {
		return document{}
	}
	a.probed("mail programs: autoconfig, Autodiscover, PACC")
	ctx, cancel := context.WithTimeout(ctx, doorTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+name+path, strings.NewReader(body))
	if err != nil {
		return document{err: err}
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	}
	res, err := a.cfg.HTTP.Do(req)
	if err != nil {
		return document{exists: true, err: err}
	}
	defer res.Body.Close()
	d := document{exists: true, code: res.StatusCode}
	d.body, d.err = io.ReadAll(io.LimitReader(res.Body, maxDocument))
	return d
}

// said is what came of it in words, for the evidence.
func (d *document) said() string {
	switch {
	case d.err != nil:
		return d.err.Error()
	case !d.exists:
		return "no such name"
	}
	return fmt.Sprintf("HTTP %d, %d octets", d.code, len(d.body))
}

// wrong is whether a server that is there gave no document: an error in its
// certificate, another status. What only did not answer is not wrong.
func (d *document) wrong() bool {
	if d.err == nil {
		return d.code != http.StatusOK
	}
	_, bad := errors.AsType[*tls.CertificateVerificationError](d.err)
	return bad || refusedOr(d.err) == finding.Fail
}

// autoconfig looks for Thunderbird's file in the places where it looks.
func (a *audit) autoconfig(ctx context.Context) []finding.Finding {
	const query = "?emailaddress=postmaster@"
	first := a.page(ctx, "GET", "autoconfig."+a.Domain, autoconf.AutoconfigPath+query+a.Domain, "")
	if first.usable() {
		return []finding.Finding{finding.Of(finding.AutoConfig, finding.Pass, a.Domain, "autoconfig."+a.Domain, first.said())}
	}
	second := a.page(ctx, "GET", a.Domain, autoconf.WellKnownPath+query+a.Domain, "")
	facts := []string{"autoconfig." + a.Domain, first.said(), a.Domain + "/.well-known", second.said()}
	switch {
	case second.usable():
		return []finding.Finding{finding.Of(finding.AutoConfig, finding.Pass, a.Domain, facts...)}
	case first.err != nil && !first.wrong() || second.err != nil && !second.wrong():
		return []finding.Finding{finding.Of(finding.AutoConfig, finding.Unverified, a.Domain, facts...)}
	}
	return []finding.Finding{finding.Of(finding.AutoConfig, finding.Fail, a.Domain, facts...)}
}

// usable is whether a document is an autoconfig with a door to read and one to submit.
func (d *document) usable() bool {
	if d.err != nil || d.code != http.StatusOK {
		return false
	}
	var c struct {
		XMLName  xml.Name `xml:"clientConfig"`
		Provider struct {
			Incoming []struct {
				Host string `xml:"hostname"`
			} `xml:"incomingServer"`
			Outgoing []struct {
				Host string `xml:"hostname"`
			} `xml:"outgoingServer"`
		} `xml:"emailProvider"`
	}
	return xml.Unmarshal(d.body, &c) == nil && len(c.Provider.Incoming) > 0 && len(c.Provider.Outgoing) > 0
}

// autodiscover asks as Outlook does, where the name exists.
func (a *audit) autodiscover(ctx context.Context) []finding.Finding {
	name := "autodiscover." + a.Domain
	question := `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>postmaster@` +
		a.Domain + `</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
	d := a.page(ctx, "POST", name, autoconf.AutodiscoverPath, question)
	o := finding.Fail
	switch {
	case d.err == nil && !d.exists:
		o = finding.NotApplicable
	case d.err != nil && !d.wrong():
		o = finding.Unverified
	case d.code == http.StatusUnauthorized: // Exchange asks for a login first
		o = finding.Pass
	case d.err == nil && d.code == http.StatusOK && xml.Unmarshal(d.body, new(struct {
		XMLName xml.Name `xml:"Autodiscover"`
	})) == nil:
		o = finding.Pass
	}
	return []finding.Finding{finding.Of(finding.AutoDiscover, o, name, "POST "+autoconf.AutodiscoverPath, d.said())}
}

// pacc compares the document with the record that vouches for it.
func (a *audit) pacc(ctx context.Context) []finding.Finding {
	name := autoconf.PACCName(a.Domain)
	txt, err := a.cfg.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return unverified(err, name, finding.AutoPACC)
	}
	d := a.page(ctx, "GET", "ua-auto-config."+a.Domain, autoconf.PACCPath, "")
	facts := []string{"TXT", orNone(txt.Records), "document", d.said()}
	o := finding.Fail
	switch {
	case len(txt.Records) == 0:
		o = finding.NotApplicable // programs ask for nothing without the record
	case d.err != nil && !d.wrong():
		o = finding.Unverified
	case d.err == nil && d.code == http.StatusOK && json.Valid(d.body) && slices.ContainsFunc(txt.Records, func(r string) bool {
		return strings.ReplaceAll(r, " ", "") == strings.ReplaceAll(autoconf.PACCRecord(d.body), " ", "")
	}):
		o = finding.Pass
	}
	return []finding.Finding{finding.Of(finding.AutoPACC, o, name, facts...)}
}
