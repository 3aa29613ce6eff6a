package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/feedback"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// house is a store with an account, ana@empresa.test, who is its postmaster, and a
// collector whose jobs are done when the test says so.
type house struct {
	*sqlstore.Store
	t     *testing.T
	blobs blobs
	ana   mailbox.AccountID
	dir   *directory.Directory
}

// blobs opens what pack has, or fails.
type blobs struct {
	*pack.Store
	open func(blob.Reader) blob.Reader // nil: as it is
}

func (b *blobs) Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	r, err := b.Store.Open(ctx, id, at)
	if err == nil && b.open != nil {
		r = b.open(r)
	}
	return r, err
}

func newHouse(t *testing.T) *house {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	packs, err := pack.Open(t.Context(), durable.NewMem(), "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Verify(context.Background(), func(b store.Breach) { t.Errorf("%s: %s", b.Invariant, b.Detail) }); err != nil {
			t.Error(err)
		}
		st.Close()
		packs.Close()
	})
	h := &house{Store: st, t: t, blobs: blobs{Store: packs}}
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		a := &store.Account{Domain: d.ID, Login: "ana@empresa.test"}
		if err := tx.PutAccount(a); err != nil {
			return store.Audit{}, err
		}
		h.ana = a.ID
		return store.Audit{}, tx.PutAddress(store.Address{Domain: d.ID, Local: "ana", Account: a.ID})
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.dir, err = directory.Open(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	return h
}

// accept takes a message whose job is to look at it, as intake does.
func (h *house) accept(letter string, proved bool) mail.ID {
	h.t.Helper()
	now := time.Now()
	r := &store.ReportJob{
		Accept: mail.NewID(now), Blob: blob.NewID(now), Size: int64(len(letter)), Sender: "dmarc@big.example", Proved: proved,
		Deliveries: []store.Delivery{{Account: h.ana, Target: store.Target{Role: mailbox.Inbox}, Prefix: []byte("Received: here\r\n")}},
	}
	sum := sha256.Sum256([]byte(letter))
	at, err := h.blobs.Put(h.t.Context(), []blob.Record{{ID: r.Blob, SHA256: sum, Body: blob.Bytes([]byte(letter))}})
	if err != nil {
		h.t.Fatal(err)
	}
	j, err := r.Job()
	if err != nil {
		h.t.Fatal(err)
	}
	a := &store.Accept{ID: r.Accept, Blob: store.NewBlob{ID: r.Blob, At: at[0], Size: r.Size, SHA256: sum}, Jobs: []store.Job{j}}
	if _, err := h.Accept(h.t.Context(), a); err != nil {
		h.t.Fatal(err)
	}
	return r.Accept
}

// collector is one that uses st. Its clock is behind, so that what is put off is due at once.
func (h *house) collector(st Store) *Collector {
	return New(Config{Store: st, Blobs: &h.blobs, Directory: h.dir, Node: "node", Now: func() time.Time { return time.Now().Add(-time.Hour) }})
}

// work does one job after the other, at most n, and says how many jobs are left.
func (h *house) work(st Store, n int) int {
	h.t.Helper()
	for c := h.collector(st); n > 0 && c.Turn(h.t.Context()) == 0; n-- {
	}
	left, err := h.ListJobs(h.t.Context(), 10)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(left)
}

// told is what was kept and delivered: a line for each report, and the notes above letters.
func (h *house) told() string {
	h.t.Helper()
	out := ""
	list, err := h.ListReports(h.t.Context(), store.ReportFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range list {
		r := &list[i]
		out += fmt.Sprintf("report %d of %s about %s: %d, %d failed, %t\n", r.Kind, r.Org, r.Domain, r.Messages, r.Failed, r.Proved)
	}
	boxes, err := h.ListMailboxes(h.t.Context(), h.ana)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range boxes {
		mails, err := h.Fetch(h.t.Context(), h.ana, b.ID, store.FetchQuery{Want: store.WantBytes})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, m := range mails {
			out += strings.ReplaceAll(string(m.Prefix), "\r\n", "\n")
		}
	}
	return out
}

// What comes in, what is kept of it, and what is delivered after all, with the reason.
func TestCollect(t *testing.T) {
	xml := func(domain, id string) string { return letterOf(part("application/gzip", gz(dmarcXML(domain, id, 5)))) }
	for _, c := range []struct {
		what    string
		proved  bool
		letters []string
		want    string
	}{
		{"a report", true, []string{xml("empresa.test", "r1")}, "report 1 of big.example about empresa.test: 5, 0 failed, true\n"},
		{"of an author who is not proved", false, []string{xml("empresa.test", "r1")}, "report 1 of big.example about empresa.test: 5, 0 failed, false\n"},
		{"of a domain below ours", true, []string{xml("news.empresa.test", "r1")}, "report 1 of big.example about news.empresa.test: 5, 0 failed, true\n"},
		{"twice, in two messages", true, []string{xml("empresa.test", "r1"), xml("empresa.test", "r1")}, "report 1 of big.example about empresa.test: 5, 0 failed, true\n"},
		{"two of a day", true, []string{xml("empresa.test", "r1"), xml("empresa.test", "r2")}, strings.Repeat("report 1 of big.example about empresa.test: 5, 0 failed, true\n", 2)},
		{"about somebody else", true, []string{xml("other.test", "r1")}, "Posta-Report: delivered: it is a report about \"other.test\", which is no domain\n of ours\nReceived: here\n"},
		{"TLS, of us and of somebody else", true, []string{letterOf(part("application/tlsrpt+json", tlsJSON))}, "report 2 of Big about empresa.test: 8, 1 failed, true\n"},
		{"a complaint", true, []string{complaint}, "report 3 of big.example about empresa.test: 1, 1 failed, true\n"},
		{"no report", true, []string{letterOf(part("text/plain", "where is my report?"))}, "Posta-Report: delivered: no part of it is a report\nReceived: here\n"},
		{"a broken one", true, []string{letterOf(part("text/xml", "<feedback>"))}, "Posta-Report: delivered: it looks like a report and is none: dmarcreport:\n broken XML: EOF\nReceived: here\n"},
	} {
		h := newHouse(t)
		for _, l := range c.letters {
			h.accept(l, c.proved)
		}
		left := h.work(h, 10)
		if got := h.told(); got != c.want || left != 0 {
			t.Errorf("%s: %d jobs are left\n%s", c.what, left, got)
		}
	}
}

// A complaint tells whose message it was.
func TestCollectAccount(t *testing.T) {
	h := newHouse(t)
	h.accept(complaint, true)
	h.work(h, 10)
	list, err := h.ListReports(t.Context(), store.ReportFilter{Kind: store.FeedbackReport})
	if err != nil || len(list) != 1 || list[0].Account != "ana@empresa.test" || list[0].List != "news.empresa.test" {
		t.Errorf("%+v, %v", list, err)
	}
}

// failing is a store of a program that dies at one of its steps: before it, or when it is
// done and nobody was told. What it has leased is free at once.
type failing struct {
	*sqlstore.Store
	step  string
	after bool
	died  int // how often it has died
	times int // how often it dies
}

var errDied = fmt.Errorf("%w: the program died", store.ErrUnknown)

func (f *failing) at(step string, do func() error) error {
	if step != f.step || f.died >= f.times {
		return do()
	}
	f.died++
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errDied
}

func (f *failing) ClaimJob(ctx context.Context, node string, kinds []string, _ time.Duration) (j store.Job, err error) {
	err = f.at("claim", func() (err error) {
		j, err = f.Store.ClaimJob(ctx, node, kinds, time.Microsecond)
		return err
	})
	return j, err
}

func (f *failing) AddReport(ctx context.Context, r *store.Report, rows []store.ReportRow) error {
	return f.at("add", func() error { return f.Store.AddReport(ctx, r, rows) })
}

func (f *failing) EndJob(ctx context.Context, id, fence int64, again time.Time, why string) error {
	return f.at("end", func() error { return f.Store.EndJob(ctx, id, fence, again, why) })
}

func (f *failing) Accept(ctx context.Context, a *store.Accept) (p []store.Placed, err error) {
	err = f.at("accept", func() (err error) {
		p, err = f.Store.Accept(ctx, a)
		return err
	})
	return p, err
}

// Wherever the program dies, a report counts once and a letter comes once; over one that
// kills it again and again it is delivered unread.
func TestCollectDies(t *testing.T) {
	report, note := letterOf(part("application/gzip", gz(dmarcXML("empresa.test", "r1", 5)))), letterOf(part("text/plain", "hello"))
	const kept, came = "report 1 of big.example about empresa.test: 5, 0 failed, true\n", "Posta-Report: delivered: no part of it is a report\nReceived: here\n"
	for _, c := range []struct {
		step, letter string
		times        int
		want         string
	}{
		{"add", report, 2, kept},
		{"end", report, 2, kept},
		{"accept", note, 2, came},
		{"add", report, maxDied, "Posta-Report: delivered: reading it was given up\nReceived: here\n"},
	} {
		for _, after := range []bool{false, true} {
			h := newHouse(t)
			h.accept(c.letter, true)
			st := &failing{Store: h.Store, step: c.step, times: c.times, after: after}
			left := h.work(st, 20)
			want := c.want
			if c.times == maxDied && after {
				want = kept // the first time it was kept, the second it was there
			}
			if got := h.told(); got != want || left != 0 || st.died == 0 {
				t.Errorf("%s, after it %t: %d jobs are left, died %d times\n%s", c.step, after, left, st.died, got)
			}
		}
	}
}

// A store that is away puts a job off, with the reason, and nothing is lost.
func TestCollectPutOff(t *testing.T) {
	h := newHouse(t)
	h.accept(letterOf(part("application/gzip", gz(dmarcXML("empresa.test", "r1", 5)))), true)
	away := errors.New("bucket is away")
	h.blobs.open = func(r blob.Reader) blob.Reader { return unread{r, away} }
	if left := h.work(h, 20); left != 1 || h.told() != "" { // tried twenty times: errors are no deaths
		t.Errorf("%d jobs are left\n%s", left, h.told())
	}
	jobs, err := h.ListJobs(t.Context(), 10)
	if err != nil || len(jobs) != 1 || !strings.Contains(jobs[0].Last, "bucket is away") || jobs[0].Tries < maxDied {
		t.Errorf("%+v, %v", jobs, err)
	}
	h.blobs.open = nil
	if left := h.work(h, 1); left != 0 || !strings.HasPrefix(h.told(), "report 1 ") {
		t.Errorf("%d jobs are left\n%s", left, h.told())
	}
}

// Bytes that are damaged will not get better: the postmaster is told.
func TestCollectDamaged(t *testing.T) {
	h := newHouse(t)
	h.accept(letterOf(part("text/plain", "hello")), true)
	h.blobs.open = func(r blob.Reader) blob.Reader { return unread{r, fmt.Errorf("chunk 1: %w", blob.ErrCorrupt)} }
	if left := h.work(h, 3); left != 0 || h.told() != "Posta-Report: delivered: it looks like a report and is none: chunk 1: blob:\n corrupt\nReceived: here\n" {
		t.Errorf("%d jobs are left\n%s", left, h.told())
	}
}

// unread is a blob that cannot be read.
type unread struct {
	blob.Reader
	err error
}

func (u unread) ReadAt([]byte, int64) (int, error) { return 0, u.err }

// names counts who is asked for.
type names struct{ asked []string }

func (n *names) LookupPTR(_ context.Context, ip netip.Addr) (resolver.Result[string], error) {
	n.asked = append(n.asked, ip.String())
	return resolver.Result[string]{State: resolver.Found, Records: []string{"mx.empresa.test."}}, nil
}

// Sources are asked for their names, each once, and are told by them.
func TestCollectNames(t *testing.T) {
	h, n := newHouse(t), &names{}
	for _, id := range []string{"r1", "r2"} {
		h.accept(letterOf(part("application/gzip", gz(dmarcXML("empresa.test", id, 5)))), true)
	}
	c := h.collector(h)
	c.cfg.Names = n
	for c.Turn(t.Context()) == 0 {
	}
	if !slices.Equal(n.asked, []string{"192.0.2.25"}) {
		t.Errorf("asked for %q", n.asked)
	}
	at := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	list, err := feedback.Sources(t.Context(), h, feedback.Query{Domain: "empresa.test", Now: at})
	if err != nil || len(list) != 1 || list[0].Messages != 10 || !slices.Equal(list[0].Names, []string{"mx.empresa.test"}) {
		t.Errorf("%+v, %v", list, err)
	}
}

// Run ends with its context.
func TestCollectRun(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.collector(h).Run(ctx); err != nil {
		t.Error(err)
	}
}
