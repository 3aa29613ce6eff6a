// Package parcel is how messages travel between the command line and the house in one
// stream: for each a line of JSON with its place, flags and size, then its octets. The
// last line says that the stream is whole; one that is cut off is never taken for whole.
package parcel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine bounds the line of an item.
const maxLine = 256 << 10

// Item is one message. Its octets follow; what of them a reader has left when it asks
// for the next item is skipped.
type Item struct {
	Mailbox  int64     `json:"mailbox,omitempty"`
	UID      uint32    `json:"uid,omitempty"`
	Flags    []string  `json:"flags,omitempty"`    // system flags of IMAP: "\\Seen"
	Keywords []string  `json:"keywords,omitempty"` // other ones
	Date     time.Time `json:"date,omitzero"`      // INTERNALDATE
	Size     int64     `json:"size"`               // octets
}

// line is an item, or the end.
type line struct {
	Item
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"` // with End: the stream broke off
}

// Errors of a Reader.
var (
	ErrCut    = errors.New("parcel: the stream was cut off")
	ErrSyntax = errors.New("parcel: no stream of messages")
)

// Writer writes a stream.
type Writer struct{ w *bufio.Writer }

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, 64<<10)} }

// Add writes an item with its octets, of which r must have exactly Size.
func (w *Writer) Add(it Item, r io.Reader) error {
	if err := w.line(line{Item: it}); err != nil {
		return err
	}
	n, err := io.Copy(w.w, io.LimitReader(r, it.Size))
	if err == nil && n < it.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// End closes the stream, after which nothing may be added; why is nil if it is whole.
func (w *Writer) End(why error) error {
	l := line{End: true}
	if why != nil {
		l.Error = why.Error()
	}
	return errors.Join(w.line(l), w.w.Flush())
}

func (w *Writer) line(l line) error {
	b, err := json.Marshal(l)
	if err == nil {
		_, err = w.w.Write(append(b, '\n'))
	}
	return err
}

// Reader reads a stream.
type Reader struct {
	r    *bufio.Reader
	body io.LimitedReader
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	b := bufio.NewReaderSize(r, 64<<10)
	return &Reader{r: b, body: io.LimitedReader{R: b}}
}

// Next returns the next item and its octets; io.EOF behind the last of a whole stream.
func (r *Reader) Next() (Item, io.Reader, error) {
	if _, err := io.Copy(io.Discard, &r.body); err != nil || r.body.N > 0 {
		return Item{}, nil, errors.Join(ErrCut, err)
	}
	raw, err := r.readLine()
	if err != nil {
		return Item{}, nil, err
	}
	var l line
	if err := json.Unmarshal(raw, &l); err != nil || l.Size < 0 {
		return Item{}, nil, fmt.Errorf("%w: %.80q", ErrSyntax, raw)
	}
	switch {
	case l.End && l.Error != "":
		return Item{}, nil, errors.New(l.Error)
	case l.End:
		return Item{}, nil, io.EOF
	}
	r.body.N = l.Size
	return l.Item, &r.body, nil
}

func (r *Reader) readLine() ([]byte, error) {
	var out []byte
	for {
		piece, err := r.r.ReadSlice('\n')
		out = append(out, piece...)
		switch {
		case err == nil:
			return out, nil
		case len(out) > maxLine:
			return nil, fmt.Errorf("%w: a line has more than %d octets", ErrSyntax, maxLine)
		case err != bufio.ErrBufferFull:
			return nil, errors.Join(ErrCut, err)
		}
	}
}
