package imap

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted is the longest quoted string written; a longer text goes as a
// literal, since some clients bound their lines.
const maxQuoted = 1000

// AppendString writes string: quoted where it can be, else a literal, else
// literal8. With utf8ok (after ENABLE of UTF8=ACCEPT or IMAP4rev2) UTF-8 may be
// quoted.
func AppendString(b []byte, s string, utf8ok bool) []byte {
	if !quotable(s, utf8ok) {
		return append(AppendLiteralHead(b, int64(len(s)), strings.IndexByte(s, 0) >= 0), s...)
	}
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

func quotable(s string, utf8ok bool) bool {
	if len(s) > maxQuoted {
		return false
	}
	high := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x80:
			high = true
		case c == '\r' || c == '\n' || c == 0:
			return false
		}
	}
	return !high || utf8ok && utf8.ValidString(s)
}

// AppendNString writes nstring: NIL when ok is false.
func AppendNString(b []byte, s string, ok, utf8ok bool) []byte {
	if !ok {
		return append(b, "NIL"...)
	}
	return AppendString(b, s, utf8ok)
}

// AppendAstring writes an atom where it can, else a string. NIL is quoted, since
// readers of nstring would take the atom for nothing.
func AppendAstring(b []byte, s string, utf8ok bool) []byte {
	if IsAtom(s) && !strings.EqualFold(s, "NIL") {
		return append(b, s...)
	}
	return AppendString(b, s, utf8ok)
}

// AppendMailbox writes a mailbox name given in UTF-8: as UTF-8 for clients that
// enabled it, as modified UTF-7 for others.
func AppendMailbox(b []byte, name string, utf8ok bool) []byte {
	if !utf8ok {
		name = EncodeUTF7(name)
	}
	return AppendAstring(b, name, utf8ok)
}

// AppendLiteralHead writes what announces size octets from the server, which the
// caller writes next: {n} CRLF, or ~{n} CRLF for a literal8.
func AppendLiteralHead(b []byte, size int64, binary bool) []byte {
	if binary {
		b = append(b, '~')
	}
	b = append(b, '{')
	b = strconv.AppendInt(b, size, 10)
	return append(b, "}\r\n"...)
}

// AppendList writes texts as they stand, parted by spaces, in parentheses.
func AppendList(b []byte, items []string) []byte {
	b = append(b, '(')
	for i, s := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, s...)
	}
	return append(b, ')')
}
