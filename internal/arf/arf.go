// Package arf reads feedback reports in the Abuse Reporting Format (RFC 5965): what
// people at another provider called spam of our mail, and failure reports of DMARC
// (RFC 6591, RFC 9991), which have the same form.
//
// Read takes the machine-readable part and, where it came, the header of the message
// that is complained of. Reporters redact: everything but the type may be missing.
package arf

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"posta/internal/message"
)

// ErrNotReport says that a part is no feedback report.
var ErrNotReport = errors.New("arf: not a feedback report")

// Bounds of what is read, in octets.
const (
	MaxReport = 64 << 10 // of the machine-readable part
	MaxHeader = 64 << 10 // of the complained message's header
	maxText   = 500
	maxList   = 20
)

// Types of feedback (RFC 5965 §3.1, RFC 6591, IANA's registry).
const (
	Abuse       = "abuse"
	Fraud       = "fraud"
	Virus       = "virus"
	NotSpam     = "not-spam"
	AuthFailure = "auth-failure"
	Other       = "other"
)

// Report is one feedback report. Everything but Type may be missing.
type Report struct {
	Type         string // lower case
	UserAgent    string
	MailFrom     string   // Original-Mail-From, without angle brackets
	RcptTo       []string // Original-Rcpt-To
	Arrival      time.Time
	Source       netip.Addr // Source-IP
	Domains      []string   // Reported-Domain, lower case
	Incidents    int64      // ≥ 1
	AuthFailure  string     // Auth-Failure of RFC 6591: dmarc, spf, signature…
	Original     Original
	ReportingMTA string
}

// Original is what is left of the message that is complained of.
type Original struct {
	From, MessageID, Subject string
	ListID                   string // between the angle brackets of List-Id (RFC 2919), lower case
}

// Read reads a report: machine is the message/feedback-report part, header what came of
// the original message (nil: nothing). Both are read up to their bounds.
func Read(machine, header []byte) (*Report, error) {
	r := &Report{Incidents: 1}
	h := message.Header(machine[:min(len(machine), MaxReport)])
	for f := range h.Fields() {
		value := clip(f.Value())
		switch strings.ToLower(f.Name()) {
		case "feedback-type":
			r.Type = strings.ToLower(value)
		case "user-agent":
			r.UserAgent = value
		case "original-mail-from":
			r.MailFrom = bare(value)
		case "original-rcpt-to":
			r.RcptTo = add(r.RcptTo, bare(value))
		case "arrival-date", "received-date":
			if t, err := message.ParseDate(value); err == nil {
				r.Arrival = t.UTC()
			}
		case "source-ip":
			if ip, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
				r.Source = ip.Unmap().WithZone("")
			}
		case "reported-domain":
			r.Domains = add(r.Domains, strings.ToLower(strings.Trim(value, ". ")))
		case "incidents":
			if n, err := strconv.ParseInt(value, 10, 32); err == nil && n > 0 {
				r.Incidents = n
			}
		case "auth-failure":
			r.AuthFailure = strings.ToLower(value)
		case "reporting-mta":
			r.ReportingMTA = value
		}
	}
	if r.Type == "" {
		return nil, ErrNotReport
	}
	r.Original = original(header)
	return r, nil
}

func original(b []byte) Original {
	h, _ := message.SplitHeader(b[:min(len(b), MaxHeader)])
	o := Original{From: clip(h.Get("From")), Subject: clip(h.Get("Subject")), MessageID: clip(message.MessageID(h.Get("Message-ID")))}
	list := h.Get("List-Id")
	if i := strings.LastIndexByte(list, '<'); i >= 0 {
		list = list[i+1:]
	}
	o.ListID = strings.ToLower(clip(strings.TrimRight(strings.TrimSpace(list), ">")))
	return o
}

func add(list []string, s string) []string {
	if s == "" || len(list) >= maxList {
		return list
	}
	return append(list, s)
}

// bare is an address without its brackets and parameters.
func bare(s string) string {
	s = strings.TrimSpace(s)
	if i, j := strings.IndexByte(s, '<'), strings.IndexByte(s, '>'); i >= 0 && j > i {
		s = s[i+1 : j]
	}
	return s
}

func clip(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
