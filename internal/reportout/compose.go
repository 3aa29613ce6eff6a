package reportout

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"posta/internal/addr"
)

// letter is a report as mail.
type letter struct {
	from, to addr.Address
	subject  string
	id       string // unique, and the same for the same report
	at       time.Time
	extra    []string // header fields of the kind of report, without CRLF
	kind     string   // media type of the whole with its parameters but the boundary
	says     []string // lines for a person
	media    string   // of the file
	name     string   // of the file
	file     []byte

	tlsOptional bool // it leaves though TLS fails
}

// compose writes the message with CRLF, in ASCII.
func (l *letter) compose() []byte {
	var b bytes.Buffer
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	boundary := "=_" + digest(l.id)
	line("From: <%s>", l.from)
	line("To: <%s>", l.to)
	line("Subject: %s", fold(l.subject))
	line("Date: %s", l.at.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	line("Message-ID: <%s@%s>", l.id, l.from.Domain)
	for _, e := range l.extra {
		line("%s", e)
	}
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line("Content-Type: %s;\r\n\tboundary=\"%s\"", l.kind, boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line("")
	for _, s := range l.says {
		line("%s", s)
	}
	line("--%s", boundary)
	line("Content-Type: %s", l.media)
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;\r\n\tfilename=\"%s\"", l.name)
	line("")
	for text := base64.StdEncoding.EncodeToString(l.file); text != ""; {
		n := min(76, len(text))
		line("%s", text[:n])
		text = text[n:]
	}
	line("--%s--", boundary)
	return b.Bytes()
}

// fold breaks a long subject between words (RFC 5322 §2.2.3).
func fold(s string) string {
	var out strings.Builder
	at := len("Subject: ")
	for i, w := range strings.Fields(s) {
		switch {
		case i == 0:
		case at+1+len(w) > 76:
			out.WriteString("\r\n ")
			at = 1
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(w)
		at += len(w)
	}
	return out.String()
}

// zipped compresses a report.
func zipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
