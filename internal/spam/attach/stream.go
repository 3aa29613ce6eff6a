package attach

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"strings"
)

// gzip looks into what is packed: a file, or a tar.
func (s *search) gzip(f *file) error {
	if s.tooDeep(f) {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(f.data))
	if err != nil {
		s.hit(Opaque, f, "gzip that cannot be read")
		return nil
	}
	name := r.Name
	if name == "" {
		name = unpackedName(f.name)
	}
	return s.stream(f, r, name)
}

// bzip2 charges what its tables cost, however little is packed.
func (s *search) bzip2(f *file) error {
	if s.tooDeep(f) {
		return nil
	}
	s.bytes -= 1 << 20
	return s.stream(f, io.LimitReader(bzip2.NewReader(bytes.NewReader(f.data)), 4<<20), unpackedName(f.name))
}

func (s *search) stream(f *file, r io.Reader, name string) error {
	if !s.enter(f) {
		return nil
	}
	return s.look(r, f.inner(name))
}

// unpackedName is a name without the end that tells how it is packed.
func unpackedName(name string) string {
	stem, end := cutEnd(name)
	if strings.EqualFold(end, "tgz") || strings.EqualFold(end, "tbz2") {
		return stem + ".tar"
	}
	return stem
}

// tar looks into the files of a tar; what it is like after a fault is not looked
// at.
func (s *search) tar(f *file) error {
	if s.tooDeep(f) {
		return nil
	}
	r := tar.NewReader(bytes.NewReader(f.data))
	for {
		h, err := r.Next()
		if err != nil {
			switch {
			case f.cut:
				s.hit(Unopened, f, "larger than is looked into")
			case err != io.EOF:
				s.hit(Opaque, f, "tar that breaks off")
			}
			return nil
		}
		if !s.enter(f) {
			return nil
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := s.look(r, f.inner(h.Name)); err != nil {
			return err
		}
	}
}
