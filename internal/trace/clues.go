package trace

import (
	"bytes"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
)

// MaxPaste is how many octets of a pasted text are read; the rest is passed over.
const MaxPaste = 256 << 10

// maxClues bounds the clues of each kind, and maxDecoded what is decoded of the
// parts of a pasted message.
const (
	maxClues   = 20
	maxDecoded = 64 << 10
)

// Clues are what a pasted text names that traces can be found by: a bounce of
// anybody's, a reply, a line of a log. Those of a kind are in the order of the text,
// each once, at most 20.
type Clues struct {
	IDs        []mail.ID    // ours: of links, replies, queue listings and our own DSNs
	MessageIDs []string     // keys, as Key gives them
	Others     []string     // keys: addresses and IP addresses
	Checks     []finding.ID // of refusals that have no transaction
}

// FindClues reads a text. What mail programs do to it is undone: soft line breaks of
// quoted-printable, folded and quoted lines, base64 parts.
func FindClues(text string) Clues {
	text = text[:min(len(text), MaxPaste)]
	var c Clues
	for _, t := range append([]string{text}, decoded(text)...) {
		c.read(t)
	}
	return c
}

// softBreak is a line break of quoted-printable (RFC 2045 §6.7).
var softBreak = regexp.MustCompile(`=[ \t]*\r?\n`)

// decoded gives the texts of a pasted message's parts whose encoding hides them, and
// the text without soft line breaks.
func decoded(text string) (out []string) {
	if softBreak.MatchString(text) {
		out = append(out, softBreak.ReplaceAllString(text, ""))
	}
	raw := []byte(strings.TrimLeft(text, " \t\r\n"))
	left := int64(maxDecoded)
	message.ParseBytes(raw, message.Budget{}).Walk(func(p *message.Part) bool {
		if p.Encoding != "base64" || p.Multipart() || p.Message != nil || left <= 0 {
			return true
		}
		r, err := message.Open(bytes.NewReader(raw), p)
		if err != nil {
			return true
		}
		b, err := io.ReadAll(io.LimitReader(r, left))
		if err == nil {
			left -= int64(len(b))
			out = append(out, string(b))
		}
		return true
	})
	return out
}

var (
	bareID    = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}\b`)
	angle     = regexp.MustCompile(`<([^<>\s]{1,250}@[^<>\s]{1,250})>`)
	idField   = regexp.MustCompile(`(?i)(?:message-id|in-reply-to|references|msgid)[:=]`)
	mailbox   = regexp.MustCompile(`[^\s<>()\[\],;:"'=/|\\]{1,64}@[\pL\pN][\pL\pN.-]{0,252}[\pL\pN]`)
	ipAddress = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?`)
	checkID   = regexp.MustCompile(`\[([a-z]+\.[a-z0-9-]+)\]|/why/([a-z]+\.[a-z0-9-]+)`)
)

// read adds the clues of one text.
func (c *Clues) read(text string) {
	for i := 0; ; {
		at := strings.Index(text[i:], "/why/")
		if at < 0 {
			break
		}
		i += at + len("/why/")
		c.addID(linked(text[i:]))
	}
	for _, s := range bareID.FindAllString(text, 10*maxClues) {
		c.addID(s)
	}
	c.readAngles(text)
	for _, s := range mailbox.FindAllString(text, 10*maxClues) {
		if a, err := addr.ParseAddress(strings.TrimRight(s, ".")); err == nil && !slices.Contains(c.MessageIDs, Key(a.String())) {
			c.Others = add(c.Others, Key(a.String()))
		}
	}
	for _, s := range ipAddress.FindAllString(text, 10*maxClues) {
		if ip, err := netip.ParseAddr(s); err == nil && !ip.IsUnspecified() && !ip.IsLoopback() {
			c.Others = add(c.Others, ip.Unmap().String())
		}
	}
	for _, m := range checkID.FindAllStringSubmatch(text, 10*maxClues) {
		if k, ok := finding.Lookup(finding.ID(m[1] + m[2])); ok {
			c.Checks = add(c.Checks, k.ID)
		}
	}
}

// linked takes an id behind a link of ours, over the breaks and quotation marks that
// a mail program put into it.
func linked(text string) string {
	const length = 26
	id := make([]byte, 0, length)
	for i := 0; i < len(text) && len(id) < length && i < 4*length; i++ {
		switch b := text[i]; {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
			id = append(id, b)
		case b == '\r', b == '\n', b == ' ', b == '\t', b == '>', b == '|', b == '=':
		default:
			return ""
		}
	}
	return string(id)
}

func (c *Clues) addID(s string) {
	if id, err := mail.ParseID(s); err == nil && !id.IsZero() {
		c.IDs = add(c.IDs, id)
	}
}

// readAngles takes what stands in angle brackets: a Message-ID in a field of one,
// else an address.
func (c *Clues) readAngles(text string) {
	for _, m := range angle.FindAllStringSubmatchIndex(text, 10*maxClues) {
		line := text[strings.LastIndexByte(text[:m[0]], '\n')+1 : m[0]]
		line = line[max(0, len(line)-200):]
		if inner := text[m[2]:m[3]]; idField.MatchString(line) {
			c.MessageIDs = add(c.MessageIDs, Key(inner))
		} else if _, err := addr.ParseAddress(inner); err != nil {
			c.MessageIDs = add(c.MessageIDs, Key(inner)) // no address: what else?
		}
	}
}

// add appends what is new, up to maxClues.
func add[T comparable](list []T, v T) []T {
	if len(list) >= maxClues || slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
