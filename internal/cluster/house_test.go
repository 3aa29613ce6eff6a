// Package cluster shows that equal nodes are one server: two processes of the
// real binary, each with a data folder and ports of its own, on one PostgreSQL
// and one S3 bucket, spoken to by SMTP and IMAP clients, while nodes are killed,
// database connections cut and the bucket refuses.
//
// It is skipped without PostgreSQL; with POSTA_REQUIRE_PEERS=1 (.ci/run) that is
// a failure.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"posta/internal/blob"
	"posta/internal/blob/s3"
	"posta/internal/pgtest"
	"posta/internal/postatest"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

const (
	domain   = "empresa.test"
	password = "correct horse battery"
)

// house is everything that the nodes share.
type house struct {
	pg     *pgtest.Server
	db     string // URL
	bucket *bucket
	sink   *sink // where all mail goes that leaves
	dns    string

	a, b *node
}

func TestMain(m *testing.M) { os.Exit(postatest.Main(m)) }

// newHouse starts all of it; it ends with the test.
func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{pg: pgtest.Start(t), bucket: newBucket(t), sink: newSink(t), dns: emptyDNS(t)}
	h.pg.Create(t, "posta", "template1")
	h.db = h.pg.URL("posta")
	h.a, h.b = h.newNode(t, "a"), h.newNode(t, "b")
	h.a.start(t)
	h.b.start(t)
	h.a.posta(t, "", "domain", "add", domain)
	return h
}

// emptyDNS is a world in which no name exists.
func emptyDNS(t testing.TB) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{
		PacketConn: pc, NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError)) // who asked may have gone away
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return pc.LocalAddr().String()
}

// account makes an account by a command at a, and waits until it is live at b.
func (h *house) account(t testing.TB, local string) string {
	t.Helper()
	address := local + "@" + domain
	h.a.posta(t, password+"\n", "account", "add", address, "--password-file", "-")
	await(t, "the account is live at the other node", func() error { return h.b.takes(t, address) })
	return address
}

// sound opens the state as a third node would and checks every invariant of the
// metadata, and every blob that it refers to against its checksums.
func (h *house) sound(t testing.TB) {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Postgres: h.db})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	blobs, err := s3.Open(t.Context(), s3.Config{
		Endpoint: strings.TrimPrefix(h.bucket.url, "http://"), Plaintext: true, Region: "us-east-1", Bucket: bucketName,
		AccessKey: accessKey, SecretKey: secretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	if err := st.Verify(t.Context(), func(b store.Breach) { t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = st.EachBlob(t.Context(), func(r store.BlobRef) error {
		n++
		if err := blobs.Verify(t.Context(), r.ID, r.At); err != nil && !errors.Is(err, blob.ErrClosed) {
			return fmt.Errorf("blob %s at %s: %w", r.ID, r.At, err)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d blobs: %v", n, err)
	}
}

// sql runs a statement as the database's administrator and returns its one
// number.
func (h *house) sql(t testing.TB, q string) (n int) {
	t.Helper()
	c, err := h.pg.Connect(t.Context(), "posta")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(t.Context(), q).Scan(&n); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return n
}
