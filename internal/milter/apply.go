package milter

import (
	"bytes"
	"io"
	"slices"

	"posta/internal/message"
)

// piece is one field of a header that is being edited.
type piece struct {
	name string
	raw  []byte // with its line ending
}

// EditHeader gives the header that the edits make of h, in their order; edits
// that are not of the header do not count. Fields that no edit names keep their
// octets. Without edits of the header it returns h itself.
//
// A header that was edited ends with an empty line, also if h had none: what
// follows must not be taken for a field.
func EditHeader(h []byte, edits []Edit) []byte {
	if !slices.ContainsFunc(edits, Edit.ofHeader) {
		return h
	}
	before, pieces, rest := cut(h)
	for _, e := range edits {
		if e.ofHeader() {
			pieces = e.apply(pieces)
		}
	}
	out := make([]byte, 0, len(h)+512)
	out = append(out, before...)
	for _, p := range pieces {
		out = endLine(append(out, p.raw...))
	}
	if len(rest) == 0 {
		rest = []byte("\r\n")
	}
	return append(out, rest...)
}

// Apply writes the message that the edits make of a header and a body. The body
// is replaced if replaced is not nil.
func Apply(w io.Writer, header []byte, body, replaced io.Reader, edits []Edit) error {
	if _, err := w.Write(EditHeader(header, edits)); err != nil {
		return err
	}
	if replaced != nil {
		body = replaced
	}
	_, err := io.Copy(w, body)
	return err
}

// ofHeader reports whether an edit is of the header.
func (e Edit) ofHeader() bool { return e.Kind >= AddHeader && e.Kind <= DeleteHeader }

// cut parts a header into what stands before the first field (the "From " line
// of an mbox), the fields and the rest, which is the empty line or nothing.
func cut(h []byte) (before []byte, pieces []piece, rest []byte) {
	end := 0
	for f := range message.Header(h).Fields() {
		if len(pieces) == 0 {
			before = h[:f.Start]
		}
		pieces = append(pieces, piece{f.Name(), f.Raw()})
		end = f.End()
	}
	return before, pieces, h[end:]
}

// apply carries out one edit.
func (e Edit) apply(pieces []piece) []piece {
	p := piece{e.Name, []byte(e.Name + ":" + e.Value + "\r\n")}
	switch e.Kind {
	case AddHeader:
		return append(pieces, p)
	case InsertHeader:
		return slices.Insert(pieces, min(e.Index, len(pieces)), p)
	}
	if e.Kind == DeleteHeader && e.Index == 0 {
		return slices.DeleteFunc(pieces, func(p piece) bool { return equalFold(p.name, e.Name) })
	}
	at := find(pieces, e.Name, e.Index)
	switch {
	case e.Kind == DeleteHeader && at >= 0:
		return slices.Delete(pieces, at, at+1)
	case e.Kind == ChangeHeader && at >= 0:
		pieces[at] = p
	case e.Kind == ChangeHeader:
		return append(pieces, p)
	}
	return pieces
}

// find gives the place of the field of that name number n, from 1, or -1.
func find(pieces []piece, name string, n int) int {
	for i, p := range pieces {
		if equalFold(p.name, name) {
			if n--; n <= 0 {
				return i
			}
		}
	}
	return -1
}

// equalFold compares field names, which are ASCII.
func equalFold(a, b string) bool {
	return len(a) == len(b) && bytes.EqualFold([]byte(a), []byte(b))
}

// endLine supplies the line ending that the last field of a header may lack.
func endLine(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, "\r\n"...)
	}
	return b
}
