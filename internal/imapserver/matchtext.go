package imapserver

import (
	"bytes"
	"context"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"posta/internal/imap"
	"posta/internal/message"
	"posta/internal/message/charset"
	"posta/internal/store"
)

// fold brings text to the form in which it is compared: lower case. Search is by
// substring without regard to case (RFC 9051 §6.4.4).
func fold(s string) string { return strings.ToLower(s) }

// compileHeader makes HEADER, FROM, SUBJECT … ready. Fields of the envelope are
// answered by it, others by the header itself. Encoded words are decoded.
func (c *conn) compileHeader(k *imap.Key) matcher {
	needle := fold(k.Text)
	if of := envelopeField(k.Name); of != nil {
		return matcher{cost: costEnvelope, want: store.WantEnvelope | store.WantBytes, match: func(ctx context.Context, l *letter) (bool, error) {
			e, err := l.envelope(ctx)
			if err != nil {
				return false, err
			}
			v := *of(e)
			return v != "" && strings.Contains(fold(charset.DecodeHeader(v)), needle), nil
		}}
	}
	return matcher{cost: costBytes, want: store.WantBytes | store.WantStructure, match: func(ctx context.Context, l *letter) (bool, error) {
		h, err := l.topHeader(ctx)
		if err != nil {
			return false, err
		}
		for f := range h.All(k.Name) {
			if strings.Contains(fold(charset.DecodeHeader(f.Value())), needle) {
				return true, nil
			}
		}
		return false, nil
	}}
}

// envelopeField is where the envelope has a field of which the first occurrence
// is all that matters.
func envelopeField(name string) func(*message.Envelope) *string {
	switch strings.ToLower(name) {
	case "from":
		return func(e *message.Envelope) *string { return &e.From }
	case "to":
		return func(e *message.Envelope) *string { return &e.To }
	case "cc":
		return func(e *message.Envelope) *string { return &e.Cc }
	case "bcc":
		return func(e *message.Envelope) *string { return &e.Bcc }
	case "subject":
		return func(e *message.Envelope) *string { return &e.Subject }
	case "message-id":
		return func(e *message.Envelope) *string { return &e.MessageID }
	case "in-reply-to":
		return func(e *message.Envelope) *string { return &e.InReplyTo }
	}
	return nil
}

// topHeader reads the header of the message.
func (l *letter) topHeader(ctx context.Context) (message.Header, error) {
	p, err := l.part(ctx)
	if err != nil {
		return nil, err
	}
	return l.header(ctx, message.Range{Start: p.Start, End: p.Body})
}

// compileText makes BODY and TEXT ready: the text parts, decoded, and the headers
// of messages inside; TEXT the header too.
func compileText(k *imap.Key) matcher {
	needle := []byte(fold(k.Text))
	text := finder{needle: needle}
	return matcher{cost: costBody, want: store.WantBytes | store.WantStructure, match: func(ctx context.Context, l *letter) (bool, error) {
		if len(needle) == 0 {
			return true, nil
		}
		root, err := l.part(ctx)
		if err != nil {
			return false, err
		}
		if err := l.open(ctx); err != nil {
			return false, err
		}
		if k.Op == imap.OpText {
			if ok, err := l.headerHas(ctx, root, needle); ok || err != nil {
				return ok, err
			}
		}
		found := false
		root.Walk(func(p *message.Part) bool {
			if err = ctx.Err(); err != nil {
				return false
			}
			switch {
			case p.Message != nil:
				found, err = l.headerHas(ctx, p.Message, needle)
			case p.Type == "text":
				found, err = text.find(message.OpenText(l, p))
			}
			return !found && err == nil
		})
		return found, err
	}}
}

// headerHas searches a header, as written and with its encoded words decoded.
func (l *letter) headerHas(ctx context.Context, p *message.Part, needle []byte) (bool, error) {
	h, err := l.header(ctx, message.Range{Start: p.Start, End: p.Body})
	if err != nil {
		return false, err
	}
	for f := range h.Fields() {
		line := f.Name() + ": " + f.Value()
		if strings.Contains(fold(line), string(needle)) || strings.Contains(fold(charset.DecodeHeader(line)), string(needle)) {
			return true, nil
		}
	}
	return false, nil
}

// finder searches streams of UTF-8 for folded text. Its memory is bounded, and
// serves every message of a search.
type finder struct {
	needle []byte
	in     []byte // as read, at most one block
	window []byte // folded: the end of what was searched, then the new text
}

// block is how much of a text is searched at once.
const block = 32 << 10

// find reports whether a stream holds the text.
func (f *finder) find(r io.Reader) (bool, error) {
	if f.in == nil {
		f.in = make([]byte, 0, block)
	}
	buf := f.in[:0]
	f.window = f.window[:0]
	for {
		n, err := r.Read(buf[len(buf):block])
		buf = buf[:len(buf)+n]
		whole := len(buf)
		if err == nil {
			whole = completeRunes(buf)
		}
		f.window = appendFolded(f.window, buf[:whole])
		if bytes.Contains(f.window, f.needle) {
			return true, nil
		}
		if keep := len(f.needle) - 1; len(f.window) > keep {
			f.window = append(f.window[:0], f.window[len(f.window)-keep:]...)
		}
		buf = append(buf[:0], buf[whole:]...)
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// appendFolded is fold for octets.
func appendFolded(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(b[i:])
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
			i += n
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
		i++
	}
	return dst
}

// completeRunes is the length of b without a rune that is cut at its end.
func completeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}
