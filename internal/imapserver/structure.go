package imapserver

import (
	"strings"

	"posta/internal/addr"
	"posta/internal/imap"
	"posta/internal/message"
)

// maxAddresses bounds the addresses that one field of an ENVELOPE lists.
const maxAddresses = 1000

// appendEnvelope writes envelope (RFC 9051 §7.5.2). Sender and Reply-To that are
// missing take From.
func appendEnvelope(b []byte, e *message.Envelope, utf8ok bool) []byte {
	b = appendText(append(b, '('), e.Date, utf8ok)
	b = appendText(append(b, ' '), e.Subject, utf8ok)
	sender, reply := e.Sender, e.ReplyTo
	if sender == "" {
		sender = e.From
	}
	if reply == "" {
		reply = e.From
	}
	for _, field := range [...]string{e.From, sender, reply, e.To, e.Cc, e.Bcc} {
		b = appendAddresses(append(b, ' '), field, utf8ok)
	}
	b = appendText(append(b, ' '), e.InReplyTo, utf8ok)
	b = appendText(append(b, ' '), e.MessageID, utf8ok)
	return append(b, ')')
}

// appendText writes nstring: NIL for what is missing.
func appendText(b []byte, s string, utf8ok bool) []byte {
	return imap.AppendNString(b, s, s != "", utf8ok)
}

// appendAddresses writes a list of addresses, NIL for none. A group is its name,
// the members, and an entry of NILs.
func appendAddresses(b []byte, field string, utf8ok bool) []byte {
	if field == "" {
		return append(b, "NIL"...)
	}
	entries, _ := addr.ParseList(field, maxAddresses) // what was understood is told
	if len(entries) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for _, e := range entries {
		name, route, local, host := e.Name, e.Route, string(e.Local), e.Host
		switch e.Kind {
		case addr.EntryGroupStart:
			name, route, local, host = "", "", e.Name, ""
		case addr.EntryGroupEnd:
			name, route, local, host = "", "", "", ""
		}
		for i, s := range [...]string{name, route, local, host} {
			sep := byte(' ')
			if i == 0 {
				sep = '('
			}
			b = append(b, sep)
			if s == "" && e.Kind == addr.EntryMailbox && i >= 2 {
				b = append(b, `""`...) // NIL would make a group of it
				continue
			}
			b = appendText(b, s, utf8ok)
		}
		b = append(b, ')')
	}
	return append(b, ')')
}

// appendStructure writes body: with extension data for BODYSTRUCTURE, without for
// BODY (RFC 9051 §7.5.2).
func appendStructure(b []byte, p *message.Part, ext, utf8ok bool) []byte {
	b = append(b, '(')
	if p.Multipart() {
		for _, child := range p.Children {
			b = appendStructure(b, child, ext, utf8ok)
		}
		b = appendWord(append(b, ' '), p.Subtype)
		if ext {
			b = appendParams(append(b, ' '), p.Params, utf8ok)
			b = appendExtension(b, p, utf8ok)
		}
		return append(b, ')')
	}
	b = appendWord(b, p.Type)
	b = appendWord(append(b, ' '), p.Subtype)
	b = appendParams(append(b, ' '), p.Params, utf8ok)
	b = appendText(append(b, ' '), p.ID, utf8ok)
	b = appendText(append(b, ' '), p.Description, utf8ok)
	b = appendWord(append(b, ' '), p.Encoding)
	b = appendUint(append(b, ' '), uint64(p.Size()))
	switch {
	case p.Message != nil:
		e := p.Message.Envelope
		if e == nil {
			e = &message.Envelope{}
		}
		b = appendEnvelope(append(b, ' '), e, utf8ok)
		b = appendStructure(append(b, ' '), p.Message, ext, utf8ok)
		b = appendUint(append(b, ' '), uint64(p.Lines))
	case p.Type == "text":
		b = appendUint(append(b, ' '), uint64(p.Lines))
	}
	if ext {
		b = appendText(append(b, ' '), p.MD5, utf8ok)
		b = appendExtension(b, p, utf8ok)
	}
	return append(b, ')')
}

// appendExtension writes disposition, language and location.
func appendExtension(b []byte, p *message.Part, utf8ok bool) []byte {
	b = append(b, ' ')
	if p.Disposition == "" {
		b = append(b, "NIL"...)
	} else {
		b = appendWord(append(b, '('), p.Disposition)
		b = append(appendParams(append(b, ' '), p.DispositionParams, utf8ok), ')')
	}
	b = append(b, ' ')
	switch len(p.Languages) {
	case 0:
		b = append(b, "NIL"...)
	default:
		b = append(b, '(')
		for i, l := range p.Languages {
			if i > 0 {
				b = append(b, ' ')
			}
			b = imap.AppendString(b, l, utf8ok)
		}
		b = append(b, ')')
	}
	return appendText(append(b, ' '), p.Location, utf8ok)
}

func appendParams(b []byte, ps message.Params, utf8ok bool) []byte {
	if len(ps) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, p := range ps {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imap.AppendString(b, p.Name, utf8ok)
		b = imap.AppendString(append(b, ' '), p.Value, utf8ok)
	}
	return append(b, ')')
}

// appendWord writes a type, subtype or encoding, in capitals as most servers do:
// some clients compare them so.
func appendWord(b []byte, s string) []byte {
	return imap.AppendString(b, strings.ToUpper(s), false)
}
