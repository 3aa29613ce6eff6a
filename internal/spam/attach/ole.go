package attach

import (
	"bytes"
	"unicode/utf16"
)

// oleMagic begins a compound file ([MS-CFB] §2.2): Word, Excel and PowerPoint
// before 2007, and whatever Office encrypts.
const oleMagic = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// ole looks for entries of the directory by their names. Directory entries have 128
// octets and stand at multiples of that ([MS-CFB] §2.6.1); reading them so, and not
// by the chain of sectors, also finds them in files whose chains are broken on
// purpose.
func (s *search) ole(f *file) {
	vba, sealed := utf16Name("_VBA_PROJECT"), utf16Name("EncryptedPackage")
	for i := 0; i+128 <= len(f.data); i += 128 {
		e := f.data[i : i+128]
		switch {
		case isEntry(e, vba):
			s.hit(Macro, f, "VBA project")
			return
		case isEntry(e, sealed):
			s.hit(Encrypted, f, "encrypted office document")
			return
		}
	}
	if f.cut {
		s.hit(Unopened, f, "larger than is looked into")
	}
}

// isEntry tells whether a directory entry is a storage or stream of the name.
func isEntry(e, name []byte) bool {
	length := int(e[64]) | int(e[65])<<8
	return length == len(name) && bytes.HasPrefix(e, name) && (e[66] == 1 || e[66] == 2)
}

// utf16Name is a name as directory entries have it, with its final zero.
func utf16Name(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}
