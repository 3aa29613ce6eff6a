package intake

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// maxHeader bounds the header, in octets. It is read into memory whole, and its
// fields are looked at by several evaluators; no program needs more.
const maxHeader = 1 << 20

// errHeader says that a header is above maxHeader.
var errHeader = errors.New("intake: the header is too large")

// maxSkew is how far the Date may lie from our clock. More is no zone that was
// written wrongly.
const maxSkew = 24 * time.Hour

// bulkFields are what the fields of RFC 2369 and RFC 8058 say, gathered while the
// header is walked.
type bulkFields struct {
	bulk        bool   // List-Id, List-Unsubscribe, or Precedence: bulk, list or junk
	unsubscribe string // List-Unsubscribe
	oneClick    bool   // List-Unsubscribe-Post: List-Unsubscribe=One-Click
}

// note looks at one field of the header. The length of the name tells nearly all
// of them from those that matter.
func (f *facts) note(fd message.Field) {
	switch len(fd.NameBytes()) {
	case len("List-Id"):
		f.list.bulk = f.list.bulk || fd.Is("List-Id")
	case len("Received"):
		if fd.Is("Received") {
			f.hops++
		}
	case len("Precedence"):
		if fd.Is("Precedence") {
			f.list.bulk = f.list.bulk || slices.Contains([]string{"bulk", "list", "junk"}, strings.ToLower(fd.Value()))
		}
	case len("List-Unsubscribe"):
		if fd.Is("List-Unsubscribe") {
			f.list.bulk, f.list.unsubscribe = true, fd.Value()
		}
	case len("List-Unsubscribe-Post"):
		if fd.Is("List-Unsubscribe-Post") {
			f.list.oneClick = strings.EqualFold(fd.Value(), "List-Unsubscribe=One-Click")
		}
	}
}

// addHeader maps what is wrong with the header (RFC 5322) to findings, each fault to
// the check that has its mend.
func (k *sink) addHeader(set *finding.Set, f *facts) {
	has := func(ds ...message.Defects) bool {
		return slices.ContainsFunc(ds, func(d message.Defects) bool { return f.defects.Has(d) })
	}
	add := func(id finding.ID, bad bool, what string, seen func() string) {
		if !bad {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
			return
		}
		set.Add(finding.Of(id, finding.Fail, "", what, seen()))
	}
	defects := func() string { return strings.Join(slices.Collect(f.defects.Names()), " ") }
	add(finding.FromMissing, has(message.MissingFrom) || len(f.from) == 0, "defects", defects)
	add(finding.FromMultiple, has(message.DuplicateFrom) || severalDomains(f.from), "authors", func() string { return f.author })
	add(finding.HeaderDuplicate, has(message.DuplicateField, message.DuplicateDate, message.DuplicateMessageID), "more than once",
		func() string { return strings.Join(message.Repeated(f.header), " ") })
	id := f.tree.Envelope.MessageID
	add(finding.HeaderID, has(message.MissingMessageID) || !wellFormedID(id), "Message-ID", func() string { return orNone(id) })
	date := f.date()
	add(finding.HeaderDate, has(message.MissingDate) || date.IsZero(), "Date", func() string { return orNone(f.tree.Envelope.Date) })
	add(finding.Header8Bit, has(message.EightBitHeader) && (!k.env.UTF8 || has(message.InvalidUTF8Header)), "8-bit field", f.rawField)
	add(finding.HeaderLine, has(message.LongLine), "limit", func() string { return "998 octets (RFC 5322 §2.1.1)" })
	add(finding.HeaderSyntax, has(message.ContainsNUL, message.MalformedHeader, message.DuplicateMIME), "defects", defects)
	if k.fromOutside() {
		k.addSkew(set, date)
		addUnsubscribe(set, f)
	}
}

// addSkew compares the Date with our clock, for strangers only: a draft of our own
// user may lie about for a week.
func (k *sink) addSkew(set *finding.Set, date time.Time) {
	if date.IsZero() {
		return
	}
	now := k.s.in.cfg.Now()
	if now.Sub(date).Abs() <= maxSkew {
		set.Add(finding.Finding{Check: finding.DateSkew, Outcome: finding.Pass})
		return
	}
	set.Add(finding.Of(finding.DateSkew, finding.Fail, "", "Date", date.Format(time.RFC3339), "it came", now.UTC().Format(time.RFC3339)))
}

// addUnsubscribe asks of bulk mail what RFC 8058 §3.1 wants: an https link, the word
// that one POST is enough, and a valid signature over both. Other mail is not
// looked at.
func addUnsubscribe(set *finding.Set, f *facts) {
	l := &f.list
	if !l.bulk {
		return
	}
	link := strings.Contains(strings.ToLower(l.unsubscribe), "<https:")
	signed := slices.ContainsFunc(f.dkim, func(r dkim.Result) bool {
		covers := func(name string) bool {
			return slices.ContainsFunc(r.SignedHeaders, func(h string) bool { return strings.EqualFold(h, name) })
		}
		return r.Status == dkim.Pass && covers("List-Unsubscribe") && covers("List-Unsubscribe-Post")
	})
	if link && l.oneClick && signed {
		set.Add(finding.Finding{Check: finding.ListUnsubscribe, Outcome: finding.Pass})
		return
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	set.Add(finding.Of(finding.ListUnsubscribe, finding.Fail, "", "List-Unsubscribe with an https link", yes(link),
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click", yes(l.oneClick), "both signed by a valid DKIM signature", yes(signed)))
}

// judged reports whether the message was judged at all: our own users' is not.
func (k *sink) judged() bool {
	return k.env.Client.Class != mail.Authenticated && k.tx.judge.cancel != nil
}

// fromOutside reports whether a stranger sent the message to our MX.
func (k *sink) fromOutside() bool {
	return k.env.Client.Class < mail.LocalNetwork && k.env.Client.Door == mail.MX
}

// wellFormedID reports whether a Message-ID is "<left@right>" (RFC 5322 §3.6.4).
func wellFormedID(id string) bool {
	at := strings.LastIndexByte(id, '@')
	return at > 1 && at < len(id)-2 && id[0] == '<' && id[len(id)-1] == '>'
}

// rawField names the first field with an octet above 127.
func (f *facts) rawField() string {
	for fd := range f.header.Fields() {
		if slices.ContainsFunc(fd.Raw(), func(b byte) bool { return b > 0x7f }) {
			return strings.ToValidUTF8(fd.Name(), "?")
		}
	}
	return "none can be told"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// headerRefused answers for a message whose header is above maxHeader: nobody has
// read it, so nothing else is known of it.
func (k *sink) headerRefused(ctx context.Context) smtp.Reply {
	s := k.s
	r := *s.refusal(k.env, k.env.Recipients[0].Address, finding.MessageSize, 552, "", "The header is larger than 1 MiB")
	s.in.counts.refused(r.Check)
	for _, to := range k.env.Recipients {
		k.tx.refused = append(k.tx.refused, trace.Recipient{Address: to.Address.String(), Action: mail.Reject.String(), Check: r.Check, Reply: r.String()})
	}
	s.keepTransaction(trace.AtData, k.tx, r.String())
	s.endTransaction(ctx)
	return r
}

func severalDomains(ds []string) bool {
	return len(ds) > 1 && slices.ContainsFunc(ds, func(d string) bool { return d != ds[0] })
}

func itoa(n int) string { return strconv.Itoa(n) }

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
