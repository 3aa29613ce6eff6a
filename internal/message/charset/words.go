package charset

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// DecodeHeader returns an unfolded header value as UTF-8 with its encoded
// words decoded (RFC 2047 §6). Space between two encoded words disappears, and
// octets of a character that a faulty sender split across two words of the same
// charset and encoding are joined. What is not an encoded word stays. Linear in
// len(s); no allocation when there is nothing to decode.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		if utf8.ValidString(s) {
			return s
		}
		return guess([]byte(s))
	}
	var d wordDecoder
	d.out.Grow(len(s))
	for len(s) > 0 {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		word, n, ok := parseWord(s[i:])
		if !ok {
			d.text(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.text(s[:i])
		d.word(word)
		s = s[i+n:]
	}
	d.text(s)
	d.flush()
	return d.out.String()
}

// word is one encoded word, transfer encoding removed.
type word struct {
	charset string
	octets  []byte
}

type wordDecoder struct {
	out     strings.Builder
	pending []byte // octets of adjacent words in one charset
	charset string
	open    bool   // pending holds at least one word
	gap     string // white space seen since the last word
}

func (d *wordDecoder) text(s string) {
	if s == "" {
		return
	}
	if d.open && d.gap == "" && strings.TrimLeft(s, " \t\r\n") == "" {
		d.gap = s // may stand between two words; decided by what follows
		return
	}
	gap := d.gap
	d.flush()
	d.raw(gap)
	d.raw(s)
}

// raw writes text outside encoded words, which may be unlabelled 8-bit.
func (d *wordDecoder) raw(s string) {
	if utf8.ValidString(s) {
		d.out.WriteString(s)
	} else {
		d.out.WriteString(guess([]byte(s)))
	}
}

func (d *wordDecoder) word(w word) {
	if d.open && !strings.EqualFold(d.charset, w.charset) {
		d.flush()
	}
	d.gap = ""
	d.open, d.charset = true, w.charset
	d.pending = append(d.pending, w.octets...)
}

func (d *wordDecoder) flush() {
	if d.open {
		text := ToUTF8(d.charset, d.pending)
		d.out.WriteString(strings.Map(dropBreaks, text))
	}
	d.open, d.gap, d.pending = false, "", d.pending[:0]
}

// dropBreaks keeps a decoded word from becoming a new header line or an
// invisible NUL.
func dropBreaks(r rune) rune {
	if r == '\r' || r == '\n' || r == 0 {
		return ' '
	}
	return r
}

// maxWord bounds one encoded word. RFC 2047 §2 says 75; many senders exceed it.
const maxWord = 4096

// parseWord reads "=?charset?encoding?text?=" at the start of s and returns
// its length.
func parseWord(s string) (w word, n int, ok bool) {
	limit := min(len(s), maxWord)
	i := 2
	for i < limit && isToken(s[i]) {
		i++
	}
	if i == 2 || i+2 >= limit || s[i] != '?' || s[i+2] != '?' {
		return word{}, 0, false
	}
	name, _, _ := strings.Cut(s[2:i], "*") // RFC 2231 §5: charset*language
	enc := s[i+1]
	start := i + 3
	end := start
	for end < limit && s[end] != '?' && s[end] != '\r' && s[end] != '\n' {
		end++
	}
	if end+1 >= limit || s[end] != '?' || s[end+1] != '=' {
		return word{}, 0, false
	}
	switch text := s[start:end]; enc {
	case 'q', 'Q':
		return word{name, decodeQ(text)}, end + 2, true
	case 'b', 'B':
		octets, ok := decodeB(text)
		return word{name, octets}, end + 2, ok
	}
	return word{}, 0, false
}

func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?.=`, c) < 0
}

func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func decodeB(s string) ([]byte, bool) {
	s = strings.TrimRight(s, "= ")
	out, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil && len(s)%4 == 1 { // a lost sextet at the end
		out, err = base64.RawStdEncoding.DecodeString(s[:len(s)-1])
	}
	return out, err == nil
}

// wordRoom is how many encoded characters one word carries:
// 75 − len("=?utf-8?q??=") (RFC 2047 §2).
const wordRoom = 75 - 12

// EncodeHeader returns text for an unstructured field (Subject): as it is when
// it is printable ASCII that cannot be mistaken, else as encoded words in
// UTF-8, each within 75 octets and never cutting a character, separated by
// spaces. It does not fold.
func EncodeHeader(s string) string {
	if plain(s) {
		return s
	}
	return encode(s)
}

// EncodePhrase returns text for a display name: an atom sequence or a quoted
// string for ASCII, else encoded words (RFC 2047 §5 rule 3).
func EncodePhrase(s string) string {
	if !plain(s) {
		return encode(s)
	}
	atoms := s != ""
	for i := 0; i < len(s) && atoms; i++ {
		c := s[i]
		atoms = c == ' ' && i > 0 && s[i-1] != ' ' && i < len(s)-1 ||
			'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
	}
	if atoms {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// plain reports whether s needs no encoding: printable ASCII without "=?", with
// no space at its ends (which folding would lose) and no word too long to fold.
func plain(s string) bool {
	if strings.Contains(s, "=?") || s != strings.TrimSpace(s) {
		return false
	}
	run := 0
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
		if run++; s[i] == ' ' {
			run = 0
		} else if run > 900 {
			return false
		}
	}
	return true
}

// encode chooses Q, which people can read, unless it doubles the text.
func encode(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	qLen := 0
	for i := 0; i < len(s); i++ {
		qLen += qCost(s[i])
	}
	if qLen <= 2*len(s) {
		return encodeQ(s)
	}
	return encodeB(s)
}

func qCost(c byte) int {
	if c == ' ' || qSafe(c) {
		return 1
	}
	return 3
}

// qSafe: the octets that RFC 2047 §5 rule 3 allows bare in a phrase.
func qSafe(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("!*+-/", c) >= 0
}

func encodeQ(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	room := 0
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		cost := 0
		for _, c := range []byte(s[i : i+n]) {
			cost += qCost(c)
		}
		if cost > room {
			if b.Len() > 0 {
				b.WriteString("?= ")
			}
			b.WriteString("=?utf-8?q?")
			room = wordRoom
		}
		room -= cost
		for _, c := range []byte(s[i : i+n]) {
			switch {
			case c == ' ':
				b.WriteByte('_')
			case qSafe(c):
				b.WriteByte(c)
			default:
				b.Write([]byte{'=', hex[c>>4], hex[c&15]})
			}
		}
		i += n
	}
	if b.Len() == 0 {
		return ""
	}
	return b.String() + "?="
}

func encodeB(s string) string {
	const chunk = wordRoom / 4 * 3
	var b strings.Builder
	for len(s) > 0 {
		n := min(chunk, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?utf-8?b?")
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(s[:n])))
		b.WriteString("?=")
		s = s[n:]
	}
	return b.String()
}
