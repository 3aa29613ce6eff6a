package sqlstore

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"posta/internal/mailbox"
)

// Bounds of the bus.
const (
	busChannel = "posta"
	busPause   = 50 * time.Millisecond // wake-ups of so long become one NOTIFY
	busPayload = 7000                  // octets; PostgreSQL allows 8,000
	busRedial  = time.Second
)

// pgBus tells other nodes which accounts have changed. It is a hint outside of
// all transactions: NOTIFY inside would make commits wait for each other. After a
// gap everybody here is woken.
type pgBus struct {
	pool  *pgxpool.Pool
	wakes *notifier
	node  string // own messages come back and are passed over

	mu      sync.Mutex
	pending map[mailbox.AccountID]bool
	poke    chan struct{}

	stop context.CancelFunc
	wg   sync.WaitGroup
}

func newPGBus(pool *pgxpool.Pool, wakes *notifier) *pgBus {
	ctx, stop := context.WithCancel(context.Background())
	b := &pgBus{
		pool: pool, wakes: wakes, node: rand.Text(), pending: map[mailbox.AccountID]bool{},
		poke: make(chan struct{}, 1), stop: stop,
	}
	b.wg.Go(func() { b.send(ctx) })
	b.wg.Go(func() { b.listen(ctx) })
	return b
}

func (b *pgBus) close() {
	b.stop()
	b.wg.Wait()
}

// tell never blocks.
func (b *pgBus) tell(accounts []mailbox.AccountID) {
	if len(accounts) == 0 {
		return
	}
	b.mu.Lock()
	for _, a := range accounts {
		b.pending[a] = true
	}
	b.mu.Unlock()
	poke(b.poke)
}

func (b *pgBus) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.poke:
		}
		for _, payload := range b.payloads() {
			// A hint that is lost is replaced by the followers' own look every 30 s.
			_, _ = b.pool.Exec(ctx, "SELECT pg_notify($1, $2)", busChannel, payload)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(busPause):
		}
	}
}

// payloads empties what is pending into as few messages as possible.
func (b *pgBus) payloads() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	text := b.node
	for a := range b.pending {
		if len(text) > busPayload {
			out, text = append(out, text), b.node
		}
		text += " " + strconv.FormatInt(int64(a), 36)
	}
	clear(b.pending)
	return append(out, text)
}

func (b *pgBus) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = b.listenOnce(ctx) // whatever it was, the way on is to dial again
		select {
		case <-ctx.Done():
		case <-time.After(busRedial):
		}
	}
}

func (b *pgBus) listenOnce(ctx context.Context) error {
	lent, err := b.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := lent.Hijack() // it listens for as long as it lives
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+busChannel); err != nil {
		return err
	}
	b.wakes.wakeAll()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		node, list, _ := strings.Cut(n.Payload, " ")
		if node == b.node {
			continue
		}
		for _, text := range strings.Fields(list) {
			if a, err := strconv.ParseInt(text, 36, 64); err == nil {
				b.wakes.wake([]mailbox.AccountID{mailbox.AccountID(a)})
			}
		}
	}
}
