package message

import (
	"encoding/base32"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"posta/internal/addr"
	"posta/internal/message/charset"
)

// Builder composes a message: header fields in the order of the calls, then a
// body, all with CRLF. The result is 7-bit unless Raw adds other octets. The
// zero value is ready.
//
// No value can begin a new field: line breaks and NULs in values become spaces.
//
//	var b message.Builder
//	b.Field("Subject", "Grüße")
//	b.Multipart("mixed", message.Boundary(random))
//	b.Part()
//	b.Text("plain", "…")
//	b.EndMultipart()
//	msg := b.Bytes()
type Builder struct {
	b    []byte
	open []string // boundaries
	new  bool     // a multipart was opened and has no part yet
}

// Bytes returns the message; it aliases the builder.
func (b *Builder) Bytes() []byte { return b.b }

// Field adds a field of free text, as encoded words where it is not ASCII.
func (b *Builder) Field(name, text string) {
	b.Structured(name, charset.EncodeHeader(oneLine(text)))
}

// Structured adds a field whose value is in its syntax already; it is folded at
// its spaces. Octets over 127 stay as they are (RFC 6532).
func (b *Builder) Structured(name, value string) {
	b.b = AppendField(b.b, name, value)
}

// Mailbox adds a field with one address and its display name, which may be empty.
func (b *Builder) Mailbox(name, display string, a addr.Address) {
	b.Structured(name, addr.FormatMailbox(oneLine(display), a))
}

// Date adds the Date field.
func (b *Builder) Date(t time.Time) { b.Structured("Date", FormatDate(t)) }

// Text ends the header and adds a text body: 7bit when it is short-lined
// ASCII, else quoted-printable in UTF-8. MIME-Version is added outside of
// multiparts. The body ends with a line ending.
func (b *Builder) Text(subtype, text string) {
	b.mimeVersion()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if plainBody(text) {
		b.Structured("Content-Type", "text/"+subtype+"; charset=us-ascii")
		b.Structured("Content-Transfer-Encoding", "7bit")
		b.endHeader()
		b.b = append(b.b, strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")...)
		return
	}
	b.Structured("Content-Type", "text/"+subtype+"; charset=utf-8")
	b.Structured("Content-Transfer-Encoding", "quoted-printable")
	b.endHeader()
	b.b = AppendQuotedPrintable(b.b, []byte(strings.ToValidUTF8(text, "\uFFFD")))
}

// Base64 ends the header and adds data as a part of the media type, which may
// carry parameters.
func (b *Builder) Base64(mediaType string, data []byte) {
	b.mimeVersion()
	b.Structured("Content-Type", mediaType)
	b.Structured("Content-Transfer-Encoding", "base64")
	b.endHeader()
	b.b = AppendBase64(b.b, data)
}

// Raw ends the header and adds octets as they are under the media type, with a
// line ending if they lack one. The encoding is 7bit, or 8bit for octets over
// 127; lines must be CRLF already.
func (b *Builder) Raw(mediaType string, body []byte) {
	b.mimeVersion()
	b.Structured("Content-Type", mediaType)
	encoding := "7bit"
	if has8Bit(body) {
		encoding = "8bit"
	}
	b.Structured("Content-Transfer-Encoding", encoding)
	b.endHeader()
	b.b = append(b.b, body...)
	if n := len(b.b); b.b[n-1] != '\n' {
		b.b = append(b.b, "\r\n"...)
	}
}

// Entity ends the header with a MIME entity that somebody wrote: its own fields, an empty
// line, its body, with CRLF. Fields of it that no entity has (RFC 2045 §3) are left out.
func (b *Builder) Entity(entity []byte) {
	b.mimeVersion()
	header, body := SplitHeader(entity)
	encoded := false
	for f := range Header(header).Fields() {
		if strings.HasPrefix(strings.ToLower(f.Name()), "content-") {
			b.b = append(b.b, f.Raw()...)
			encoded = encoded || f.Is("Content-Transfer-Encoding")
		}
	}
	if !encoded && has8Bit(body) {
		b.Structured("Content-Transfer-Encoding", "8bit")
	}
	b.endHeader()
	b.b = append(b.b, body...)
	if n := len(b.b); b.b[n-1] != '\n' {
		b.b = append(b.b, "\r\n"...)
	}
}

// Multipart ends the header and opens a multipart. boundary should come from
// Boundary. Parameters are added as given, quoted.
func (b *Builder) Multipart(subtype, boundary string, params ...Param) {
	b.mimeVersion()
	value := "multipart/" + subtype
	for _, p := range params {
		value += "; " + p.Name + "=" + quoteParam(p.Value)
	}
	b.Structured("Content-Type", value+"; boundary="+quoteParam(boundary))
	b.endHeader()
	b.open = append(b.open, boundary)
	b.new = true
}

// Part begins the next part of the innermost open multipart: fields and a body
// follow.
func (b *Builder) Part() { b.delimit("\r\n") }

// EndMultipart closes the innermost open multipart.
func (b *Builder) EndMultipart() {
	b.delimit("--\r\n")
	b.open = b.open[:max(len(b.open)-1, 0)]
}

// delimit writes a boundary delimiter; the line ending before it belongs to it.
func (b *Builder) delimit(end string) {
	if len(b.open) == 0 {
		return
	}
	if !b.new {
		b.b = append(b.b, "\r\n"...)
	}
	b.new = false
	b.b = append(append(append(b.b, "--"...), b.open[len(b.open)-1]...), end...)
}

func (b *Builder) endHeader() { b.b = append(b.b, "\r\n"...) }

func (b *Builder) mimeVersion() {
	if len(b.open) == 0 {
		b.Structured("MIME-Version", "1.0")
	}
}

// foldAt: RFC 5322 §2.1.1, lines should have at most 78 octets.
const foldAt = 78

// AppendField appends a header field, folded at spaces so that lines have at
// most 78 octets where the value allows it; unfolding gives the value back.
func AppendField(dst []byte, name, value string) []byte {
	value = strings.TrimSpace(oneLine(value))
	dst = append(append(dst, name...), ": "...)
	col := len(name) + 2
	for len(value) > 0 {
		// One piece: spaces that lead it, then everything to the next space.
		i := 0
		for i < len(value) && (value[i] == ' ' || value[i] == '\t') {
			i++
		}
		space := i
		for i < len(value) && value[i] != ' ' && value[i] != '\t' {
			i++
		}
		if space > 0 && col+i > foldAt && col > 1 {
			dst = append(dst, "\r\n"...)
			col = 0
		}
		dst = append(dst, value[:i]...)
		col += i
		value = value[i:]
	}
	return append(dst, "\r\n"...)
}

// oneLine makes line breaks and NULs spaces.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\x00", " ").Replace(s)
}

// plainBody reports whether text can travel as 7bit us-ascii.
func plainBody(s string) bool {
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > foldAt {
			return false
		}
		line = strings.TrimSuffix(line, "\r")
		for i := 0; i < len(line); i++ {
			if c := line[i]; c >= utf8.RuneSelf || c < ' ' && c != '\t' || c == 0x7f {
				return false
			}
		}
	}
	return true
}

// quoteParam writes a parameter's value: a token as it is, else quoted.
func quoteParam(s string) string {
	token := s != ""
	for i := 0; i < len(s); i++ {
		token = token && s[i] < 0x7f && isMIMEToken(s[i])
	}
	if token {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(oneLine(s)) + `"`
}

// FormatParam writes one MIME parameter, "; name=value": a token or quoted
// string, or for text beyond ASCII the form of RFC 2231 §4.
func FormatParam(name, value string) string {
	for i := 0; i < len(value); i++ {
		if value[i] < ' ' || value[i] > '~' {
			return "; " + name + "*=utf-8''" + percent(strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
	return "; " + name + "=" + quoteParam(value)
}

func percent(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '.' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// Boundary makes a multipart boundary of random octets, of which 16 from a
// good source make it unguessable. "=_" keeps it from occurring in
// quoted-printable and base64.
func Boundary(random []byte) string { return "=_" + hex.EncodeToString(random) }

// NewMessageID makes a Message-ID of random octets, with angle brackets.
func NewMessageID(random []byte, host addr.Domain) string {
	left := base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(random)
	return "<" + strings.ToLower(left) + "@" + string(host) + ">"
}
