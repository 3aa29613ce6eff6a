// Package zone says which DNS records a domain and its mail server want (S22): it
// is what quickstart prints, what the lab publishes, what posta dns shows, compares
// with the world and writes, and what an audit measures by. Values only; nothing is
// looked up.
//
// SRV names are those of RFC 6186, RFC 8314, RFC 5804 and RFC 8620; a service that
// is off has the target "." so that mail programs do not look for it.
//
// Names that only lead to our host (mta-sts, autoconfig, autodiscover, ua-auto-config) are aliases of
// it: its address is said once, and its CAA holds for them too (RFC 8659 §3).
package zone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"posta/internal/autoconf"
	"posta/internal/dkim"
	"posta/internal/resolver"
)

// TTL is that of the records that we publish, in seconds.
const TTL = 3600

// Record is one wanted record. Name and targets are fully qualified, without the
// final dot. Value is a text whole, in its octets; an address, "10 mail.example.org"
// for MX, "0 1 993 mail.example.org" for SRV, `0 issue "ca.example"` for CAA,
// "3 1 1 6f70…" for TLSA: the form that Canonical gives.
type Record struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "A", "MX", "PTR"…
	Value string `json:"value"`
	Why   string `json:"why,omitempty"` // key of the words catalogue
	// ByProvider is set for what the owner of the address publishes, not the
	// owner of the domain: PTR.
	ByProvider bool `json:"by_provider,omitempty"`
}

// Key is a DKIM record to publish.
type Key struct{ Selector, Record string }

// BIMI is what mail programs may show beside our mail
// (draft-brand-indicators-for-message-identification): https URLs of the logo and of
// its certificate, which may be "".
type BIMI struct{ Logo, Certificate string }

// Facts are what the records are made of. Domain and Host are required; each other
// field adds its records when it is set.
type Facts struct {
	Domain   string
	Host     string       // our host name
	IPs      []netip.Addr // our public addresses
	Keys     []Key        // each that is published, the next one included
	Reports  string       // mailbox for DMARC reports, "" is dmarc-reports@Domain, which Posta has of itself
	Services []Service

	// Hosted says that the host's own records (addresses, PTR, HELO's SPF, TLSA, CAA)
	// are published with another domain, and left out here.
	Hosted bool
	// STS is the id of the MTA-STS policy that we serve for the domain (RFC 8461 §3.1).
	STS string
	// TLSReports is the mailbox for TLS reports (RFC 8460 §3).
	TLSReports string
	// Certificates are the SHA-256 digests of our certificates' public keys, for TLSA
	// 3 1 1 at port 25 (RFC 7672 §3.1.1). Only a signed zone may have them: the caller
	// sees to that.
	Certificates [][32]byte
	// Issuers are the names of the authorities that may issue for our host (RFC 8659
	// §4.2).
	Issuers []string
	// Autoconfig says that we serve mail programs' settings over HTTPS.
	Autoconfig bool
	// PACC is the text that vouches for the document of draft-ietf-mailmaint-pacc that we
	// serve (autoconf.PACCRecord).
	PACC string
	BIMI *BIMI
	// Delegate is a zone of ours to which the names lead, by an alias each, that change
	// by themselves: DKIM keys, and ACME's challenge for the host (RFC 8555 §8.4).
	Delegate string
	// Uncertain are the types of which it could not be found out now what is wanted: what
	// was published of them stays.
	Uncertain []string
}

// Service is a door for mail programs.
type Service struct {
	Name string // "_submissions"
	Port uint16 // 0 means off
}

// Services lists the doors by their SRV names, from the ports that are open (0:
// closed).
func Services(submission, submissions, imap, imaps, pop3, pop3s uint16) []Service {
	return []Service{
		{"_submissions", submissions}, {"_submission", submission}, {"_imaps", imaps},
		{"_imap", imap}, {"_pop3s", pop3s}, {"_pop3", pop3},
	}
}

// Wanted lists the records in the order in which one publishes them.
func Wanted(f Facts) []Record {
	w := wanting{Facts: f}
	w.addresses()
	w.add(f.Domain, "MX", "10 "+f.Host, "dns.mx")
	w.reverse()
	w.add(f.Domain, "TXT", "v=spf1 mx -all", "dns.spf")
	if !f.Hosted && !strings.EqualFold(f.Host, f.Domain) {
		w.add(f.Host, "TXT", "v=spf1 a -all", "dns.spf.helo")
	}
	w.keys()
	reports := f.Reports
	if reports == "" {
		reports = "dmarc-reports@" + f.Domain
	}
	w.add("_dmarc."+f.Domain, "TXT", "v=DMARC1; p=none; rua=mailto:"+reports, "dns.dmarc")
	w.transport()
	for _, s := range f.Services {
		w.service(s)
	}
	w.web()
	return w.out
}

// Parked lists the records of a domain that neither sends nor takes mail (S34): null
// MX (RFC 7505), no sender (RFC 7208 §10.1.2), refusal of what claims to be it, and
// every DKIM key revoked (RFC 6376 §3.6.1).
func Parked(domain string) []Record {
	w := wanting{Facts: Facts{Domain: domain}}
	w.add(domain, "MX", "0 .", "dns.parked.mx")
	w.add(domain, "TXT", "v=spf1 -all", "dns.parked.spf")
	w.add("*._domainkey."+domain, "TXT", "v=DKIM1; p=", "dns.parked.dkim")
	w.add("_dmarc."+domain, "TXT", "v=DMARC1; p=reject; sp=reject; np=reject; adkim=s; aspf=s", "dns.parked.dmarc")
	return w.out
}

// STSID is the id of an MTA-STS policy, for Facts.STS: it follows from the policy's text
// (RFC 8461 §3.1: 1 to 32 letters and digits, another one for each policy).
func STSID(policy string) string {
	sum := sha256.Sum256([]byte(policy))
	return hex.EncodeToString(sum[:16])
}

// wanting gathers records.
type wanting struct {
	Facts
	out []Record
}

func (w *wanting) add(name, typ, value, why string) {
	w.out = append(w.out, Record{Name: name, Type: typ, Value: value, Why: why})
}

func (w *wanting) addresses() {
	if w.Hosted {
		return
	}
	for _, ip := range w.IPs {
		typ := "A"
		if ip.Is6() && !ip.Is4In6() {
			typ = "AAAA"
		}
		w.add(w.Host, typ, ip.String(), "dns.address")
	}
}

func (w *wanting) reverse() {
	if w.Hosted {
		return
	}
	for _, ip := range w.IPs {
		w.out = append(w.out, Record{Name: resolver.ReverseName(ip), Type: "PTR", Value: w.Host, Why: "dns.ptr", ByProvider: true})
	}
}

// keys lists the DKIM records, in the zone of ours where they are delegated to it.
func (w *wanting) keys() {
	for _, k := range w.Keys {
		name := dkim.RecordName(k.Selector, w.Domain)
		if w.Delegate != "" {
			w.add(name, "CNAME", name+"."+w.Delegate, "dns.dkim.delegate")
			name += "." + w.Delegate
		}
		w.add(name, "TXT", k.Record, "dns.dkim")
	}
	if w.Delegate != "" && !w.Hosted {
		name := "_acme-challenge." + w.Host
		w.add(name, "CNAME", name+"."+w.Delegate, "dns.acme.delegate")
	}
}

// transport lists what other servers' TLS goes by.
func (w *wanting) transport() {
	if w.STS != "" {
		w.add("_mta-sts."+w.Domain, "TXT", "v=STSv1; id="+w.STS, "dns.sts")
		w.alias("mta-sts", "dns.sts.host")
	}
	if w.TLSReports != "" {
		w.add("_smtp._tls."+w.Domain, "TXT", "v=TLSRPTv1; rua=mailto:"+w.TLSReports, "dns.tlsrpt")
	}
	if w.Hosted {
		return
	}
	for _, sum := range w.Certificates {
		w.add("_25._tcp."+w.Host, "TLSA", "3 1 1 "+hex.EncodeToString(sum[:]), "dns.tlsa")
	}
	for _, issuer := range w.Issuers {
		w.add(w.Host, "CAA", fmt.Sprintf("0 issue %q", issuer), "dns.caa")
	}
}

func (w *wanting) service(s Service) {
	value := "0 0 0 ."
	if s.Port != 0 {
		value = fmt.Sprintf("0 1 %d %s", s.Port, w.Host)
	}
	w.add(s.Name+"._tcp."+w.Domain, "SRV", value, "dns.srv")
}

// web lists the names under which mail programs find their settings, and the logo.
func (w *wanting) web() {
	if w.Autoconfig {
		w.alias("autoconfig", "dns.autoconfig")
		w.alias("autodiscover", "dns.autodiscover")
		w.service(Service{"_autodiscover", 443})
	}
	if w.PACC != "" {
		w.add(autoconf.PACCName(w.Domain), "TXT", w.PACC, "dns.pacc")
		w.alias("ua-auto-config", "dns.pacc.host")
	}
	if b := w.BIMI; b != nil {
		w.add("default._bimi."+w.Domain, "TXT", fmt.Sprintf("v=BIMI1; l=%s; a=%s", b.Logo, b.Certificate), "dns.bimi")
	}
}

// alias makes a name below the domain lead to the host, unless it is the host.
func (w *wanting) alias(label, why string) {
	if name := label + "." + w.Domain; !strings.EqualFold(name, w.Host) {
		w.add(name, "CNAME", w.Host, why)
	}
}
