package dsn

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"posta/internal/message"
)

// ErrNotReport is returned for a message that is no delivery status notification.
var ErrNotReport = errors.New("dsn: not a delivery status notification")

const (
	maxReport     = 256 << 10 // octets of the machine part
	maxRecipients = 1000
)

// Parsed is a notification that was received.
type Parsed struct {
	Report
	// Original is the part with the original message (its Message is set) or
	// with its header only; nil if it was not returned.
	Original *message.Part
}

// OriginalHeader reads the header of the original message from r, the message
// that the notification is; nil if it was not returned. At most 256 KiB.
func (p *Parsed) OriginalHeader(r io.ReaderAt) (message.Header, error) {
	if p.Original == nil {
		return nil, nil
	}
	if m := p.Original.Message; m != nil {
		b, err := read(io.NewSectionReader(r, m.Start, m.Body-m.Start))
		return b, err
	}
	body, err := message.Open(r, p.Original)
	if err != nil {
		return nil, err
	}
	b, err := read(body)
	return b, err
}

func read(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxReport)) }

// Parse reads a notification from the message r whose tree is root. It is
// tolerant: fields that cannot be read are left empty; a report that is longer
// than the limits is cut. ErrNotReport when the message has no machine part
// with a recipient; other errors are r's.
func Parse(r io.ReaderAt, root *message.Part) (*Parsed, error) {
	if !root.Is("multipart/report") {
		return nil, ErrNotReport
	}
	var machine *message.Part
	p := new(Parsed)
	for _, c := range root.Children {
		switch {
		case machine == nil && (c.Is("message/delivery-status") || c.Is("message/global-delivery-status")):
			machine = c
		case machine != nil && p.Original == nil && (c.Message != nil || c.Is("text/rfc822-headers") || c.Is("message/global-headers")):
			p.Original = c
		}
	}
	if machine == nil {
		return nil, ErrNotReport
	}
	body, err := message.Open(r, machine)
	if err != nil {
		return nil, ErrNotReport
	}
	b, err := read(body)
	if err != nil {
		return nil, err
	}
	p.parse(b)
	if len(p.Recipients) == 0 {
		return nil, ErrNotReport
	}
	return p, nil
}

// parse reads the groups of fields: one of the message, then one per recipient.
func (p *Parsed) parse(b []byte) {
	for first := true; len(p.Recipients) < maxRecipients; {
		b = skipBlank(b)
		if len(b) == 0 {
			return
		}
		group, rest := message.SplitHeader(b)
		if len(group) == 0 { // a line that is no field
			_, rest, _ = bytes.Cut(b, []byte{'\n'})
			b = rest
			continue
		}
		b = rest
		// Some systems leave the message's fields out, or put them first
		// together with those of a sole recipient.
		if first {
			p.message(group)
		}
		first = false
		if r, ok := recipient(group); ok {
			p.Recipients = append(p.Recipients, r)
		}
	}
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

func (p *Parsed) message(h message.Header) {
	p.EnvelopeID = clean(h.Get("Original-Envelope-Id"), true)
	_, p.ReportingMTA = typedValue(h.Get("Reporting-MTA"))
	_, p.ReceivedFrom = typedValue(h.Get("Received-From-MTA"))
	p.Arrival = dateValue(h.Get("Arrival-Date"))
}

func recipient(h message.Header) (Recipient, bool) {
	r := Recipient{
		Original:    addressValue(h.Get("Original-Recipient")),
		Final:       addressValue(h.Get("Final-Recipient")),
		Action:      Action(strings.ToLower(firstWord(h.Get("Action")))),
		Status:      firstWord(h.Get("Status")),
		LastAttempt: dateValue(h.Get("Last-Attempt-Date")),
		RetryUntil:  dateValue(h.Get("Will-Retry-Until")),
		LogID:       clean(h.Get("Final-Log-ID"), true),
	}
	_, r.RemoteMTA = typedValue(h.Get("Remote-MTA"))
	r.DiagnosticType, r.Diagnostic = typedValue(h.Get("Diagnostic-Code"))
	if !validStatus(r.Status) {
		r.Status = ""
	}
	return r, !r.Final.IsZero() || !r.Original.IsZero()
}

// validStatus: RFC 3463 §2, class.subject.detail.
func validStatus(s string) bool {
	class, rest, ok := strings.Cut(s, ".")
	subject, detail, ok2 := strings.Cut(rest, ".")
	return ok && ok2 && (class == "2" || class == "4" || class == "5") && digits(subject) && digits(detail)
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 3
}

// firstWord drops the comment that some systems add.
func firstWord(s string) string {
	s, _, _ = strings.Cut(clean(s, true), "(")
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return word
}

// typedValue splits "dns; host".
func typedValue(s string) (kind, value string) {
	kind, value, ok := strings.Cut(clean(s, true), ";")
	if !ok {
		return "", strings.TrimSpace(kind)
	}
	return strings.ToLower(strings.TrimSpace(kind)), strings.TrimSpace(value)
}

func addressValue(s string) Address {
	kind, value := typedValue(s)
	if value == "" {
		return Address{}
	}
	switch kind {
	case "":
		kind = "rfc822"
	case "utf-8":
		if v, err := DecodeUTF8Address(value); err == nil && printable(v) {
			value = v
		}
	}
	// Brackets do not belong here but are seen.
	if strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">") {
		value = value[1 : len(value)-1]
	}
	return Address{kind, value}
}

func dateValue(s string) time.Time {
	t, err := message.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}
