package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrUTF7 says that a mailbox name is not modified UTF-7 in its one canonical
// form (RFC 3501 §5.1.3).
var ErrUTF7 = errors.New("mailbox name is not modified UTF-7")

// utf7Base64 is the alphabet of RFC 3501 §5.1.3: "," stands for "/", no padding,
// unused bits are zero.
var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// DecodeUTF7 turns a mailbox name of IMAP4rev1 into UTF-8. Only the canonical
// form is taken, so that two spellings never name one mailbox.
func DecodeUTF7(s string) (string, error) {
	if strings.IndexByte(s, '&') < 0 {
		for i := range len(s) {
			if s[i] < ' ' || s[i] >= 0x7f {
				return "", ErrUTF7
			}
		}
		return s, nil
	}
	var out strings.Builder
	shifted := false // the run before ended with a shift back to ASCII
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c < ' ' || c >= 0x7f:
			return "", ErrUTF7
		case c != '&':
			out.WriteByte(c)
			shifted = false
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", ErrUTF7
		}
		run := s[i+1 : i+end]
		i += end
		if run == "" {
			out.WriteByte('&')
			shifted = false
			continue
		}
		if shifted {
			return "", ErrUTF7 // "&…-&…-": a superfluous shift
		}
		shifted = true
		if err := decodeRun(&out, run); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// decodeRun decodes one base64 run of UTF-16. Printable ASCII may not hide in it.
func decodeRun(out *strings.Builder, run string) error {
	if strings.ContainsAny(run, "\r\n") { // which Go's decoder passes over
		return ErrUTF7
	}
	raw, err := utf7Base64.DecodeString(run)
	if err != nil || len(raw)%2 != 0 {
		return ErrUTF7
	}
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			if i+3 >= len(raw) {
				return ErrUTF7
			}
			low := rune(raw[i+2])<<8 | rune(raw[i+3])
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return ErrUTF7
			}
			i += 2
		}
		if r >= ' ' && r < 0x7f {
			return ErrUTF7
		}
		out.WriteRune(r)
	}
	return nil
}

// EncodeUTF7 turns a UTF-8 mailbox name into modified UTF-7. Octets that are not
// UTF-8 become U+FFFD.
func EncodeUTF7(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '&' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var out strings.Builder
	var run []byte
	flush := func() {
		if len(run) > 0 {
			out.WriteByte('&')
			out.WriteString(utf7Base64.EncodeToString(run))
			out.WriteByte('-')
			run = run[:0]
		}
	}
	for _, r := range s {
		if r >= ' ' && r < 0x7f {
			flush()
			out.WriteByte(byte(r))
			if r == '&' {
				out.WriteByte('-')
			}
			continue
		}
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			run = append(run, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
		} else {
			run = append(run, byte(r>>8), byte(r))
		}
	}
	flush()
	return out.String()
}
