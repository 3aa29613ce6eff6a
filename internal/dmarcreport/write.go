package dmarcreport

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// AppendXML writes the report in the form of RFC 9990 §3.1, with a declaration, indented
// by two spaces. Values that are empty and optional are left out; what XML cannot hold
// becomes U+FFFD. Percent and Notes are not written.
func (r *Report) AppendXML(b []byte) []byte {
	w := &writer{buf: bytes.NewBuffer(b)}
	w.buf.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<feedback xmlns="` + Namespace + `">` + "\n")
	w.depth = 1
	version := r.Version
	if version == "" {
		version = "1.0"
	}
	w.must("version", version)
	r.Metadata.write(w)
	r.Published.write(w)
	for i := range r.Records {
		r.Records[i].write(w)
	}
	w.buf.WriteString("</feedback>\n")
	return w.buf.Bytes()
}

// writer writes indented elements.
type writer struct {
	buf   *bytes.Buffer
	depth int
}

func (w *writer) indent() {
	for range w.depth {
		w.buf.WriteString("  ")
	}
}

// group writes an element that holds others.
func (w *writer) group(name string, f func()) {
	w.indent()
	w.buf.WriteString("<" + name + ">\n")
	w.depth++
	f()
	w.depth--
	w.indent()
	w.buf.WriteString("</" + name + ">\n")
}

// must writes an element though it be empty.
func (w *writer) must(name, text string) {
	w.indent()
	w.buf.WriteString("<" + name + ">")
	_ = xml.EscapeText(w.buf, []byte(text)) // a Buffer takes everything
	w.buf.WriteString("</" + name + ">\n")
}

// may writes an element unless it is empty.
func (w *writer) may(name, text string) {
	if text != "" {
		w.must(name, text)
	}
}

func (m *Metadata) write(w *writer) {
	w.group("report_metadata", func() {
		w.must("org_name", m.Org)
		w.must("email", m.Email)
		w.may("extra_contact_info", m.ExtraContact)
		w.must("report_id", m.ReportID)
		w.group("date_range", func() {
			w.must("begin", strconv.FormatInt(m.Begin.Unix(), 10))
			w.must("end", strconv.FormatInt(m.End.Unix(), 10))
		})
		for _, e := range m.Errors {
			w.may("error", e)
		}
		w.may("generator", m.Generator)
	})
}

func (p *Published) write(w *writer) {
	w.group("policy_published", func() {
		w.must("domain", p.Domain)
		w.may("discovery_method", p.Discovery)
		w.may("p", p.Policy)
		w.may("sp", p.Sub)
		w.may("np", p.Absent)
		w.may("fo", p.FO)
		w.may("adkim", p.ADKIM)
		w.may("aspf", p.ASPF)
		w.may("testing", p.Testing)
	})
}

func (r *Record) write(w *writer) {
	w.group("record", func() {
		w.group("row", func() {
			ip := ""
			if r.Source.IsValid() {
				ip = r.Source.String()
			}
			w.must("source_ip", ip)
			w.must("count", strconv.FormatInt(r.Count, 10))
			w.group("policy_evaluated", func() {
				w.must("disposition", r.Disposition)
				w.must("dkim", r.DKIM)
				w.must("spf", r.SPF)
				for _, why := range r.Reasons {
					w.group("reason", func() {
						w.must("type", why.Type)
						w.may("comment", why.Comment)
					})
				}
			})
		})
		w.group("identifiers", func() {
			w.must("header_from", r.HeaderFrom)
			w.may("envelope_from", r.EnvFrom)
			w.may("envelope_to", r.EnvTo)
		})
		w.group("auth_results", func() {
			for _, d := range r.DKIMAuth {
				w.group("dkim", func() {
					w.must("domain", d.Domain)
					w.must("selector", d.Selector)
					w.must("result", d.Result)
					w.may("human_result", d.Human)
				})
			}
			for _, s := range r.SPFAuth {
				w.group("spf", func() {
					w.must("domain", s.Domain)
					w.may("scope", s.Scope)
					w.must("result", s.Result)
					w.may("human_result", s.Human)
				})
			}
		})
	})
}

// Filename is what the file of a report is called, with the extension that follows,
// e.g. "xml.gz" (RFC 9990 §3.5.1). receiver and domain are domains; unique may be empty.
func Filename(receiver, domain string, begin, end time.Time, unique, extension string) string {
	if unique != "" {
		unique = "!" + unique
	}
	return fmt.Sprintf("%s!%s!%d!%d%s.%s", receiver, domain, begin.Unix(), end.Unix(), unique, extension)
}

// Subject is the one of a report's message (RFC 9990 §3.5.1).
func Subject(domain, submitter, reportID string) string {
	return "Report Domain: " + domain + " Submitter: " + submitter + " Report-ID: <" + strings.Trim(reportID, "<>") + ">"
}
