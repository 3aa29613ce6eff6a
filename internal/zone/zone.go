// Package zone says which DNS records a domain and its mail server want (S22): it
// is what quickstart prints, what the lab publishes, and what an audit compares
// with the world. Values only; nothing is looked up.
//
// SRV names are those of RFC 6186 and RFC 8314; a service that is off has the
// target "." so that mail programs do not look for it.
package zone

import (
	"fmt"
	"net/netip"
	"strings"

	"posta/internal/dkim"
	"posta/internal/resolver"
)

// Record is one wanted record. Name and targets are fully qualified, without the
// final dot.
type Record struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "A", "MX", "PTR"…
	Value string `json:"value"`
	Why   string `json:"why"` // key of the words catalogue
	// ByProvider is set for what the owner of the address publishes, not the
	// owner of the domain: PTR.
	ByProvider bool `json:"by_provider,omitempty"`
}

// Key is a DKIM record to publish.
type Key struct{ Selector, Record string }

// Facts are what the records are made of.
type Facts struct {
	Domain   string
	Host     string       // our host name
	IPs      []netip.Addr // our public addresses
	Keys     []Key
	Reports  string // mailbox for DMARC reports, "" is postmaster@Domain
	Services []Service
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
	var out []Record
	add := func(name, typ, value, why string) {
		out = append(out, Record{Name: name, Type: typ, Value: value, Why: why})
	}
	for _, ip := range f.IPs {
		typ := "A"
		if ip.Is6() && !ip.Is4In6() {
			typ = "AAAA"
		}
		add(f.Host, typ, ip.String(), "dns.address")
	}
	add(f.Domain, "MX", "10 "+f.Host, "dns.mx")
	for _, ip := range f.IPs {
		out = append(out, Record{Name: resolver.ReverseName(ip), Type: "PTR", Value: f.Host, Why: "dns.ptr", ByProvider: true})
	}
	add(f.Domain, "TXT", "v=spf1 mx -all", "dns.spf")
	if !strings.EqualFold(f.Host, f.Domain) {
		add(f.Host, "TXT", "v=spf1 a -all", "dns.spf.helo")
	}
	for _, k := range f.Keys {
		add(dkim.RecordName(k.Selector, f.Domain), "TXT", k.Record, "dns.dkim")
	}
	reports := f.Reports
	if reports == "" {
		reports = "postmaster@" + f.Domain
	}
	add("_dmarc."+f.Domain, "TXT", "v=DMARC1; p=none; rua=mailto:"+reports, "dns.dmarc")
	for _, s := range f.Services {
		value := "0 0 0 ."
		if s.Port != 0 {
			value = fmt.Sprintf("0 1 %d %s", s.Port, f.Host)
		}
		add(s.Name+"._tcp."+f.Domain, "SRV", value, "dns.srv")
	}
	return out
}

// Line writes a record as a zone file does, long TXT split into strings of 255
// octets (RFC 1035 §3.3.14).
func (r Record) Line() string {
	value := r.Value
	switch r.Type {
	case "TXT":
		var parts []string
		for _, s := range dkim.SplitTXT(r.Value) {
			parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)+`"`)
		}
		value = strings.Join(parts, " ")
	case "MX", "SRV", "PTR", "CNAME":
		if !strings.HasSuffix(value, ".") {
			value += "."
		}
	}
	return fmt.Sprintf("%s. 3600 IN %s %s", r.Name, r.Type, value)
}
