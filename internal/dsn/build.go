package dsn

import (
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/message"
)

// Language of a notice's subject and of the text that comes first.
type Language uint8

const (
	English Language = iota
	Spanish
)

// Notice is a delivery status notification to be written.
//
// It must be sent with the null reverse-path to the original reverse-path, and
// never when that is null itself (RFC 3464 §2, RFC 5321 §6.1).
type Notice struct {
	Report
	From      addr.Address // whom it comes from, e.g. MAILER-DAEMON at the reporting host
	To        addr.Path    // the original reverse-path, not null
	Date      time.Time
	MessageID string // with angle brackets
	Boundary  string // from message.Boundary
	Language  Language

	// Original is the message or its header only, as Ret tells (zero:
	// headers). It is not altered; a header may lack its empty line.
	Original []byte
	Ret      Ret
	// UTF8 makes it an internationalised notification (RFC 6533). It is for
	// reverse-paths whose host takes SMTPUTF8; Bytes sets it when To needs it.
	UTF8 bool
}

// maxDiagnostic bounds what a remote host can make us repeat, in octets.
const maxDiagnostic = 1000

// Bytes writes the notice, with CRLF. It is 7-bit unless UTF8 is in force or
// Original is not.
func (n Notice) Bytes() []byte {
	n.UTF8 = n.UTF8 || n.To.NeedsUTF8()
	texts := [...]*phrases{&english, &spanish}
	if n.Language == Spanish {
		texts[0], texts[1] = texts[1], texts[0]
	}

	var b message.Builder
	b.Mailbox("From", texts[0].sender, n.From)
	b.Structured("To", "<"+n.To.String()+">")
	b.Field("Subject", texts[0].subject[n.worst()])
	b.Date(n.Date)
	if n.MessageID != "" {
		b.Structured("Message-ID", n.MessageID)
	}
	if id := message.MessageID(message.Header(n.Original).Get("Message-ID")); id != "" && len(id) < maxDiagnostic && clean(id, false) == id {
		b.Structured("In-Reply-To", id)
		b.Structured("References", id)
	}
	b.Structured("Auto-Submitted", "auto-replied") // RFC 3834 §5
	b.Multipart("report", n.Boundary, message.Param{Name: "report-type", Value: "delivery-status"})

	b.Part()
	b.Structured("Content-Description", "Notification")
	b.Text("plain", n.human(texts[0])+"\n----\n\n"+n.human(texts[1]))

	b.Part()
	b.Structured("Content-Description", "Delivery report")
	if n.UTF8 {
		b.Raw("message/global-delivery-status; charset=utf-8", n.machine())
	} else {
		b.Raw("message/delivery-status", n.machine())
	}
	n.original(&b)
	b.EndMultipart()
	return b.Bytes()
}

// original writes the third part.
func (n Notice) original(b *message.Builder) {
	if len(n.Original) == 0 {
		return
	}
	kind := map[bool]string{false: "text/rfc822-headers", true: "message/global-headers; charset=utf-8"}[n.UTF8]
	description := "Undelivered message headers"
	if n.Ret == RetFull {
		kind = map[bool]string{false: "message/rfc822", true: "message/global"}[n.UTF8]
		description = "Undelivered message"
	}
	if a := n.worst(); a != Failed {
		description = strings.TrimPrefix(description, "Undelivered ")
	}
	b.Part()
	b.Structured("Content-Description", description)
	b.Raw(kind, n.Original)
}

// machine writes the fields of RFC 3464 §2.2 and §2.3.
func (n Notice) machine() []byte {
	var out []byte
	field := func(name, value string) {
		if value != "" {
			out = message.AppendField(out, name, clean(value, n.UTF8))
		}
	}
	date := func(name string, t time.Time) {
		if !t.IsZero() {
			field(name, message.FormatDate(t))
		}
	}
	typed := func(name, kind, value string) {
		if value != "" {
			field(name, kind+"; "+value)
		}
	}
	field("Original-Envelope-Id", n.EnvelopeID)
	typed("Reporting-MTA", "dns", n.ReportingMTA)
	typed("Received-From-MTA", "dns", n.ReceivedFrom)
	date("Arrival-Date", n.Arrival)
	for _, r := range n.Recipients {
		out = append(out, "\r\n"...)
		typed("Original-Recipient", r.Original.Type, n.address(r.Original))
		typed("Final-Recipient", r.Final.Type, n.address(r.Final))
		field("Action", string(r.Action))
		field("Status", r.Status)
		typed("Remote-MTA", "dns", r.RemoteMTA)
		kind := r.DiagnosticType
		if kind == "" {
			kind = "smtp"
		}
		typed("Diagnostic-Code", kind, clip(r.Diagnostic))
		date("Last-Attempt-Date", r.LastAttempt)
		field("Final-Log-ID", r.LogID)
		date("Will-Retry-Until", r.RetryUntil)
	}
	return out
}

// address writes an address's value in the form that the notice can carry.
func (n Notice) address(a Address) string {
	if a.Type == "utf-8" && !n.UTF8 {
		return EncodeUTF8Address(a.Value)
	}
	return a.Value
}

func clip(s string) string {
	if len(s) <= maxDiagnostic {
		return s
	}
	return s[:maxDiagnostic] + "..."
}

// clean makes control characters spaces and, unless UTF-8 is allowed, other
// characters question marks.
func clean(s string, utf8 bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029':
			return ' '
		case r >= 0x80 && !utf8:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
