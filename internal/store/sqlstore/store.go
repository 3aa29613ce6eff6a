package sqlstore

import (
	"time"

	"posta/internal/durable"
)

// Store implements store.Store on an engine.
type Store struct {
	main  engine // metadata of mail
	side  engine // what finds traces; the same as main in PostgreSQL
	fail  *durable.Failpoints
	clock func() time.Time
	wakes *notifier
}
