package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/netip"
	"strings"
	"time"

	"posta/internal/dkim"
)

// good is the well-kept peer, as it sends the first letter.
func good() *peer {
	return &peer{
		Name: "bien", HELO: "mail.bien.test", IP: netip.MustParseAddr("192.0.2.10"),
		Door: "smtp", With: "net/smtp", TLS: true, Sign: true,
	}
}

// welcome sends the first letter from outside to ana. It is in her INBOX when
// our server says 250.
func (l *Lab) welcome(ctx context.Context) error {
	reply, err := l.post(ctx, l.house, good(), letter{
		From: "ines@bien.test", To: []string{l.users[0].Address}, Data: l.welcomeLetter(),
	})
	if err == nil && !strings.HasPrefix(reply, "250") {
		err = fmt.Errorf("our server answered %q", reply)
	}
	if err != nil {
		return fmt.Errorf("lab: the first letter: %w", err)
	}
	return nil
}

func (l *Lab) welcomeLetter() []byte {
	say := l.opt.Lang.Say
	var b bytes.Buffer
	for _, f := range [][2]string{
		{"From", mime.QEncoding.Encode("utf-8", "Inés") + " <ines@bien.test>"},
		{"To", "Ana <" + l.users[0].Address + ">"},
		{"Subject", mime.QEncoding.Encode("utf-8", say("lab.welcome.subject"))},
		{"Date", l.opt.Now().Format(time.RFC1123Z)},
		{"Message-ID", "<" + rand.Text() + "@bien.test>"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	fmt.Fprint(w, crlf(say("lab.welcome.body")))
	w.Close() // writes to memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// crlf gives each line its CRLF.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// sign puts the signatures of the well-kept peer above a letter.
func (l *Lab) sign(data []byte) ([]byte, error) {
	header, body := dkim.SplitMessage(data)
	h := dkim.NewBodyHash(dkim.Relaxed)
	h.Write(body)
	fields, err := dkim.Sign(header, h.Sum(), l.signers, dkim.SignOptions{Now: l.opt.Now()})
	if err != nil {
		return nil, fmt.Errorf("lab: sign: %w", err)
	}
	return append(fields, data...), nil
}
