package dmarc

import (
	"errors"
	"strings"
)

const (
	maxRecord = 8 << 10
	maxTags   = 64
	maxURIs   = 16
)

// ErrNoRecord means that a TXT record is not a DMARC policy record and is to be
// ignored: it does not start with v=DMARC1.
var ErrNoRecord = errors.New("dmarc: not a DMARC policy record")

// Policy is what a domain owner asks for mail that fails. Larger is stricter.
type Policy uint8

const (
	Unset      Policy = iota // the tag is absent
	None                     // no preference
	Quarantine               // treat it as suspicious
	Reject                   // refuse it
)

var policyWords = [...]string{"", "none", "quarantine", "reject"}

// String returns the word of the record, empty for Unset.
func (p Policy) String() string { return policyWords[min(int(p), len(policyWords)-1)] }

// Mode says how exactly a domain must match the author domain.
type Mode uint8

const (
	Relaxed Mode = iota // the same Organizational Domain
	Strict              // the same domain
)

// String returns "r" or "s", as in the record.
func (m Mode) String() string {
	if m == Strict {
		return "s"
	}
	return "r"
}

// PSD is the psd= tag: whether the domain is a Public Suffix Domain.
type PSD uint8

const (
	PSDUnknown PSD = iota // psd=u, or absent: the tree walk decides
	PSDYes                // a public suffix; organizations are one label below
	PSDNo                 // an Organizational Domain, whatever is above
)

// Record is a parsed DMARC policy record. Absent tags have their defaults.
type Record struct {
	P, SP, NP   Policy
	ADKIM, ASPF Mode
	PSD         PSD
	Testing     bool     // t=y
	RUA, RUF    []string // URIs, syntactically valid; any scheme
	FO          string   // fo=; "0" by default

	// Invalid: p=, sp= or np= is not a policy and there is no rua=, so that no
	// DMARC processing applies (RFC 9989 §4.10.1).
	Invalid bool
	// Problems name each tag that was ignored or defaulted, with the cause after a
	// colon, as in "pct: removed"; the causes are removed, unknown, invalid,
	// repeated, syntax, size. nil for a clean record.
	Problems []string
}

// Parse parses the text of a TXT record, its character-strings joined. The only
// error is ErrNoRecord: what is wrong after v=DMARC1 is ignored, as RFC 9989
// §4.7 demands, and told in Problems.
func Parse(text string) (*Record, error) {
	rest, ok := cutVersion(text)
	if !ok || len(text) > maxRecord {
		return nil, ErrNoRecord
	}
	r := &Record{FO: "0"}
	var p parser
	p.record = r
	for range maxTags {
		var spec string
		var more bool
		spec, rest, more = strings.Cut(rest, ";")
		p.tag(spec)
		if !more {
			break
		}
	}
	p.finish()
	return r, nil
}

// cutVersion takes "v=DMARC1" and the semicolon from the start of a record. The
// value is case sensitive (§4.8).
func cutVersion(text string) (rest string, ok bool) {
	version, rest, _ := strings.Cut(text, ";")
	name, value, ok := strings.Cut(version, "=")
	if !ok || trimWSP(value) != "DMARC1" {
		return "", false
	}
	name = strings.TrimRight(name, " \t")
	return rest, name == "v" || name == "V"
}

func trimWSP(s string) string { return strings.Trim(s, " \t") }

// parser fills a Record tag by tag.
type parser struct {
	record *Record
	seen   uint16
	bad    bool // a policy tag that is no policy
}

func (p *parser) tag(spec string) {
	spec = trimWSP(spec)
	if spec == "" {
		return
	}
	name, value, ok := strings.Cut(spec, "=")
	name, value = strings.ToLower(trimWSP(name)), trimWSP(value)
	if !ok || !isAlpha(name) || !isPrintable(value) {
		p.problem("tag", "syntax")
		return
	}
	switch name {
	case "pct", "rf", "ri":
		p.problem(name, "removed")
		return
	}
	bit := tagBit(name)
	switch {
	case bit == 0:
		p.problem(name[:min(len(name), 32)], "unknown")
	case p.seen&bit != 0:
		p.problem(name, "repeated")
	case !p.set(name, value):
		p.problem(name, "invalid")
	}
	p.seen |= bit
}

func tagBit(name string) uint16 {
	switch name {
	case "p":
		return 1 << 0
	case "sp":
		return 1 << 1
	case "np":
		return 1 << 2
	case "adkim":
		return 1 << 3
	case "aspf":
		return 1 << 4
	case "psd":
		return 1 << 5
	case "t":
		return 1 << 6
	case "rua":
		return 1 << 7
	case "ruf":
		return 1 << 8
	case "fo":
		return 1 << 9
	}
	return 0
}

// set stores one value and reports whether it is valid. Words are not case
// sensitive (RFC 5234 §2.3).
func (p *parser) set(name, value string) bool {
	r := p.record
	switch name {
	case "p":
		return p.policy(&r.P, value)
	case "sp":
		return p.policy(&r.SP, value)
	case "np":
		return p.policy(&r.NP, value)
	case "adkim":
		return oneOf(&r.ADKIM, value, "r", Relaxed, "s", Strict)
	case "aspf":
		return oneOf(&r.ASPF, value, "r", Relaxed, "s", Strict)
	case "psd":
		return oneOf(&r.PSD, value, "y", PSDYes, "n", PSDNo) || strings.EqualFold(value, "u")
	case "t":
		return oneOf(&r.Testing, value, "y", true, "n", false)
	case "rua":
		r.RUA = p.uris("rua", value)
		return r.RUA != nil
	case "ruf":
		r.RUF = p.uris("ruf", value)
		return r.RUF != nil
	default: // fo
		if !validFO(value) {
			return false
		}
		r.FO = strings.ToLower(value)
		return true
	}
}

func (p *parser) policy(dst *Policy, value string) bool {
	switch {
	case strings.EqualFold(value, "none"):
		*dst = None
	case strings.EqualFold(value, "quarantine"):
		*dst = Quarantine
	case strings.EqualFold(value, "reject"):
		*dst = Reject
	default:
		p.bad = true
		return false
	}
	return true
}

func oneOf[T any](dst *T, value, a string, isA T, b string, isB T) bool {
	switch {
	case strings.EqualFold(value, a):
		*dst = isA
	case strings.EqualFold(value, b):
		*dst = isB
	default:
		return false
	}
	return true
}

// validFO accepts a colon-separated list of the options of RFC 9991. The grammar
// allows fewer combinations, but RFC 7489 allowed these and nothing is ambiguous.
func validFO(value string) bool {
	for opt := range strings.SplitSeq(value, ":") {
		switch trimWSP(opt) {
		case "0", "1", "d", "s", "D", "S":
		default:
			return false
		}
	}
	return true
}

// uris returns the valid URIs of a list. The size limits of RFC 7489 ("!10m") are
// cut off and reported; they no longer exist.
func (p *parser) uris(name, list string) []string {
	var out []string
	bad := false
	for item := range strings.SplitSeq(list, ",") {
		uri, _, size := strings.Cut(trimWSP(item), "!")
		if !validURI(uri) || len(out) == maxURIs {
			bad = true
			continue
		}
		if size {
			p.problem(name, "size")
		}
		out = append(out, uri)
	}
	if bad && out != nil {
		p.problem(name, "invalid")
	}
	return out
}

// validURI checks the scheme of RFC 3986 §3.1 and, for mailto, that there is an
// address.
func validURI(uri string) bool {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || rest == "" || scheme == "" {
		return false
	}
	for i, c := range []byte(scheme) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	if strings.ContainsAny(rest, " \t\"<>\\^`{|}") {
		return false
	}
	if strings.EqualFold(scheme, "mailto") {
		at := strings.LastIndexByte(rest, '@')
		return at > 0 && at < len(rest)-1
	}
	return true
}

// finish applies the rules about the record as a whole (RFC 9989 §4.7, §4.10.1).
func (p *parser) finish() {
	r := p.record
	if p.bad {
		// As if only p=none had been published.
		r.P, r.SP, r.NP = None, Unset, Unset
		r.Invalid = len(r.RUA) == 0
	}
	if r.P == Unset {
		r.P = None
	}
}

func (p *parser) problem(tag, cause string) {
	if len(p.record.Problems) < maxTags {
		p.record.Problems = append(p.record.Problems, tag+": "+cause)
	}
}

// String returns the record as text to publish, with default values left out.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString("v=DMARC1; p=" + max(r.P, None).String())
	add := func(name, value string) {
		if value != "" {
			b.WriteString("; " + name + "=" + value)
		}
	}
	add("sp", r.SP.String())
	add("np", r.NP.String())
	if r.ADKIM == Strict {
		add("adkim", "s")
	}
	if r.ASPF == Strict {
		add("aspf", "s")
	}
	add("psd", [...]string{PSDUnknown: "", PSDYes: "y", PSDNo: "n"}[r.PSD])
	if r.Testing {
		add("t", "y")
	}
	add("rua", strings.Join(r.RUA, ","))
	add("ruf", strings.Join(r.RUF, ","))
	if r.FO != "0" {
		add("fo", r.FO)
	}
	return b.String()
}

func isAlpha(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] > '~' {
			return false
		}
	}
	return true
}
