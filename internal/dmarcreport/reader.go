package dmarcreport

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// errPiece says that there is too much between two tags.
var errPiece = errors.New("dmarcreport: too much text in one place")

// cleaner gives a parser of XML bytes that it can take: valid UTF-8 without a byte
// order mark and control characters; and no more than piece octets between two calls of
// more, so that no token grows without end.
type cleaner struct {
	r       *bufio.Reader
	piece   int
	left    int
	pending [utf8.UTFMax]byte // octets of a rune that is on its way out
	from, n int
	odd     bool // something had to be changed
}

func newCleaner(r io.Reader, piece int) *cleaner {
	br := bufio.NewReaderSize(r, 32<<10)
	c := &cleaner{piece: piece, left: piece}
	head, _ := br.Peek(3)
	switch {
	case len(head) >= 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff):
		dec := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		br = bufio.NewReaderSize(dec.Reader(br), 32<<10)
	case len(head) == 3 && head[0] == 0xef && head[1] == 0xbb && head[2] == 0xbf:
		br.Discard(3)
	}
	c.r = br
	return c
}

// more allows another piece.
func (c *cleaner) more() { c.left = c.piece }

// ReadByte makes the XML decoder take octets one by one, and none in advance.
func (c *cleaner) ReadByte() (byte, error) {
	if c.left--; c.left < 0 {
		return 0, errPiece
	}
	if c.from < c.n {
		c.from++
		return c.pending[c.from-1], nil
	}
	b, err := c.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if b < utf8.RuneSelf {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' {
			c.odd = true
			return ' ', nil
		}
		return b, nil
	}
	return c.rune(b)
}

// rune reads the rest of a rune that begins with b, or takes b for windows-1252.
func (c *cleaner) rune(b byte) (byte, error) {
	c.r.UnreadByte()
	head, _ := c.r.Peek(utf8.UTFMax)
	r, n := utf8.DecodeRune(head)
	if r == utf8.RuneError && n <= 1 {
		c.odd = true
		r, n = charmap.Windows1252.DecodeByte(b), 1
	}
	c.r.Discard(n)
	if r == 0xfffe || r == 0xffff { // XML takes neither
		r = utf8.RuneError
	}
	c.n, c.from = utf8.EncodeRune(c.pending[:], r), 1
	return c.pending[0], nil
}

// Read is there so that cleaner is an io.Reader; the decoder uses ReadByte.
func (c *cleaner) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := c.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}
