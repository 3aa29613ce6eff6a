package attach

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"
)

// Sizes of the records of a zip file (APPNOTE.TXT §4.3).
const (
	zipEndBytes     = 22
	zipCentralBytes = 46
	zipLocalBytes   = 30
)

// zipEntry is what the central directory says of a file.
type zipEntry struct {
	name          string
	flags, method uint16
	packed, whole uint32
	local         uint32
}

// zip walks the central directory, one entry at a time, so that a directory of a
// million entries costs no more than those that are looked at.
func (s *search) zip(f *file) error {
	if s.tooDeep(f) {
		return nil
	}
	directory, base, ok := zipDirectory(f.data)
	switch {
	case !ok && f.cut:
		s.hit(Unopened, f, "larger than is looked into")
		return nil
	case !ok:
		s.hit(Opaque, f, "zip without a readable directory")
		return nil
	}
	encrypted := 0
	for {
		var e zipEntry
		if e, directory, ok = nextZipEntry(directory); !ok {
			break
		}
		if !s.enter(f) {
			break
		}
		in := f.inner(e.name)
		if what := macroPart(e.name); what != "" {
			s.hit(Macro, f, what)
		}
		if e.flags&1 != 0 {
			encrypted++
			s.byName(in, kind{})
			continue
		}
		if err := s.zipFile(f, in, base, e); err != nil {
			return err
		}
	}
	if encrypted > 0 {
		s.hit(Encrypted, f, fmt.Sprintf("%d encrypted entries", encrypted))
	}
	return nil
}

// macroPart tells the parts of OOXML that hold macros.
func macroPart(name string) string {
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, "vbaproject.bin"):
		return "VBA project"
	case strings.HasPrefix(lower, "xl/macrosheets/"):
		return "macro sheet"
	}
	return ""
}

// zipFile looks into one entry.
func (s *search) zipFile(f, in *file, base int, e zipEntry) error {
	if strings.HasSuffix(e.name, "/") {
		return nil
	}
	if e.whole > 1<<20 && int64(e.whole) > int64(e.packed)*int64(s.b.Ratio) {
		s.byName(in, kind{})
		s.hit(Opaque, in, fmt.Sprintf("grows from %d to %d octets", e.packed, e.whole))
		return nil
	}
	data, ok := zipData(f.data, base, e)
	if !ok {
		s.byName(in, kind{})
		s.hit(Opaque, in, "entry out of place")
		return nil
	}
	switch e.method {
	case 0:
		return s.look(bytes.NewReader(data), in)
	case 8:
		// Its errors end the entry early; what came before them is looked at.
		return s.look(flate.NewReader(bytes.NewReader(data)), in)
	}
	s.byName(in, kind{})
	s.hit(Unopened, in, fmt.Sprintf("compression method %d", e.method))
	return nil
}

// zipDirectory finds the central directory by the record at the end. base is where
// the archive begins: a program may stand before it.
func zipDirectory(b []byte) (directory []byte, base int, ok bool) {
	from := max(0, len(b)-zipEndBytes-1<<16)
	i := bytes.LastIndex(b[from:], []byte("PK\x05\x06"))
	if i < 0 || from+i+zipEndBytes > len(b) {
		return nil, 0, false
	}
	end := b[from+i:]
	size, offset := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	start := int64(from+i) - size
	if start < 0 || offset > start {
		return nil, 0, false // broken, or of the 64-bit form
	}
	return b[start : from+i], int(start - offset), true
}

// nextZipEntry reads the first entry of a directory.
func nextZipEntry(d []byte) (e zipEntry, rest []byte, ok bool) {
	if len(d) < zipCentralBytes || string(d[:4]) != "PK\x01\x02" {
		return e, nil, false
	}
	le := binary.LittleEndian
	n := int(le.Uint16(d[28:]))
	all := zipCentralBytes + n + int(le.Uint16(d[30:])) + int(le.Uint16(d[32:]))
	if all > len(d) {
		return e, nil, false
	}
	return zipEntry{
		name:  strings.ToValidUTF8(string(d[zipCentralBytes:zipCentralBytes+n]), "\uFFFD"),
		flags: le.Uint16(d[8:]), method: le.Uint16(d[10:]),
		packed: le.Uint32(d[20:]), whole: le.Uint32(d[24:]), local: le.Uint32(d[42:]),
	}, d[all:], true
}

// zipData is the packed data of an entry.
func zipData(b []byte, base int, e zipEntry) ([]byte, bool) {
	at := int64(base) + int64(e.local)
	if at+zipLocalBytes > int64(len(b)) || string(b[at:at+4]) != "PK\x03\x04" {
		return nil, false
	}
	h := b[at:]
	at += zipLocalBytes + int64(binary.LittleEndian.Uint16(h[26:])) + int64(binary.LittleEndian.Uint16(h[28:]))
	end := at + int64(e.packed)
	if end > int64(len(b)) {
		return nil, false
	}
	return b[at:end], true
}
