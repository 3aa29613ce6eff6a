package message

import (
	"encoding/base64"
)

// AppendQuotedPrintable appends text in quoted-printable: CRLF line endings
// stay line endings (LF alone becomes CRLF), lines have at most 76 octets.
func AppendQuotedPrintable(dst, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	col := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\n' || c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			if c == '\r' {
				i++
			}
			dst = append(dst, "\r\n"...)
			col = 0
			continue
		}
		atEnd := i+1 == len(text) || text[i+1] == '\n' || text[i+1] == '\r'
		// "From " and a lone dot are encoded: mbox files and careless
		// relays alter them.
		bare := c >= '!' && c <= '~' && c != '=' || (c == ' ' || c == '\t') && !atEnd
		if col == 0 && (c == '.' || c == 'F') {
			bare = false
		}
		width := 1
		if !bare {
			width = 3
		}
		if col+width > 75 {
			dst = append(dst, "=\r\n"...)
			col = 0
		}
		if bare {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', hex[c>>4], hex[c&15])
		}
		col += width
	}
	return dst
}

// AppendBase64 appends data in base64 lines of 76 octets with CRLF, the last
// line too.
func AppendBase64(dst, data []byte) []byte {
	const perLine = 57
	for len(data) > 0 {
		n := min(perLine, len(data))
		dst = base64.StdEncoding.AppendEncode(dst, data[:n])
		dst = append(dst, "\r\n"...)
		data = data[n:]
	}
	return dst
}
