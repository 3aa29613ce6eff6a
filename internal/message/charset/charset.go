package charset

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// maxLabel bounds the charset names that are looked up.
const maxLabel = 64

// lookup returns the encoding for a charset label; nil means UTF-8.
func lookup(label string) (enc encoding.Encoding, known bool) {
	label = strings.TrimSpace(label)
	switch {
	case strings.EqualFold(label, "utf-8"), strings.EqualFold(label, "utf8"):
		return nil, true
	case label == "" || len(label) > maxLabel:
		return nil, false
	case strings.EqualFold(label, "us-ascii"):
		// Software that says us-ascii often sends something else.
		return nil, false
	}
	enc, err := htmlindex.Get(label)
	if err != nil {
		return nil, false
	}
	if name, err := htmlindex.Name(enc); err == nil && (name == "utf-8" || name == "replacement") {
		// "replacement" is what browsers make of encodings that hide markup
		// (iso-2022-cn, hz-gb-2312); for mail the bytes are better than nothing.
		return nil, name == "utf-8"
	}
	return enc, true
}

// Known reports whether text in the charset can be turned into UTF-8 without
// guessing; IMAP's SEARCH and CONVERT ask. us-ascii and utf-8 are known.
func Known(label string) bool {
	_, ok := lookup(label)
	return ok || strings.EqualFold(strings.TrimSpace(label), "us-ascii")
}

// ToUTF8 returns b, which is in the named charset, as valid UTF-8.
func ToUTF8(label string, b []byte) string {
	enc, _ := lookup(label)
	if enc == nil {
		return guess(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return guess(b)
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// guess is the fall-back for unlabelled bytes: UTF-8, else windows-1252, of
// which latin-1 is a part. Bytes that mostly are UTF-8 with a fault keep it.
func guess(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	good, bad := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		i += n
	}
	if good > 2*bad {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// NewReader returns a reader of UTF-8 over r, which is in the named charset.
// For UTF-8, us-ascii and unknown charsets the bytes pass, faulty ones as
// U+FFFD. It buffers a few KiB and blocks as r does.
func NewReader(label string, r io.Reader) io.Reader {
	enc, known := lookup(label)
	switch {
	case enc != nil:
		return transform.NewReader(r, enc.NewDecoder())
	case known:
		return transform.NewReader(r, encoding.Replacement.NewEncoder())
	default:
		return transform.NewReader(r, &guesser{})
	}
}

// guesser decides at the first faulty octet what unlabelled bytes are: UTF-8
// with a fault when proper non-ASCII came before, else windows-1252.
type guesser struct {
	wide bool                  // a proper non-ASCII rune was seen
	t    transform.Transformer // nil until decided
}

func (g *guesser) Reset() { g.wide, g.t = false, nil }

func (g *guesser) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	if g.t != nil {
		return g.t.Transform(dst, src, atEOF)
	}
	valid := validPrefix(src)
	n := min(valid, len(dst))
	for n < valid && n > 0 && !utf8.RuneStart(src[n]) {
		n--
	}
	copy(dst, src[:n])
	g.wide = g.wide || utf8.RuneCount(src[:n]) < n
	switch {
	case n < valid:
		return n, n, transform.ErrShortDst
	case n == len(src):
		return n, n, nil
	case !atEOF && !utf8.FullRune(src[n:]):
		return n, n, transform.ErrShortSrc
	case g.wide:
		g.t = encoding.Replacement.NewEncoder()
	default:
		g.t = charmap.Windows1252.NewDecoder()
	}
	nDst, nSrc, err = g.t.Transform(dst[n:], src[n:], atEOF)
	return n + nDst, n + nSrc, err
}

// validPrefix returns the length of the longest prefix of whole valid runes.
func validPrefix(b []byte) int {
	if utf8.Valid(b) {
		return len(b)
	}
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}
