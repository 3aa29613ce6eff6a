package imapserver

import (
	"context"
	"strings"

	"posta/internal/imap"
)

// enable turns on what changes the dialogue. IMAP4rev2 brings UTF-8 names
// (RFC 9051 §6.3.1), QRESYNC brings CONDSTORE (RFC 7162 §3.2.3). What is unknown
// is passed over.
func (c *conn) enable(ctx context.Context, d *imap.Decoder) error {
	names, err := d.Enable()
	if err != nil {
		return err
	}
	var on []string
	for _, n := range names {
		switch n {
		case "IMAP4REV2":
			c.rev2, c.utf8 = true, true
			n = "IMAP4rev2"
		case "UTF8=ACCEPT":
			c.utf8 = true
		case "CONDSTORE":
			c.condstore = true
		case "QRESYNC":
			c.condstore, c.qresync = true, true
		default:
			continue
		}
		on = append(on, n)
	}
	c.print(strings.TrimRight("* ENABLED "+strings.Join(on, " "), " ") + "\r\n")
	return nil
}
