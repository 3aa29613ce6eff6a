package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"posta/internal/blob"
)

// Result is what a scan found besides the intact records.
type Result struct {
	Damage  []blob.Damage // before End
	End     int64         // where the last intact record ends (UnitHeaderBytes if there is none)
	Records int64         // intact ones
	Batch   int64         // where the batch of the last intact record begins
	Tail    int64         // bytes after End that are not zeros to the end: a torn write, or damage
}

// Scan visits the intact records of a unit between its header and size. A stretch that is no intact
// record is searched for the next record header of this unit; zeros to the end are no damage but space
// reserved. A read error that is ErrCorrupt counts as damage of 4 KiB, any other error ends the scan,
// as does one of visit.
func Scan(ctx context.Context, src io.ReaderAt, unit string, size int64, salt Salt, visit func(blob.Entry) error) (Result, error) {
	s := scanner{src: src, unit: unit, size: size, magic: append([]byte(recordMagic), salt[:]...), salt: salt}
	res := Result{End: UnitHeaderBytes, Batch: UnitHeaderBytes}
	for off := int64(UnitHeaderBytes); off < size; {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		h, err := s.record(off)
		if err == nil {
			if off > res.End {
				res.Damage = append(res.Damage, blob.Damage{Unit: unit, Offset: res.End, Length: off - res.End, Err: s.cause})
			}
			if err := visit(h.Entry); err != nil {
				return res, err
			}
			res.Batch = max(off-int64(h.IntoBatch), UnitHeaderBytes)
			off += h.length()
			res.End = off
			res.Records++
			continue
		}
		if !errors.Is(err, blob.ErrCorrupt) {
			return res, err
		}
		if off == res.End {
			s.cause = err
		}
		if off, err = s.next(off + 1); err != nil {
			return res, err
		}
	}
	tail, err := s.tail(res.End)
	res.Tail = tail
	return res, err
}

// DamageBefore returns the damage that begins before off, where a torn batch begins.
func (r *Result) DamageBefore(off int64) []blob.Damage {
	i := slices.IndexFunc(r.Damage, func(d blob.Damage) bool { return d.Offset >= off })
	if i < 0 {
		return r.Damage
	}
	return r.Damage[:i]
}

type scanner struct {
	src   io.ReaderAt
	unit  string
	size  int64
	salt  Salt
	magic []byte
	buf   []byte
	cause error // why the current damaged stretch began
}

// record reads and verifies the record at off.
func (s *scanner) record(off int64) (Header, error) {
	if s.size-off < MinBytes {
		return Header{}, errHeader
	}
	var fixed [HeaderBytes]byte
	if err := readFull(s.src, fixed[:], off); err != nil {
		return Header{}, err
	}
	h, accept, err := parseFixed(fixed[:], s.salt)
	if err != nil {
		return Header{}, err
	}
	length := Length(accept, h.Stored)
	if length > s.size-off {
		return Header{}, fmt.Errorf("%w: blob %v is cut off", blob.ErrCorrupt, h.ID)
	}
	head := s.buffer(HeaderBytes + accept + sumBytes)
	if err := readFull(s.src, head, off); err != nil {
		return Header{}, err
	}
	if err := h.acceptFrom(head, accept); err != nil {
		return Header{}, err
	}
	h.Location = blob.Location{Unit: s.unit, Offset: off, Length: length}
	at := off + h.payloadOffset()
	for i := range chunks(h.Stored) {
		chunk := s.buffer(int(min(ChunkBytes, h.Stored-i*ChunkBytes)) + sumBytes)
		if err := readFull(s.src, chunk, at); err != nil {
			return Header{}, err
		}
		if !h.chunkOK(i, chunk) {
			return Header{}, h.badChunk(i)
		}
		at += int64(len(chunk))
	}
	return h, nil
}

func (s *scanner) buffer(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, max(n, int(min(ChunkBytes+sumBytes, s.size))))
	}
	return s.buf[:n]
}

// block is how much is skipped when the medium cannot be read.
const block = 4096

// next returns the offset of the next record magic at or after off, or size.
func (s *scanner) next(off int64) (int64, error) {
	for off < s.size {
		window := s.buffer(int(min(ChunkBytes, s.size-off)))
		err := readFull(s.src, window, off)
		if errors.Is(err, blob.ErrCorrupt) && len(window) > block {
			window = window[:block]
			err = readFull(s.src, window, off)
		}
		if errors.Is(err, blob.ErrCorrupt) {
			off += int64(len(window))
			continue
		}
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(window, s.magic); i >= 0 {
			return off + int64(i), nil
		}
		// The magic may begin in the last bytes of the window.
		off += int64(max(1, len(window)-len(s.magic)+1))
	}
	return s.size, nil
}

// tail returns how many bytes from off on remain when the zeros at the end are left out.
func (s *scanner) tail(off int64) (int64, error) {
	var used int64
	for at := off; at < s.size; {
		window := s.buffer(int(min(ChunkBytes, s.size-at)))
		switch err := readFull(s.src, window, at); {
		case errors.Is(err, blob.ErrCorrupt):
			used = at + int64(len(window)) - off
		case err != nil:
			return used, err
		default:
			if n := len(bytes.TrimRight(window, "\x00")); n > 0 {
				used = at + int64(n) - off
			}
		}
		at += int64(len(window))
	}
	return used, nil
}
