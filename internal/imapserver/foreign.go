package imapserver

import (
	"strings"

	"posta/internal/imap"
)

// foreign knows the first lines of clients that speak another protocol, and
// tells their users where they are.
func foreign(line []byte) *imap.Reply {
	s := string(line[:min(len(line), 64)])
	first, rest, _ := strings.Cut(s, " ")
	switch strings.ToUpper(first) {
	case "USER", "PASS", "APOP", "CAPA", "STLS", "RETR", "UIDL", "QUIT", "STAT", "DELE", "TOP":
		if second, _, _ := strings.Cut(rest, " "); find(strings.ToUpper(second)) == nil {
			return imap.Bad("this is IMAP; POP3 is on port 995 with TLS and 110 with STLS")
		}
	case "EHLO", "HELO", "MAIL", "RCPT":
		return imap.Bad("this is IMAP; mail is submitted on port 465 with TLS and 587 with STARTTLS")
	case "GET", "POST", "HEAD", "CONNECT", "OPTIONS", "PUT":
		if strings.Contains(s, "HTTP/") || strings.HasPrefix(rest, "/") {
			return &imap.Reply{Status: imap.BYE, Text: "this is IMAP, not a web server"}
		}
	}
	return nil
}
