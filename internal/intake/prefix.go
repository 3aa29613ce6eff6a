package intake

import (
	"bytes"
	"io"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/authres"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/store"
)

// previewLength is how many characters of text a message list shows.
const previewLength = 200

// message8Bit are the defects that make a message need 8BITMIME on its way out.
const message8Bit = message.EightBitBody

// prefixes are the header fields that we add above a message, and what is stored
// beside it. The bytes that came are never touched, save that the Bcc of a message
// that our own user submits is cut out. Where a header must not be kept as it
// came, the prefix holds the whole header, mended, and skip says how much of the
// blob it replaces: one that pretends to carry our own Authentication-Results is
// kept without it, and one of our own that no empty line parts from its text gets
// that line.
type prefixes struct {
	delivered []byte // Return-Path, Authentication-Results, Received, …
	outgoing  []byte // Received, and what a submitted message lacked; what is sealed has our results above them
	skip      int64

	stored store.Delivery // what every delivery of the message has in common
}

// complete mends what is not to be kept as it came, so that filters see what will
// be kept and sent. It does so once.
func (k *sink) complete(f *facts) error {
	if f.complete {
		return nil
	}
	f.complete = true
	e, host := k.env, k.s.in.cfg.Hostname
	ours := e.Client.Class >= mail.LocalNetwork && e.Client.Door != mail.LMTP
	unparted := ours && f.unparted()
	if unparted {
		f.header, f.inSpool = f.header[:f.tree.Body], f.tree.Body
	}
	if ours {
		if err := k.cutBcc(f); err != nil {
			return err
		}
		f.missing = k.missingFields(f)
	}
	if f.tree.Body == 0 { // nothing but text: the empty line that parts it from our fields
		f.header, f.inSpool = nil, 0
		f.missing = append(f.missing, "\r\n"...)
	}
	k.readdress(f, ours)
	if unparted || forged(f.header, host) {
		f.header, f.rewritten = appendWithoutForged(nil, f.header, host), true
	}
	if unparted {
		f.header = append(f.header, "\r\n"...)
		return k.reparse(f)
	}
	return nil
}

// prefix makes the fields and the stored forms.
func (k *sink) prefix(f *facts) (*prefixes, error) {
	if err := k.complete(f); err != nil {
		return nil, err
	}
	e, in := k.env, k.s.in
	p := &prefixes{}
	received := appendReceived(nil, in.cfg.Hostname, e, k.s.judge.name())
	p.outgoing = append(bytes.Clone(received), f.missing...)

	b := make([]byte, 0, 512+len(received))
	b = append(append(append(b, "Return-Path: <"...), k.tx.reversePath().String()...), ">\r\n"...)
	if e.Client.Class != mail.Authenticated {
		b = k.results(b)
	}
	b = append(append(b, received...), f.missing...)
	if f.rewritten {
		b, p.outgoing, p.skip = append(b, f.header...), append(p.outgoing, f.header...), f.inSpool
	}
	p.delivered = b
	return p, k.describe(f, p)
}

// results appends what we found out, as Authentication-Results.
func (k *sink) results(b []byte) []byte {
	return authres.Header{ServerID: k.s.in.cfg.Hostname, Results: k.tx.judge.results}.Append(b)
}

// maxUnparted bounds the header, in octets, that is copied into the prefix for the
// sake of an empty line. Programs that forget the line write a few fields.
const maxUnparted = 64 << 10

// unparted reports whether text follows the header without an empty line between
// them: "Subject: x" and then "Hola". The header ends before the first line that
// is no field (RFC 5322 §2.1, §2.2). A message of header fields alone is
// well-formed, and one of text alone gets its empty line with our own fields.
func (f *facts) unparted() bool {
	n := f.tree.Body
	return n > 0 && n <= maxUnparted && n < f.tree.End && f.tree.Defects.Has(message.MalformedHeader)
}

// reparse reads the message with the header that it has now: an empty line below it
// may make a boundary of the next line, and a field may say what the parts are. The
// tree's places are those in the spool.
func (k *sink) reparse(f *facts) error {
	p := message.NewParser(message.Budget{})
	text := io.NewSectionReader(k.spool.body(), f.inSpool, k.spool.size-f.inSpool)
	if _, err := io.Copy(p, io.MultiReader(bytes.NewReader(f.missing), bytes.NewReader(f.header), text)); err != nil {
		return err
	}
	tree, err := p.Close()
	if err != nil {
		return err
	}
	tree.Shift(f.inSpool - int64(len(f.missing)+len(f.header)))
	f.tree = tree
	return nil
}

// describe makes what every delivery of the message has in common. Fields that
// we supplied belong to its envelope.
func (k *sink) describe(f *facts, p *prefixes) error {
	if len(f.missing) > 0 || f.renamed {
		f.tree.Envelope = message.ParseEnvelope(message.Header(append(bytes.Clone(f.missing), f.header...)))
	}
	p.stored = store.Delivery{Prefix: p.delivered, Skip: p.skip, InternalDate: k.s.in.cfg.Now()}
	return describe(&p.stored, f.tree, k.spool.body())
}

// cutBcc takes the Bcc fields out of a message that our own user submits (RFC
// 5322 §3.6.3: the first of the ways to treat them).
func (k *sink) cutBcc(f *facts) error {
	cuts := message.BccRanges(f.header)
	if len(cuts) == 0 {
		return nil
	}
	err := k.spool.replace(func(w io.Writer, from io.ReaderAt, size int64) error {
		at := int64(0)
		for _, c := range append(cuts, message.Range{Start: size, End: size}) {
			if _, err := io.Copy(w, io.NewSectionReader(from, at, c.Start-at)); err != nil {
				return err
			}
			at = c.End
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.replaced = true
	if f.tree, err = message.Parse(k.spool.body(), k.spool.size, message.Budget{}); err != nil {
		return err
	}
	f.header, err = readRange(k.spool.body(), 0, f.tree.Body)
	f.inSpool = f.tree.Body
	return err
}

// missingFields are Date, Message-ID and From that a submitted message lacks
// (RFC 6409 §8). The From is the address of who logged in, else the reverse-path.
func (k *sink) missingFields(f *facts) []byte {
	from := k.env.ReversePath
	if login, err := addr.ParseAddress(k.env.Client.Login); err == nil {
		from = login
	}
	return message.MissingFields(f.header, message.Supply{
		From: from, Date: k.s.in.cfg.Now(), MessageID: "<" + k.env.ID.String() + "@" + k.s.in.cfg.Hostname + ">",
	})
}

// forged reports whether a header claims Authentication-Results of ours.
func forged(h message.Header, id string) bool {
	for f := range h.All(authres.FieldName) {
		if authres.Claims(f.Value(), id) {
			return true
		}
	}
	return false
}

// appendWithoutForged copies a header but for the forged fields (RFC 8601 §5).
func appendWithoutForged(dst []byte, h message.Header, id string) []byte {
	at := 0
	for f := range h.All(authres.FieldName) {
		if authres.Claims(f.Value(), id) {
			dst = append(dst, h[at:f.Start]...)
			at = f.End()
		}
	}
	return append(dst, h[at:]...)
}

// appendReceived writes our trace field (RFC 5321 §4.4, RFC 3848, RFC 8314 §4.3).
// The recipient is named only when there is one, so that no copy tells of
// another.
func appendReceived(b []byte, host string, e *mail.Envelope, ptr string) []byte {
	c := &e.Client
	b = append(b, "Received: from "...)
	b = append(b, clean(c.HELO, "unknown")...)
	if c.IP.IsValid() {
		b = append(b, " ("...)
		if ptr != "" {
			b = append(append(b, clean(ptr, "")...), ' ')
		}
		b = append(b, '[')
		if c.IP.Is6() {
			b = append(b, "IPv6:"...)
		}
		b = append(c.IP.AppendTo(b), "])"...)
	}
	b = append(append(b, "\r\n\tby "...), host...)
	b = append(append(b, " (Posta) with "...), protocol(e)...)
	b = append(append(b, " id "...), e.ID.String()...)
	if c.TLS.Version != "" {
		b = append(append(append(append(b, "\r\n\ttls "...), clean(c.TLS.Cipher, "unknown")...), " ("...), c.TLS.Version...)
		b = append(b, ')')
	}
	if len(e.Recipients) == 1 {
		b = append(append(append(b, "\r\n\tfor <"...), e.Recipients[0].Address.String()...), '>')
	}
	at := e.Received
	if at.IsZero() {
		at = e.ID.Time()
	}
	return append(at.AppendFormat(append(b, ";\r\n\t"...), time.RFC1123Z), "\r\n"...)
}

// protocol is the "with" clause (RFC 3848, RFC 6531 §4.3).
func protocol(e *mail.Envelope) string {
	c := &e.Client
	p := "SMTP"
	switch {
	case c.Door == mail.LMTP:
		p = "LMTP"
	case e.UTF8:
		p = "UTF8SMTP"
	case c.EHLO:
		p = "ESMTP"
	}
	if p == "SMTP" {
		return p
	}
	if c.TLS.Version != "" {
		p += "S"
	}
	if c.Login != "" {
		p += "A"
	}
	return p
}

// clean keeps what a client said from ending a field or a comment.
func clean(s, empty string) string {
	if s == "" {
		return empty
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("()\\;", r) {
			return '?'
		}
		return r
	}, s)
}
