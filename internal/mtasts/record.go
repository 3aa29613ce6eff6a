package mtasts

import (
	"errors"
	"fmt"
	"strings"
)

// Name is where the record of a domain stands.
func Name(domain string) string { return "_mta-sts." + domain }

// Errors of ParseRecord. A domain of which either is true publishes no policy.
var (
	ErrNoRecord    = errors.New("mtasts: there is no MTA-STS record")
	ErrManyRecords = errors.New("mtasts: there is more than one MTA-STS record")
)

// maxRecord is the size of a record in octets.
const maxRecord = 512

// Record is the TXT record.
type Record struct {
	ID string // 1 to 32 letters and digits; changes with the policy
}

// Text is the record as it is published.
func (r Record) Text() string { return "v=STSv1; id=" + r.ID + ";" }

// ParseRecord finds the one record among the TXT records of a name (RFC 8461 §3.1).
// Those that do not begin with the version are somebody else's.
func ParseRecord(texts []string) (Record, error) {
	own := ""
	for _, t := range texts {
		version, _, more := strings.Cut(t, ";")
		if !more || strings.TrimRight(version, " \t") != "v=STSv1" {
			continue
		}
		if own != "" {
			return Record{}, ErrManyRecords
		}
		own = t
	}
	if own == "" {
		return Record{}, ErrNoRecord
	}
	return parseFields(own)
}

// parseFields reads "v=STSv1; id=…" with extensions, of which nothing is known.
func parseFields(text string) (Record, error) {
	var r Record
	if len(text) > maxRecord {
		return r, fmt.Errorf("mtasts: a record of %d octets; %d are read", len(text), maxRecord)
	}
	_, rest, _ := strings.Cut(text, ";")
	for field := range strings.SplitSeq(rest, ";") {
		if field = strings.Trim(field, " \t"); field == "" {
			continue
		}
		key, value, ok := strings.Cut(field, "=")
		if key != "id" {
			continue
		}
		if !ok || !isID(value) {
			return r, fmt.Errorf("mtasts: the id is not 1 to 32 letters and digits: %q", value)
		}
		if r.ID == "" { // of repeated fields the first counts, as in §3.2
			r.ID = value
		}
	}
	if r.ID == "" {
		return r, errors.New("mtasts: the record has no id")
	}
	return r, nil
}

func isID(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}
