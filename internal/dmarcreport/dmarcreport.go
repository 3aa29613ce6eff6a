// Package dmarcreport reads and writes DMARC aggregate reports (RFC 9990, and the older
// form of RFC 7489 Appendix C): XML bytes to values and back.
//
// Reading is tolerant of what reporters really send: any namespace or none, elements in
// another case or order, missing ones, dates as text or in milliseconds, a byte order
// mark, UTF-16, octets that are no UTF-8 (read as windows-1252), control characters.
// It is strict about cost ([Limits]): octets, octets between two tags, depth, tags, and
// records; no entity is ever expanded beyond XML's own five and character references.
// What was wrong and read all the same is told in [Report.Notes].
//
// Writing gives the form of RFC 9990. Compressing it, and the message around it, are the
// caller's; [Filename] and [Subject] are what the RFC wants of those (RFC 9990 §3.5).
package dmarcreport

import (
	"net/netip"
	"time"
)

// Namespace is the one of RFC 9990.
const Namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// Words of results and dispositions. Others are kept as they came, in lower case.
const (
	Pass       = "pass"
	Fail       = "fail"
	None       = "none"
	Quarantine = "quarantine"
	Reject     = "reject"
)

// Report is one aggregate report.
type Report struct {
	Version   string // "1.0", "" where it was not said
	Namespace string // as it came; it is not read for anything
	Metadata  Metadata
	Published Published
	Records   []Record
	// Notes say what was wrong with a report that was read all the same; at most 20.
	Notes []string
}

// Metadata is who reports, and of when.
type Metadata struct {
	Org          string // a name or a domain, as the reporter likes
	Email        string
	ExtraContact string
	ReportID     string
	Begin, End   time.Time // UTC, to the second; zero if unreadable
	Errors       []string
	Generator    string // RFC 9990
}

// Published is the policy that the reporter found. Words are in lower case, "" where
// nothing was said.
type Published struct {
	Domain    string // where the record was found; lower case without a last dot
	Policy    string // p
	Sub       string // sp
	Absent    string // np (RFC 9990)
	ADKIM     string // "r" or "s"
	ASPF      string
	Testing   string // "y" or "n" (RFC 9990)
	FO        string
	Discovery string // "psl" or "treewalk" (RFC 9990)
	Percent   string // pct, only of older reporters; never written
}

// Record is a number of messages that were alike.
type Record struct {
	Source      netip.Addr // invalid if it could not be read
	Count       int64      // of messages, ≥ 0
	Disposition string     // none, pass (RFC 9990), quarantine, reject
	DKIM, SPF   string     // aligned: pass or fail
	Reasons     []Reason   // why the disposition is not what the policy asks
	HeaderFrom  string     // domains in lower case without a last dot
	EnvFrom     string     // RFC 5321 MAIL FROM's, or HELO's
	EnvTo       string
	DKIMAuth    []DKIMResult
	SPFAuth     []SPFResult
}

// Aligned reports whether the messages passed DMARC: one identifier is enough.
func (r *Record) Aligned() bool { return r.DKIM == Pass || r.SPF == Pass }

// Reason is an override: forwarded, trusted_forwarder, mailing_list, local_policy,
// policy_test_mode, sampled_out, other.
type Reason struct {
	Type    string
	Comment string
}

// DKIMResult is what one signature gave, aligned or not.
type DKIMResult struct {
	Domain   string
	Selector string
	Result   string
	Human    string
}

// SPFResult is what SPF gave, aligned or not.
type SPFResult struct {
	Domain string
	Scope  string // mfrom or helo
	Result string
	Human  string
}
