package imapserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/memnet"
	"posta/internal/message"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// engine is the real store, with messages in memory beside it.
type engine struct {
	*sqlstore.Store
	mem     *memory
	account mailbox.AccountID
}

func (e *engine) Authenticate(context.Context, netip.Addr, string, string) (mailbox.AccountID, error) {
	return e.account, nil
}

func (e *engine) Append(ctx context.Context, m Appending, body io.Reader) (store.Placed, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return store.Placed{}, err
	}
	part := message.ParseBytes(raw, message.Budget{})
	d := store.Delivery{Account: m.Account, Target: store.Target{ID: m.Mailbox}, Flags: m.Flags, Keywords: m.Keywords, InternalDate: m.InternalDate, CheckQuota: true}
	d.Envelope, _ = part.Envelope.MarshalBinary()
	d.Structure, _ = part.MarshalBinary()
	a := &store.Accept{ID: mail.NewID(time.Now()), Deliveries: []store.Delivery{d}}
	a.Blob = store.NewBlob{ID: blob.NewID(time.Now()), At: blob.Location{Unit: "memory", Length: int64(len(raw))}, Size: int64(len(raw)), SHA256: sha256.Sum256(raw)}
	e.mem.mu.Lock()
	e.mem.blobs[a.Blob.ID] = raw
	e.mem.mu.Unlock()
	placed, err := e.Accept(ctx, a)
	if err != nil {
		return store.Placed{}, err
	}
	return placed[0], nil
}

// TestTwoClientsOnSQLite is the model's test over the real engine.
func TestTwoClientsOnSQLite(t *testing.T) {
	t.Parallel()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Store: s, mem: newMemory(time.Now)}
	err = s.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := store.Domain{Name: "example.org"}
		if err := tx.PutDomain(&d); err != nil {
			return store.Audit{}, err
		}
		a := store.Account{Domain: d.ID, Login: "alice@example.org"}
		err := tx.PutAccount(&a)
		e.account = a.ID
		return store.Audit{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			b := &bench{t: t, store: e.mem, l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:993"))}
			b.start(&Server{Hostname: "mx.example.org", TLS: ImplicitTLS, TLSConfig: tlsConfig, Auth: e, Store: e, Blobs: e.mem, Appender: e})
			b.at = place{e, e, e.account}
			twoClients(t, b, rand.New(rand.NewPCG(seed, 9051)), seed == 1)
		})
	}
	if err := s.Verify(t.Context(), func(x store.Breach) { t.Errorf("%v", x) }); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
