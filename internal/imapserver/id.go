package imapserver

import (
	"context"
	"log/slog"
	"strings"

	"posta/internal/imap"
)

// id tells our name, not our version, and keeps the client's in the log.
func (c *conn) id(ctx context.Context, d *imap.Decoder) error {
	pairs, err := d.ID()
	if err != nil {
		return err
	}
	var name, version string
	for _, p := range pairs {
		switch strings.ToLower(p[0]) {
		case "name":
			name = p[1]
		case "version":
			version = p[1]
		}
	}
	c.log.DebugContext(ctx, "imap: client", slog.String("name", name), slog.String("version", version))
	c.print("* ID (\"name\" \"Posta\")\r\n")
	return nil
}
