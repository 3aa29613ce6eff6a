package imapserver

import (
	"context"
	"strconv"
	"strings"

	"posta/internal/imap"
)

// loggedInCapabilities are announced after login; before it a client needs to
// know only how to log in.
var loggedInCapabilities = strings.Join([]string{
	"IMAP4rev1", "IMAP4rev2", "LITERAL+", "ID", "ENABLE", "IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "CHILDREN",
	"LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "STATUS=SIZE", "ESEARCH", "SEARCHRES", "WITHIN",
	"CONDSTORE", "QRESYNC", "BINARY", "UTF8=ACCEPT", "OBJECTID", "SAVEDATE", "PREVIEW",
}, " ")

// capabilities is the list for the state of the connection.
func (c *conn) capabilities() string {
	switch {
	case c.state != NotAuthenticated:
		return loggedInCapabilities + " APPENDLIMIT=" + strconv.FormatInt(c.limits.Message, 10)
	case c.secure:
		return "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR AUTH=PLAIN AUTH=LOGIN"
	default:
		return "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR STARTTLS LOGINDISABLED"
	}
}

func (c *conn) capability(_ context.Context, d *imap.Decoder) error {
	if err := d.End(); err != nil {
		return err
	}
	c.print("* CAPABILITY " + c.capabilities() + "\r\n")
	return nil
}
