package zone

import (
	"fmt"
	"strings"

	"posta/internal/dkim"
)

// Line writes a record as a zone file does, long TXT split into strings of 255
// octets (RFC 1035 §3.3.14).
func (r Record) Line() string {
	return fmt.Sprintf("%s. %d IN %s %s", r.Name, TTL, r.Type, r.Data())
}

// Data is the value as a zone file writes it: texts in quotes, names with their final
// dot.
func (r Record) Data() string {
	switch r.Type {
	case "TXT":
		return quoteTXT(r.Value)
	case "MX", "SRV", "PTR", "CNAME", "NS":
		if !strings.HasSuffix(r.Value, ".") {
			return r.Value + "."
		}
	}
	return r.Value
}

// quoteTXT writes a text as the strings of a zone file. What is not printable ASCII
// becomes \DDD (RFC 1035 §5.1).
func quoteTXT(s string) string {
	var parts []string
	for _, p := range dkim.SplitTXT(s) {
		var b strings.Builder
		b.WriteByte('"')
		for i := range len(p) {
			switch c := p[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		parts = append(parts, b.String())
	}
	return strings.Join(parts, " ")
}

// Form is a record as the form of a DNS provider asks for it: the parts in fields of
// their own.
type Form struct {
	Type string `json:"type"`
	Name string `json:"name"` // relative to the zone: "@" is the zone itself; with a final dot it lies outside
	// Priority, Weight and Port are those of MX and SRV, "" where the type has none.
	Priority string `json:"priority,omitempty"`
	Weight   string `json:"weight,omitempty"`
	Port     string `json:"port,omitempty"`
	Flags    string `json:"flags,omitempty"` // of CAA
	Tag      string `json:"tag,omitempty"`   // of CAA
	Value    string `json:"value"`           // without quotes
	// Pieces is a long text in the quoted strings that some forms want it in; "" where
	// one string holds it.
	Pieces string `json:"pieces,omitempty"`
}

// Form gives the record's fields for a form of the zone.
func (r Record) Form(zone string) Form {
	f := Form{Type: r.Type, Name: Relative(r.Name, zone), Value: r.Value}
	words := strings.Fields(r.Value)
	switch {
	case r.Type == "MX" && len(words) == 2:
		f.Priority, f.Value = words[0], words[1]
	case r.Type == "SRV" && len(words) == 4:
		f.Priority, f.Weight, f.Port, f.Value = words[0], words[1], words[2], words[3]
	case r.Type == "CAA" && len(words) == 3:
		f.Flags, f.Tag, f.Value = words[0], words[1], strings.Trim(words[2], `"`)
	case r.Type == "TXT":
		if p := quoteTXT(r.Value); strings.Contains(p, `" "`) && len(r.Value) > 255 {
			f.Pieces = p
		}
	}
	return f
}

// Relative is a name as it is written inside a zone: "@" for the zone itself, and with
// a final dot where it lies outside.
func Relative(name, zone string) string {
	switch {
	case strings.EqualFold(name, zone):
		return "@"
	case Within(name, zone):
		return name[:len(name)-len(zone)-1]
	}
	return name + "."
}

// Within tells whether a name is a zone or lies below it. Both are without the final
// dot, in any case.
func Within(name, zone string) bool {
	if len(name) < len(zone) || !strings.EqualFold(name[len(name)-len(zone):], zone) {
		return false
	}
	return len(name) == len(zone) || name[len(name)-len(zone)-1] == '.'
}
