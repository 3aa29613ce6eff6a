package queue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/durable"
	"posta/internal/mail"
	"posta/internal/memnet"
	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/route"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/trace"
)

// real is the queue on the stores that a server has, in real time.
type real struct {
	store *sqlstore.Store
	blobs *pack.Store
	sink  *countingSink
	queue *Queue
	relay *relay.Relay
}

func newReal(t testing.TB, perHost int) *real {
	dir := t.TempDir()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	disk, err := durable.OpenOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	blobs, err := pack.Open(t.Context(), disk, "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	r := &real{store: st, blobs: blobs, sink: newCountingSink(t)}
	r.relay = relay.New(relay.Config{Hostname: "mail.posta.test", Dial: r.sink.dial, PerHost: perHost})
	t.Cleanup(func() { r.relay.Close() })
	r.queue = New(Config{
		Store: st, Blobs: blobs, Relay: r.relay, Hostname: "mail.posta.test",
		Router: route.New(route.Config{}, resolver.Static{"*.test": {"A 192.0.2.1"}}),
	})
	return r
}

// accept enqueues one message as intake does.
func (r *real) accept(t testing.TB, body string, recipients []store.QueueTo) mail.ID {
	now := time.Now()
	id, b := mail.NewID(now), blob.NewID(now)
	sum := sha256.Sum256([]byte(body))
	at, err := r.blobs.Put(t.Context(), []blob.Record{{ID: b, SHA256: sum, Body: blob.Bytes([]byte(body))}})
	if err != nil {
		t.Fatal(err)
	}
	rec := (&trace.Record{ID: id, At: now}).Encode()
	_, err = r.store.Accept(t.Context(), &store.Accept{
		ID: id, Blob: store.NewBlob{ID: b, At: at[0], Size: int64(len(body)), SHA256: sum}, Trace: &rec,
		Enqueues: []store.Enqueue{{ReversePath: "ana@posta.test", Prefix: []byte("Received: x\r\n"), Expires: now.Add(time.Hour), Recipients: recipients}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// run works until n recipients have arrived.
func (r *real) run(t testing.TB, n int) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.queue.Run(ctx) }()
	for end := time.Now().Add(30 * time.Second); r.queue.Stats().Delivered < int64(n) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
}

// On the real stores: messages to many domains, each recipient once, and each
// told in the trace.
func TestRealStore(t *testing.T) {
	r := newReal(t, 64)
	var ids []mail.ID
	for i := range 50 {
		var rcpts []store.QueueTo
		for j := range 4 {
			d := fmt.Sprintf("d%d.test", (i+j)%20)
			rcpts = append(rcpts, store.QueueTo{Address: fmt.Sprintf("u%d@%s", i, d), Domain: d})
		}
		ids = append(ids, r.accept(t, aLetter, rcpts))
	}
	r.run(t, 200)
	if n := r.sink.count(); n != 200 || r.queue.Stats().Delivered != 200 {
		t.Errorf("%d recipients arrived, %+v", n, r.queue.Stats())
	}
	if stats, err := r.store.QueueStats(t.Context()); err != nil || len(stats) != 0 {
		t.Errorf("left in the queue: %+v %v", stats, err)
	}
	for _, id := range ids {
		tr, err := r.store.Trace(t.Context(), id)
		if err != nil || len(tr.Events) != 4 {
			t.Fatalf("%d events, %v", len(tr.Events), err)
		}
		if ev, err := trace.DecodeEvent(tr.Events[0]); err != nil || ev.Kind != "delivered" {
			t.Errorf("%+v %v", ev, err)
		}
	}
	r.store.Verify(t.Context(), func(b store.Breach) { t.Error(b) })
}

// BenchmarkQueue is one message of 12 KiB from the claim to its record, with the
// stores, the relay and a cheap server on the other side.
func BenchmarkQueue(b *testing.B) {
	r := newReal(b, 1000)
	body := aLetter
	for len(body) < 12<<10 {
		body += "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		for i := range 500 {
			d := fmt.Sprintf("d%d.test", i%50)
			r.accept(b, body, []store.QueueTo{{Address: "u@" + d, Domain: d}})
		}
		n += 500
		b.StartTimer()
		r.run(b, n)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/message")
}

// countingSink is the cheapest server: it takes everything and counts.
type countingSink struct {
	listener *memnet.Listener
	mu       sync.Mutex
	rcpts    int
}

func newCountingSink(t testing.TB) *countingSink {
	s := &countingSink{listener: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:25"))}
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	t.Cleanup(func() { s.listener.Close() })
	return s
}

func (s *countingSink) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return s.listener.Dial(ctx, netip.MustParseAddrPort("198.51.100.1:40000"))
}

func (s *countingSink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rcpts
}
