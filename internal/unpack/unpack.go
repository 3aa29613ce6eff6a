// Package unpack takes files out of what reports of mail come in: gzip (RFC 1952), zip,
// or nothing, told apart by their first octets, never by their names, since reporters
// mislabel them; one inside the other one level deep. What it may cost is bounded
// ([Limits]), whatever the headers of an archive say: a bomb ends with ErrLimit.
package unpack

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Errors of Each. Those of visit are returned as they are.
var (
	ErrLimit   = errors.New("unpack: over budget")
	ErrCorrupt = errors.New("unpack: broken archive")
)

// Limits bound what unpacking may cost. Zero fields mean the default.
type Limits struct {
	Packed   int   // octets of an archive; 25 MiB
	Unpacked int64 // octets of all files together; 100 MiB
	Ratio    int64 // unpacked octets for each packed one, beyond the first MiB; 250
	Files    int   // in one archive; 20
}

func (l Limits) withDefaults() Limits {
	l.Packed = cmp.Or(l.Packed, 25<<20)
	l.Unpacked = cmp.Or(l.Unpacked, 100<<20)
	l.Ratio = cmp.Or(l.Ratio, 250)
	l.Files = cmp.Or(l.Files, 20)
	return l
}

const freeRatio = 1 << 20 // octets that any archive may become

// Each calls visit with each file that is in data, in order, as a stream; of what is no
// archive with the whole. It ends at the first error. A reader is valid until visit
// returns.
func Each(data []byte, lim Limits, visit func(io.Reader) error) error {
	lim = lim.withDefaults()
	if len(data) > lim.Packed {
		return fmt.Errorf("%w: %d octets packed", ErrLimit, len(data))
	}
	left := min(lim.Unpacked, freeRatio+lim.Ratio*int64(len(data)))
	u := &unpacker{lim: lim, left: left, visit: visit}
	return u.open(data, 0)
}

type unpacker struct {
	lim   Limits
	left  int64
	visit func(io.Reader) error
}

// depth is how many archives may be inside each other.
const depth = 2

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b }

func isZip(b []byte) bool {
	return bytes.HasPrefix(b, []byte("PK\x03\x04")) || bytes.HasPrefix(b, []byte("PK\x05\x06"))
}

func (u *unpacker) open(data []byte, level int) error {
	switch {
	case level < depth && isGzip(data):
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return u.file(z, level)
	case level < depth && isZip(data):
		return u.zip(data, level)
	}
	return u.pass(bytes.NewReader(data))
}

func (u *unpacker) zip(data []byte, level int) error {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are not used
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(z.File) > u.lim.Files {
		return fmt.Errorf("%w: %d files", ErrLimit, len(z.File))
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		err = u.file(r, level)
		if cerr := r.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w: %w", ErrCorrupt, cerr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file visits what is unpacked, or opens it if it is an archive itself.
func (u *unpacker) file(r io.Reader, level int) error {
	in := &meter{u: u, r: r}
	head := make([]byte, 4)
	n, err := io.ReadFull(in, head)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) || in.err != nil {
		return err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), in)
	if level+1 < depth && (isGzip(head[:n]) || isZip(head[:n])) {
		data, err := io.ReadAll(io.LimitReader(whole, int64(u.lim.Packed)+1))
		if err != nil {
			return err
		}
		if len(data) > u.lim.Packed {
			return fmt.Errorf("%w: an archive of more than %d octets in another", ErrLimit, u.lim.Packed)
		}
		return u.open(data, level+1)
	}
	err = u.visit(whole)
	return cmp.Or(in.err, err)
}

func (u *unpacker) pass(r io.Reader) error {
	in := &meter{u: u, r: r}
	err := u.visit(in)
	return cmp.Or(in.err, err)
}

// meter counts what comes out, and keeps its own error over what visit makes of it.
type meter struct {
	u   *unpacker
	r   io.Reader
	err error
}

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.u.left <= 0 {
		if n, err := m.r.Read(make([]byte, 1)); n == 0 && err == io.EOF {
			return 0, io.EOF // it just fits
		}
		m.err = fmt.Errorf("%w: it becomes too large", ErrLimit)
		return 0, m.err
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.u.left)])
	m.u.left -= int64(n)
	if err != nil && err != io.EOF {
		m.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		err = m.err
	}
	return n, err
}
