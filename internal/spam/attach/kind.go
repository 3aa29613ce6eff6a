package attach

import (
	"bytes"
	"encoding/binary"
)

// headBytes is how much of a file is looked at to know what it is: the name of a
// disk image's file system stands at 32,769.
const headBytes = 36 << 10

// kind is what a file is by its content.
type kind struct {
	name    string
	program bool   // it runs, or is mounted
	archive bool   // it holds files, and is not opened
	inside  format // not zero: it is looked into
}

// format is how a file is looked into.
type format uint8

const (
	asNothing format = iota
	asZip
	asGzip
	asBzip2
	asTar
	asOLE
)

// open looks into a file.
func (s *search) open(f *file, as format) error {
	switch as {
	case asZip:
		return s.zip(f)
	case asGzip:
		return s.gzip(f)
	case asBzip2:
		return s.bzip2(f)
	case asTar:
		return s.tar(f)
	case asOLE:
		s.ole(f)
	}
	return nil
}

// magics are the beginnings of files.
var magics = []struct {
	at    int
	magic string
	kind  kind
}{
	{0, "\x7fELF", kind{name: "ELF program", program: true}},
	{0, "\xfe\xed\xfa\xce", kind{name: "Mach-O program", program: true}},
	{0, "\xfe\xed\xfa\xcf", kind{name: "Mach-O program", program: true}},
	{0, "\xce\xfa\xed\xfe", kind{name: "Mach-O program", program: true}},
	{0, "\xcf\xfa\xed\xfe", kind{name: "Mach-O program", program: true}},
	{0, "\xca\xfe\xba\xbe", kind{name: "Java or Mach-O program", program: true}},
	{0, "L\x00\x00\x00\x01\x14\x02\x00", kind{name: "Windows shortcut", program: true}},
	{0, "ITSF", kind{name: "compiled help", program: true}},
	{0, "conectix", kind{name: "disk image", program: true}},
	{0, "vhdxfile", kind{name: "disk image", program: true}},
	{32769, "CD001", kind{name: "disk image", program: true}},
	{32769, "BEA01", kind{name: "disk image", program: true}},
	{0, "PK\x03\x04", kind{name: "zip", inside: asZip}},
	{0, "PK\x05\x06", kind{name: "zip", inside: asZip}},
	{0, "\x1f\x8b\x08", kind{name: "gzip", inside: asGzip}},
	{0, "BZh", kind{name: "bzip2", inside: asBzip2}},
	{0, oleMagic, kind{name: "OLE", inside: asOLE}},
	{257, "ustar", kind{name: "tar", inside: asTar}},
	{0, "Rar!\x1a\x07", kind{name: "rar archive", archive: true}},
	{0, "7z\xbc\xaf\x27\x1c", kind{name: "7z archive", archive: true}},
	{0, "MSCF\x00\x00\x00\x00", kind{name: "cab archive", archive: true}},
	{0, "\xfd7zXZ\x00", kind{name: "xz archive", archive: true}},
	{0, "\x28\xb5\x2f\xfd", kind{name: "zstd archive", archive: true}},
	{7, "**ACE**", kind{name: "ace archive", archive: true}},
	{0, "\x60\xea", kind{name: "arj archive", archive: true}},
	{2, "-lh", kind{name: "lzh archive", archive: true}},
}

func kindOf(head []byte) kind {
	if isPE(head) {
		return kind{name: "Windows program", program: true}
	}
	for i := range magics {
		m := &magics[i]
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.magic)) {
			return m.kind
		}
	}
	return kind{}
}

// isPE tells a Windows program by both of its headers: two letters alone are found
// in much else.
func isPE(b []byte) bool {
	if len(b) < 64 || b[0] != 'M' || b[1] != 'Z' {
		return false
	}
	at := int64(binary.LittleEndian.Uint32(b[60:]))
	if at+4 > int64(len(b)) {
		return at < 1<<20 && bytes.Contains(b[:min(len(b), 512)], []byte("DOS mode"))
	}
	sig := string(b[at : at+2])
	return sig == "PE" || sig == "NE" || sig == "LE"
}

// encryptedRAR tells whether a rar archive says, in its first headers, that it is
// encrypted (RAR 4 and 5 technical notes).
func encryptedRAR(b []byte) bool {
	switch {
	case bytes.HasPrefix(b, []byte("Rar!\x1a\x07\x01\x00")) && len(b) > 20:
		_, n := binary.Uvarint(b[12:]) // after the checksum: size, then type
		return n > 0 && b[12+n] == 4   // archive encryption header
	case bytes.HasPrefix(b, []byte("Rar!\x1a\x07\x00")) && len(b) > 20:
		flags := binary.LittleEndian.Uint16(b[10:])
		next := 7 + int(binary.LittleEndian.Uint16(b[12:]))
		if b[9] == 0x73 && flags&0x80 != 0 {
			return true // headers and all
		}
		return next+5 <= len(b) && b[next+2] == 0x74 && binary.LittleEndian.Uint16(b[next+3:])&0x04 != 0 // the first file
	}
	return false
}
