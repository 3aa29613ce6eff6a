package store

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"posta/internal/mail"
)

// ReportKind is what a report tells of. The numbers are for ever.
type ReportKind uint8

// The kinds.
const (
	DMARCReport    ReportKind = 1 + iota // RFC 9990
	TLSReport                            // RFC 8460
	FeedbackReport                       // RFC 5965: a complaint
	FailureReport                        // RFC 9991: one message that failed
)

// ReportID names a report: whoever sends it again does not make it count twice.
type ReportID [16]byte

// NewReportID is made of what makes a report one: kind, domain, who sent it and the id
// that he gave it. by is the domain that is proved to have sent it, "" for none: nobody
// takes the place of another's report by foreseeing its id.
func NewReportID(kind ReportKind, domain, org, id, by string) ReportID {
	h := sha256.Sum256([]byte(strings.Join([]string{string(rune(kind)), strings.ToLower(domain), strings.ToLower(org), id, by}, "\x00")))
	return ReportID(h[:16])
}

// Bounds of a report, in octets and rows.
const (
	MaxReportData = 4 << 20
	MaxReportRows = 200_000
)

// Report is one report that arrived. Times are UTC.
type Report struct {
	ID         ReportID
	Kind       ReportKind
	Domain     string // of ours, lower case; what it is about
	Org        string // who reports, as he calls himself
	Name       string // his report id
	Begin, End time.Time
	Received   time.Time
	Message    mail.ID // in which it came
	Sender     string  // address of the message's author
	Proved     bool    // the author's domain passed DMARC
	Messages   int64   // that it tells of; sessions in a TLS report
	Failed     int64   // of them
	Policy     string  // that it found, in the form of a record: "p=none; sp=…"
	Account    string  // a complaint's: login of the account that sent the message, "" unknown
	List       string  // a complaint's: List-Id of the message
	Data       []byte  // the whole report, as its owner encodes it
}

// ReportRow is how many messages of one source on one day were alike. What is added
// about one report has each key (Day, Source, and the results) once.
type ReportRow struct {
	Day         int32      // days since 1970, UTC, of the report's begin
	Source      netip.Addr // invalid: it could not be read
	Count       int64      // 1 to 1<<40; of more, so much counts, and a row of none is left out
	DKIM, SPF   bool       // aligned pass
	Forwarded   bool       // the reporter overrode for a forwarder or a list
	Disposition Disposition
}

// Disposition is what a receiver did.
type Disposition uint8

// The dispositions.
const (
	DisposedNone Disposition = iota // also RFC 9990's "pass"
	DisposedQuarantine
	DisposedReject
)

// ReportFilter selects reports. Zero fields select everything.
type ReportFilter struct {
	Kind   ReportKind
	Domain string
	ID     ReportID
	Since  time.Time // End at or after
	Limit  int       // 0 means 1,000
}

// ReportSum is how many messages of a domain were alike over some days.
type ReportSum struct {
	Day         int32 // 0 in sums by source
	Org         string
	Source      netip.Addr
	DKIM, SPF   bool
	Forwarded   bool
	Disposition Disposition
	Count       int64
	First, Last int32 // days
}

// ReportDecision is what a person said of a source. They are never changed; the last of a
// subject holds.
type ReportDecision struct {
	At      time.Time `json:"at"`
	Domain  string    `json:"domain"`
	Subject string    `json:"subject"` // an address, a network, or a reverse DNS name and all below it
	Class   string    `json:"class"`
	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
}

// ReportAlert is an incident: something that changed for the worse and, in time, ended.
type ReportAlert struct {
	ID       string    `json:"id"` // stable: kind/domain/subject
	Domain   string    `json:"domain"`
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Page     bool      `json:"page"` // a person is to know at once
	Seen     string    `json:"seen"` // arguments of the text of its kind, between bars: "300|360"
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`              // when it was seen last
	Resolved time.Time `json:"resolved,omitzero"` // zero: it goes on
}

// Reports are what others report of our mail.
type Reports interface {
	// AddReport keeps a report and its rows, in steps; a call that was cut short is
	// repeated. One that is there already is ErrExists.
	AddReport(ctx context.Context, r *Report, rows []ReportRow) error
	// ListReports gives reports, the newest End first; Data only with ID set.
	ListReports(ctx context.Context, f ReportFilter) ([]Report, error)
	// SumReportSources sums the messages of a domain by source and results, from a day on.
	// proved leaves out reports whose author was not proved.
	SumReportSources(ctx context.Context, domain string, from int32, proved bool) ([]ReportSum, error)
	// SumReportDays sums the messages of a domain by day, reporter and results, from a day on.
	SumReportDays(ctx context.Context, domain string, from int32, proved bool) ([]ReportSum, error)
	// DecideReport writes a decision down, with its audit record.
	DecideReport(ctx context.Context, d ReportDecision, a Audit) error
	// ReportDecisions lists those of a domain, oldest first.
	ReportDecisions(ctx context.Context, domain string) ([]ReportDecision, error)
	// PutReportAlerts writes incidents, each over the one with its ID. At most 500.
	PutReportAlerts(ctx context.Context, alerts []ReportAlert) error
	// ReportAlerts lists the incidents that go on, and those that were resolved since.
	ReportAlerts(ctx context.Context, domain string, since time.Time) ([]ReportAlert, error)
	// DropReports deletes reports that ended before, and incidents resolved before, in steps.
	DropReports(ctx context.Context, before time.Time) error
}
