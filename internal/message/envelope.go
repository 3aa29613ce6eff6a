package message

// Envelope holds the fields that IMAP's ENVELOPE and threading need (RFC 9051
// §7.5.2): of each the first occurrence, unfolded, trimmed, otherwise as
// written, encoded words and comments included. Address fields are read with
// addr.ParseList. An empty string means missing or empty.
type Envelope struct {
	Date, Subject         string
	From, Sender, ReplyTo string
	To, Cc, Bcc           string
	InReplyTo, MessageID  string
	References            string
}

const envelopeFields = 11

// fields gives the fields in the order of the binary form.
func (e *Envelope) fields() [envelopeFields]*string {
	return [...]*string{&e.Date, &e.Subject, &e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc, &e.InReplyTo, &e.MessageID, &e.References}
}

// envelopeField returns the place of a field in Envelope.fields, or -1. The
// length decides first, so that most fields cost one comparison.
func envelopeField(f Field) int {
	switch f.name {
	case 2:
		if f.Is("to") {
			return 5
		} else if f.Is("cc") {
			return 6
		}
	case 3:
		if f.Is("bcc") {
			return 7
		}
	case 4:
		if f.Is("date") {
			return 0
		} else if f.Is("from") {
			return 2
		}
	case 6:
		if f.Is("sender") {
			return 3
		}
	case 7:
		if f.Is("subject") {
			return 1
		}
	case 8:
		if f.Is("reply-to") {
			return 4
		}
	case 10:
		if f.Is("message-id") {
			return 9
		} else if f.Is("references") {
			return 10
		}
	case 11:
		if f.Is("in-reply-to") {
			return 8
		}
	}
	return -1
}

// ParseEnvelope reads the envelope from a header.
func ParseEnvelope(h Header) *Envelope {
	var c envelopeCollector
	for f := range h.Fields() {
		if i := envelopeField(f); i >= 0 {
			c.add(i, f, len(h))
		}
	}
	return c.envelope()
}

// envelopeCollector gathers the values in one buffer, so that an envelope costs
// two allocations whatever it holds.
type envelopeCollector struct {
	buf  []byte
	at   [envelopeFields][2]int
	seen [envelopeFields]bool
}

// add keeps at most room octets of the value and returns how many it kept.
func (c *envelopeCollector) add(i int, f Field, room int) (kept int, cut bool) {
	if c.seen[i] {
		return 0, false
	}
	c.seen[i] = true
	v := trimSpace(f.RawValue())
	if len(v) > room {
		v, cut = v[:max(room, 0)], true
	}
	start := len(c.buf)
	c.buf = appendUnfolded(c.buf, v)
	c.at[i] = [2]int{start, len(c.buf)}
	return len(c.buf) - start, cut
}

func (c *envelopeCollector) envelope() *Envelope {
	e := new(Envelope)
	all := string(c.buf)
	for i, p := range e.fields() {
		*p = all[c.at[i][0]:c.at[i][1]]
	}
	return e
}

func (c *envelopeCollector) reset() {
	*c = envelopeCollector{buf: c.buf[:0]}
}
