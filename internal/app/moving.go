package app

import (
	"context"
	"io"

	"posta/internal/command"
	"posta/internal/intake"
	"posta/internal/mailbox"
	"posta/internal/parcel"
	"posta/internal/store"
)

// storing gives the commands that move mail in the intake in their words.
func storing(in *intake.Intake) command.Appender {
	return func(ctx context.Context, a mailbox.AccountID, box mailbox.Mailbox, it parcel.Item, body io.Reader) error {
		var flags mailbox.Flags
		for _, name := range it.Flags {
			flags |= mailbox.FlagOf(name)
		}
		_, err := in.Append(ctx, intake.Stored{
			Account: a, Target: store.Target{ID: box.ID, Name: box.Name}, Flags: flags, Keywords: it.Keywords,
			InternalDate: it.Date, Size: it.Size,
		}, body)
		return err
	}
}
