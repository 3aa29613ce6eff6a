package smtp

import (
	"strconv"
	"strings"
)

// Append writes the parameters as they follow the reverse-path, each with a
// space before it. Which of them the server understands is the caller's to know
// (Extensions).
func (m MailParams) Append(dst []byte) []byte {
	if m.Size > 0 {
		dst = append(dst, " SIZE="...)
		dst = strconv.AppendInt(dst, m.Size, 10)
	}
	switch m.Body {
	case EightBit:
		dst = append(dst, " BODY=8BITMIME"...)
	case BinaryMIME:
		dst = append(dst, " BODY=BINARYMIME"...)
	}
	if m.UTF8 {
		dst = append(dst, " SMTPUTF8"...)
	}
	if m.RequireTLS {
		dst = append(dst, " REQUIRETLS"...)
	}
	if m.HasRet && m.RetFull {
		dst = append(dst, " RET=FULL"...)
	} else if m.HasRet {
		dst = append(dst, " RET=HDRS"...)
	}
	if m.EnvID != "" {
		dst = AppendXtext(append(dst, " ENVID="...), m.EnvID)
	}
	if m.Auth != "" {
		dst = AppendXtext(append(dst, " AUTH="...), m.Auth)
	}
	return dst
}

// Append writes the parameters as they follow the forward-path, each with a
// space before it.
func (r RcptParams) Append(dst []byte) []byte {
	if r.Notify != 0 {
		dst = append(append(dst, " NOTIFY="...), r.Notify.String()...)
	}
	kind, address, ok := strings.Cut(r.Orcpt, ";")
	if !ok {
		return dst
	}
	dst = append(append(append(dst, " ORCPT="...), kind...), ';')
	if strings.EqualFold(kind, "utf-8") {
		return appendUTF8Xtext(dst, address)
	}
	return AppendXtext(dst, address)
}

// appendUTF8Xtext writes utf-8-addr-xtext (RFC 6533 §3), which passes servers
// without SMTPUTF8.
func appendUTF8Xtext(dst []byte, s string) []byte {
	for _, r := range s {
		if r > ' ' && r <= '~' && r != '+' && r != '=' && r != '\\' {
			dst = append(dst, byte(r))
			continue
		}
		dst = append(dst, `\x{`...)
		dst = append(dst, strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
		dst = append(dst, '}')
	}
	return dst
}
