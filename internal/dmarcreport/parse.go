package dmarcreport

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Errors of Parse. A read error of the bytes themselves is returned as it is.
var (
	ErrNotReport = errors.New("dmarcreport: not an aggregate report") // no <feedback> as the root
	ErrSyntax    = errors.New("dmarcreport: broken XML")
	ErrLimit     = errors.New("dmarcreport: over budget")
)

// Limits bound what a report may cost. Zero fields mean the default.
type Limits struct {
	Bytes   int64 // of XML; 100 MiB
	Piece   int   // octets from one tag to the next, and in a tag; 64 KiB
	Depth   int   // nested elements; 32
	Tags    int   // 4,000,000
	Records int   // 200,000
}

func (l Limits) withDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, 100<<20)
	l.Piece = cmp.Or(l.Piece, 64<<10)
	l.Depth = cmp.Or(l.Depth, 32)
	l.Tags = cmp.Or(l.Tags, 4_000_000)
	l.Records = cmp.Or(l.Records, 200_000)
	return l
}

const (
	maxText    = 500 // octets kept of any text
	maxNotes   = 20
	maxReasons = 10
	maxAuth    = 20 // results kept of one record
	maxErrors  = 10
)

// parser walks through the elements. Where it is, is the path of their names.
type parser struct {
	dec    *xml.Decoder
	src    *cleaner
	lim    Limits
	tags   int
	path   []string // lower-case local names
	text   strings.Builder
	rep    *Report
	rec    *Record
	policy bool // policy_published was there
}

// Parse reads a report. r is read to the end of the root element. Errors wrap
// ErrNotReport, ErrSyntax or ErrLimit, or are r's.
func Parse(r io.Reader, lim Limits) (*Report, error) {
	lim = lim.withDefaults()
	limited := &limitReader{r: r, left: lim.Bytes}
	p := &parser{lim: lim, rep: &Report{}, src: newCleaner(limited, lim.Piece)}
	p.dec = xml.NewDecoder(p.src)
	p.dec.Strict = false // an unknown entity stays as it stands; nothing is expanded
	// The cleaner has made UTF-8 of it, whatever the declaration says.
	p.dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	err := p.run()
	switch {
	case limited.err != nil:
		return nil, limited.err
	case errors.Is(err, errPiece):
		return nil, fmt.Errorf("%w: more than %d octets between two tags", ErrLimit, lim.Piece)
	case err != nil:
		return nil, err
	}
	p.finish()
	return p.rep, nil
}

// limitReader keeps the error of its source apart from those of the XML.
type limitReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitReader) Read(b []byte) (int, error) {
	if l.left <= 0 {
		l.err = fmt.Errorf("%w: too many octets", ErrLimit)
		return 0, l.err
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// run reads tokens up to the end of the root element.
func (p *parser) run() error {
	for {
		p.src.more()
		tok, err := p.dec.RawToken()
		if err != nil {
			return p.broken(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if err := p.start(t); err != nil {
				return err
			}
		case xml.EndElement:
			if done, err := p.end(t); done || err != nil {
				return err
			}
		case xml.CharData:
			if room := maxText - p.text.Len(); room > 0 {
				p.text.Write(t[:min(room, len(t))])
			}
		}
	}
}

func (p *parser) broken(err error) error {
	if errors.Is(err, errPiece) {
		return err
	}
	if len(p.path) == 0 && p.tags == 0 {
		return fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	// A report that was cut off after whole records still tells of those.
	if p.tags > 0 && len(p.rep.Records) > 0 && p.rec == nil {
		p.note("the XML ends early: %v", err)
		return nil
	}
	return fmt.Errorf("%w: %w", ErrSyntax, err)
}

func (p *parser) start(t xml.StartElement) error {
	if p.tags++; p.tags > p.lim.Tags {
		return fmt.Errorf("%w: more than %d tags", ErrLimit, p.lim.Tags)
	}
	if len(p.path) >= p.lim.Depth {
		return fmt.Errorf("%w: more than %d elements nested", ErrLimit, p.lim.Depth)
	}
	name := strings.ToLower(t.Name.Local)
	if len(p.path) == 0 {
		if name != "feedback" {
			return fmt.Errorf("%w: the root is <%.40s>", ErrNotReport, t.Name.Local)
		}
		p.namespace(t)
	}
	p.path = append(p.path, name)
	p.text.Reset()
	p.open()
	return nil
}

// namespace is what xmlns (or the xmlns: of the root's prefix) says.
func (p *parser) namespace(t xml.StartElement) {
	for _, a := range t.Attr {
		if a.Name.Local == "xmlns" && t.Name.Space == "" || a.Name.Space == "xmlns" && a.Name.Local == t.Name.Space {
			p.rep.Namespace = clip(a.Value)
		}
	}
}

// at is the name of the nth element from inside: 0 is the innermost.
func (p *parser) at(n int) string {
	if i := len(p.path) - 1 - n; i >= 0 {
		return p.path[i]
	}
	return ""
}

// open begins what an element holds.
func (p *parser) open() {
	switch {
	case p.at(0) == "record" && len(p.path) == 2:
		p.rec = &Record{}
	case p.at(0) == "policy_published":
		p.policy = true
	case p.rec == nil:
	case p.at(0) == "reason" && len(p.rec.Reasons) < maxReasons:
		p.rec.Reasons = append(p.rec.Reasons, Reason{})
	case p.at(0) == "dkim" && p.at(1) == "auth_results" && len(p.rec.DKIMAuth) < maxAuth:
		p.rec.DKIMAuth = append(p.rec.DKIMAuth, DKIMResult{})
	case p.at(0) == "spf" && p.at(1) == "auth_results" && len(p.rec.SPFAuth) < maxAuth:
		p.rec.SPFAuth = append(p.rec.SPFAuth, SPFResult{})
	}
}

// end closes an element; done tells that it was the root.
func (p *parser) end(t xml.EndElement) (done bool, err error) {
	if len(p.path) == 0 || p.at(0) != strings.ToLower(t.Name.Local) {
		return false, fmt.Errorf("%w: </%.40s> where <%.40s> is open", ErrSyntax, t.Name.Local, p.at(0))
	}
	text := clip(p.text.String())
	p.text.Reset()
	switch {
	case p.at(0) == "record" && len(p.path) == 2:
		if len(p.rep.Records) >= p.lim.Records {
			return false, fmt.Errorf("%w: more than %d records", ErrLimit, p.lim.Records)
		}
		p.rep.Records = append(p.rep.Records, *p.rec)
		p.rec = nil
	case p.rec != nil:
		p.record(text)
	default:
		p.head(text)
	}
	p.path = p.path[:len(p.path)-1]
	return len(p.path) == 0, nil
}

// head takes the text of an element outside of records.
func (p *parser) head(text string) {
	m, pub := &p.rep.Metadata, &p.rep.Published
	word := strings.ToLower(text)
	switch p.at(1) + "/" + p.at(0) {
	case "feedback/version":
		p.rep.Version = text
	case "report_metadata/org_name":
		m.Org = text
	case "report_metadata/email":
		m.Email = text
	case "report_metadata/extra_contact_info":
		m.ExtraContact = text
	case "report_metadata/report_id":
		m.ReportID = text
	case "report_metadata/generator":
		m.Generator = text
	case "report_metadata/error":
		if text != "" && len(m.Errors) < maxErrors {
			m.Errors = append(m.Errors, text)
		}
	case "date_range/begin":
		m.Begin = p.date("begin", text)
	case "date_range/end":
		m.End = p.date("end", text)
	case "policy_published/domain":
		pub.Domain = domain(text)
	case "policy_published/p":
		pub.Policy = word
	case "policy_published/sp":
		pub.Sub = word
	case "policy_published/np":
		pub.Absent = word
	case "policy_published/adkim":
		pub.ADKIM = word
	case "policy_published/aspf":
		pub.ASPF = word
	case "policy_published/testing":
		pub.Testing = word
	case "policy_published/fo":
		pub.FO = word
	case "policy_published/discovery_method":
		pub.Discovery = word
	case "policy_published/pct":
		pub.Percent = word
	}
}

// record takes the text of an element inside a record.
func (p *parser) record(text string) {
	r := p.rec
	word := strings.ToLower(text)
	switch p.at(1) + "/" + p.at(0) {
	case "row/source_ip":
		ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			p.note("source_ip %q is no address", text)
		}
		r.Source = ip.Unmap().WithZone("")
	case "row/count":
		r.Count = p.count(text)
	case "policy_evaluated/disposition":
		r.Disposition = word
	case "policy_evaluated/dkim":
		r.DKIM = word
	case "policy_evaluated/spf":
		r.SPF = word
	case "identifiers/header_from":
		r.HeaderFrom = domain(text)
	case "identifiers/envelope_from":
		r.EnvFrom = domain(text)
	case "identifiers/envelope_to":
		r.EnvTo = domain(text)
	default:
		p.results(text, word)
	}
}

// results takes the text of an element of a reason or of auth_results.
func (p *parser) results(text, word string) {
	r := p.rec
	reason, dkim, spf := last(r.Reasons), last(r.DKIMAuth), last(r.SPFAuth)
	inAuth := p.at(2) == "auth_results"
	switch key := p.at(1) + "/" + p.at(0); {
	case key == "reason/type" && reason != nil:
		reason.Type = word
	case key == "reason/comment" && reason != nil:
		reason.Comment = text
	case !inAuth:
	case key == "dkim/domain" && dkim != nil:
		dkim.Domain = domain(text)
	case key == "dkim/selector" && dkim != nil:
		dkim.Selector = word
	case key == "dkim/result" && dkim != nil:
		dkim.Result = word
	case key == "dkim/human_result" && dkim != nil:
		dkim.Human = text
	case key == "spf/domain" && spf != nil:
		spf.Domain = domain(text)
	case key == "spf/scope" && spf != nil:
		spf.Scope = word
	case key == "spf/result" && spf != nil:
		spf.Result = word
	case key == "spf/human_result" && spf != nil:
		spf.Human = text
	}
}

func last[T any](s []T) *T {
	if len(s) == 0 {
		return nil
	}
	return &s[len(s)-1]
}

// maxCount is more than anybody receives of one kind in a day.
const maxCount = 1 << 40

func (p *parser) count(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if f, ferr := strconv.ParseFloat(text, 64); err != nil && ferr == nil && f >= 0 && f <= maxCount {
		n, err = int64(f), nil // "12.0"
	}
	if err != nil || n < 0 || n > maxCount {
		p.note("count %q is no number of messages", text)
		return 0
	}
	return n
}

// dateForms are those that reporters write instead of seconds.
func dateForms() []string {
	return []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST", "2006-01-02", time.RFC1123Z, time.RFC1123}
}

// date reads seconds since 1970; milliseconds, fractions and dates as text are known
// from life.
func (p *parser) date(what, text string) time.Time {
	if f, err := strconv.ParseFloat(text, 64); err == nil && f > 0 {
		if f > 1e11 { // the year 5138 in seconds, 1973 in milliseconds
			p.note("%s %q is in milliseconds", what, text)
			f /= 1000
		}
		if f < 1e11 {
			return time.Unix(int64(f), 0).UTC()
		}
	}
	for _, form := range dateForms() {
		if t, err := time.Parse(form, text); err == nil && t.Year() > 1970 && t.Year() < 5000 {
			p.note("%s %q is a date as text", what, text)
			return t.UTC().Truncate(time.Second)
		}
	}
	p.note("%s %q is no time", what, text)
	return time.Time{}
}

// finish says what the report lacks.
func (p *parser) finish() {
	r := p.rep
	if p.src.odd {
		p.note("octets that are no UTF-8, or control characters, were replaced")
	}
	if !p.policy || r.Published.Domain == "" {
		p.note("no published policy")
	}
	if r.Metadata.ReportID == "" {
		p.note("no report_id")
	}
	if len(r.Records) == 0 {
		p.note("no records")
	}
	m := &r.Metadata
	if m.Begin.IsZero() {
		m.Begin = m.End
	}
	if m.End.IsZero() {
		m.End = m.Begin
	}
	if m.End.Before(m.Begin) {
		p.note("the range ends before it begins")
		m.Begin, m.End = m.End, m.Begin
	}
}

func (p *parser) note(format string, args ...any) {
	if len(p.rep.Notes) < maxNotes {
		p.rep.Notes = append(p.rep.Notes, fmt.Sprintf(format, args...))
	}
}

// clip trims text and bounds it.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// domain is a domain as we keep it. Some write an address for one.
func domain(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	return strings.ToLower(strings.Trim(s, "<>. "))
}
