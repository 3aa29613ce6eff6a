package quarantine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/intake"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/policy"
	"posta/internal/quarantine"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
)

const day = 24 * time.Hour

// house is a quarantine over real stores, with intake to deliver its digests.
type house struct {
	t     *testing.T
	store *sqlstore.Store
	blobs blob.Store
	dir   *directory.Directory
	in    *intake.Intake
	ids   map[string]mailbox.AccountID
	fails bool // digests cannot be delivered
	clock atomic.Pointer[time.Time]
	kept  *quarantine.Keeper
}

// began is when the houses of these tests open.
var began = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// now is the clock of the house. It stands still but for pass, since the stores have
// goroutines that tick: in a bubble a month of them takes minutes.
func (h *house) now() time.Time { return *h.clock.Load() }

// pass lets time go by, in which the keeper looks every hour, or in weeks that pass
// twice a day.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	step := time.Hour
	if d > 7*day {
		step = 12 * time.Hour
	}
	for end := h.now().Add(d); h.now().Before(end); {
		next := h.now().Add(min(step, end.Sub(h.now())))
		h.clock.Store(&next)
		if err := h.kept.Turn(h.t.Context()); err != nil && !h.fails {
			h.t.Fatal(err)
		}
	}
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, ids: map[string]mailbox.AccountID{}}
	h.clock.Store(&began)
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := pack.Open(t.Context(), durable.NewMem(), "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close(); blobs.Close() })
	h.store, h.blobs = st, blobs
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		for _, name := range []string{"jefa", "ana", "luis"} {
			a := &store.Account{Domain: d.ID, Login: name + "@empresa.test"}
			if name == "jefa" {
				a.Role = store.Owner
			}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			h.ids[name] = a.ID
			if err := tx.PutAddress(store.Address{Domain: d.ID, Local: name, Account: a.ID}); err != nil {
				return store.Audit{}, err
			}
		}
		if err := tx.PutAddress(store.Address{Domain: d.ID, Local: "info", Kind: store.ToTargets, Targets: []string{"luis@empresa.test"}}); err != nil {
			return store.Audit{}, err
		}
		return store.Audit{}, tx.PutAddress(store.Address{Domain: d.ID, Local: "equipo", Kind: store.ToTargets, Targets: []string{"ana@empresa.test", "luis@empresa.test"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.dir, err = directory.Open(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	h.in = intake.New(intake.Config{Hostname: "mx.empresa.test", TempDir: t.TempDir(), Now: h.now}, h.dir, st, blobs, resolver.Static{}, nil)
	return h
}

// Deposit implements quarantine.Depositor.
func (h *house) Deposit(ctx context.Context, m quarantine.Mail) error {
	if h.fails {
		return store.ErrTemporary
	}
	return h.in.Deposit(ctx, intake.Deposit{ID: m.ID, To: m.To, Message: m.Message, UTF8: m.UTF8, Digest: m.Digest})
}

// keep starts the daily job.
func (h *house) keep(lang words.Lang) {
	h.t.Helper()
	h.kept = quarantine.New(quarantine.Config{
		Store: h.store, Directory: h.dir, Policy: func() policy.Quarantine { return policy.Quarantine{} }, Depositor: h, Node: "test",
		Hostname: "mx.empresa.test", Language: lang, Link: "https://mx.empresa.test/quarantine/", Now: h.now,
	})
	if err := h.store.AddJob(h.t.Context(), store.Job{Key: "quarantine", Kind: "quarantine", Due: h.now().Add(time.Hour)}); err != nil {
		h.t.Fatal(err)
	}
}

// hold keeps a letter from a recipient.
func (h *house) hold(to, subject, check string, review bool) {
	h.t.Helper()
	h.holdTimes(1, to, subject, check, review)
}

// holdTimes does it so many times, in one accept.
func (h *house) holdTimes(n int, to, subject, check string, review bool) {
	h.t.Helper()
	text := "Subject: " + subject + "\r\n\r\nhola\r\n"
	now := h.now()
	id := blob.NewID(now)
	at, err := h.blobs.Put(h.t.Context(), []blob.Record{{ID: id, Accept: (&store.AcceptRecord{Accept: mail.NewID(now), At: now}).Encode(), Body: blob.Bytes([]byte(text))}})
	if err != nil {
		h.t.Fatal(err)
	}
	a := &store.Accept{ID: mail.NewID(now), Blob: store.NewBlob{ID: id, At: at[0], Size: int64(len(text))}}
	a.Trace = &store.TraceRecord{ID: a.ID, Body: []byte("x")}
	for range n {
		a.Holds = append(a.Holds, store.Quarantined{
			Recipient: to, Domain: "empresa.test", Author: "ines@bien.test", Subject: subject, Review: review,
			Reasons: []store.HoldReason{{Check: check}}, Stored: store.Delivery{InternalDate: now}, Out: store.Enqueue{ReversePath: "ines@bien.test"},
		})
	}
	if _, err := h.store.Accept(h.t.Context(), a); err != nil {
		h.t.Fatal(err)
	}
}

// subjects lists what is held, by subject.
func (h *house) subjects() []string {
	h.t.Helper()
	list, err := h.store.ListHeld(h.t.Context(), store.HeldFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		out = append(out, m.Subject)
	}
	slices.Sort(out)
	return out
}

func (h *house) review(subjects ...string) {
	h.t.Helper()
	list, err := h.store.ListHeld(h.t.Context(), store.HeldFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range list {
		if slices.Contains(subjects, m.Subject) {
			if n, err := h.store.ReviewHeld(h.t.Context(), []int64{m.ID}, store.Audit{}); n != 1 || err != nil {
				h.t.Fatal(n, err)
			}
		}
	}
}

// mailOf reads an account's inbox: the decoded text of each letter below its fields.
func (h *house) mailOf(name string) []string {
	h.t.Helper()
	boxes, err := h.store.ListMailboxes(h.t.Context(), h.ids[name])
	if err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(boxes, func(m mailbox.Mailbox) bool { return m.Role == mailbox.Inbox })
	list, err := h.store.Fetch(h.t.Context(), h.ids[name], boxes[i].ID, store.FetchQuery{Want: store.WantBytes})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, s := range list {
		b, err := blob.ReadAll(h.t.Context(), h.blobs, s.Blob.ID, s.Blob.At)
		if err != nil {
			h.t.Fatal(err)
		}
		tree := message.ParseBytes(b, message.Budget{})
		r, err := message.Open(strings.NewReader(string(b)), tree)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, string(s.Prefix)+string(b[:tree.Body])+string(text))
	}
	return out
}

// Three days, five, thirty: who is told when, what becomes a finding, and what goes.
func TestTerms(t *testing.T) {
	h := newHouse(t)
	h.hold("ana@empresa.test", "one", "dkim.missing", true)
	h.hold("ana+x@empresa.test", "two", "dmarc.missing", true)
	h.hold("info@empresa.test", "spam", "content.archive", false)
	h.hold("equipo@empresa.test", "team", "dkim.missing", true)
	h.keep("en")
	k := h.kept
	count := func(when string, ana, luis, jefa int) {
		t.Helper()
		if a, l, j := len(h.mailOf("ana")), len(h.mailOf("luis")), len(h.mailOf("jefa")); a != ana || l != luis || j != jefa {
			t.Errorf("%s: ana has %d letters, luis %d, jefa %d; want %d, %d, %d", when, a, l, j, ana, luis, jefa)
		}
	}
	h.pass(3*day - time.Hour)
	count("before three days", 0, 0, 0)
	h.pass(day)
	// The postmaster is told of the alias with two members, and of what waits.
	count("after three days", 1, 1, 2)
	if f := k.Findings(); len(f) != 0 {
		t.Errorf("findings before five days: %v", f)
	}
	h.pass(day + 2*time.Hour)
	count("after five days", 1, 1, 4)
	if f := k.Findings(); len(f) != 1 || f[0].Check != "quarantine.overdue" || f[0].Subject != "empresa.test" {
		t.Errorf("findings after five days: %v", f)
	}
	h.review("one", "team")
	h.pass(10 * time.Minute)
	if f := k.Findings(); len(f) != 1 {
		t.Errorf("findings with two unreviewed: %v", f)
	}
	h.review("two", "spam")
	h.pass(10 * time.Minute)
	if f := k.Findings(); len(f) != 0 {
		t.Errorf("findings when all was reviewed: %v", f)
	}
	h.pass(2 * day)
	count("when all was reviewed", 1, 1, 4)
	h.pass(22 * day)
	if got := h.subjects(); len(got) != 4 {
		t.Errorf("before thirty days there is %q", got)
	}
	h.pass(2 * day)
	if got := h.subjects(); len(got) != 0 {
		t.Errorf("after thirty days there is %q", got)
	}
}

// What was held for a missing signature is there after a year if nobody has looked at
// it; so is what nobody could be told of. What was held for its content goes.
func TestNeverUnreviewed(t *testing.T) {
	h := newHouse(t)
	h.hold("ana@empresa.test", "unsigned", "dkim.missing", true)
	h.hold("ana@empresa.test", "spam", "content.archive", false)
	h.fails = true
	h.keep("en")
	h.pass(60 * day)
	if got := h.subjects(); !slices.Equal(got, []string{"spam", "unsigned"}) {
		t.Errorf("untold, there is %q", got)
	}
	h.fails = false
	h.pass(365 * day)
	if got := h.subjects(); !slices.Equal(got, []string{"unsigned"}) {
		t.Errorf("told, there is %q", got)
	}
	h.review("unsigned")
	h.pass(2 * day)
	if got := h.subjects(); len(got) != 0 {
		t.Errorf("reviewed, there is %q", got)
	}
}

// A domain may have a term of its own.
func TestTermOfDomain(t *testing.T) {
	h := newHouse(t)
	cmd := &command.House{Store: h.store, Blobs: h.blobs, Directory: h.dir}
	boss := command.Principal{Name: "test", Role: store.Owner}
	if _, err := command.Do(t.Context(), cmd, boss, "quarantine.term", []byte(`{"domain":"Empresa.test","days":10}`)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{"domain":"otra.test","days":10}`, `{"domain":"empresa.test","days":-1}`, `{"domain":"empresa.test","days":4000}`} {
		if _, err := command.Do(t.Context(), cmd, boss, "quarantine.term", []byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	h.hold("ana@empresa.test", "spam", "content.archive", false)
	h.keep("en")
	h.pass(9 * day)
	if got := h.subjects(); len(got) != 1 {
		t.Errorf("after nine days there is %q", got)
	}
	h.pass(3 * day)
	if got := h.subjects(); len(got) != 0 {
		t.Errorf("after twelve days there is %q", got)
	}
}

// A digest is a message of ours that answers nobody, in the language of the node; what
// strangers wrote makes neither lines nor links of its own.
func TestDigestText(t *testing.T) {
	h := newHouse(t)
	h.hold("ana@empresa.test", "Gane en http://malo.test/x\r\nya: \u202Egnp.exe "+strings.Repeat("w", 200), "dkim.missing", true)
	h.hold("info@empresa.test", "factura", "dmarc.missing", true)
	h.keep("es")
	h.pass(3*day + 2*time.Hour)
	got := h.mailOf("ana")
	if len(got) != 1 {
		t.Fatalf("%q", got)
	}
	for _, want := range []string{
		"Return-Path: <>\r\n", "From: Posta <postmaster@empresa.test>\r\n", "To: ana@empresa.test\r\n", "\r\nAuto-Submitted: auto-generated\r\n",
		"\r\nMessage-ID: <", "\r\nContent-Type: text/plain", "Correo retenido para usted (1)", "De:       ines@bien[.]test",
		"Asunto:   Gane en http[:]//malo[.]test/x ya: ?gnp[.]exe wwww", "    https://mx.empresa.test/quarantine/", "Motivo:",
	} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %q in\n%s", want, got[0])
		}
	}
	if strings.Count(got[0], "https:") != 1 || strings.Contains(got[0], "malo.test") || strings.Contains(got[0], strings.Repeat("w", 80)) {
		t.Errorf("unsafe:\n%s", got[0])
	}
	// An alias of one account is told to that account, which sees for whom it was.
	if l := h.mailOf("luis"); len(l) != 1 || !strings.Contains(l[0], "Para:     info@empresa[.]test") {
		t.Errorf("luis reads %q", l)
	}
	summary := h.mailOf("jefa")
	if len(summary) != 1 || !strings.Contains(summary[0], "posta quarantine ls --domain empresa.test") || !strings.Contains(summary[0], "   1  ana@empresa[.]test") || strings.Contains(summary[0], "https:") {
		t.Errorf("jefa reads %q", summary)
	}
	// The link is in the message and only its hash in the store.
	_, rest, _ := strings.Cut(got[0], "/quarantine/")
	token, _, _ := strings.Cut(rest, "\n")
	if d, err := h.store.Digest(t.Context(), command.DigestKeyOf(strings.TrimSpace(token)), h.now()); err != nil || d.To != "ana@empresa.test" {
		t.Errorf("digest: %+v, %v", d, err)
	}
}

// Who asks for digests now gets them now, of what nobody was told of, once.
func TestTellNow(t *testing.T) {
	h := newHouse(t)
	h.hold("ana@empresa.test", "uno", "dkim.missing", true)
	h.hold("ana@empresa.test", "dos", "dkim.missing", true)
	h.keep("en")
	for i, want := range []int{2, 0} {
		if n, err := h.kept.TellNow(t.Context()); n != want || err != nil {
			t.Errorf("time %d: %d, %v, want %d", i, n, err, want)
		}
	}
	if got := h.mailOf("ana"); len(got) != 1 || !strings.Contains(got[0], "Mail is held for you (2)") {
		t.Errorf("ana reads %q", got)
	}
	h.hold("ana@empresa.test", "tres", "dkim.missing", true)
	if n, err := h.kept.TellNow(t.Context()); n != 1 || err != nil {
		t.Errorf("what came since: %d, %v", n, err)
	}
}

// A digest is in the language of who reads it: his own, his domain's, or the node's.
func TestDigestLanguage(t *testing.T) {
	h := newHouse(t)
	err := h.store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{}, errors.Join(tx.PutSetting(directory.LanguageSetting+"empresa.test", "es"), tx.PutSetting(directory.LanguageSetting+"ana@empresa.test", "en"))
	})
	if err == nil {
		err = h.dir.Refresh(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	h.hold("ana@empresa.test", "uno", "dkim.missing", true)
	h.hold("info@empresa.test", "dos", "dmarc.missing", true) // an alias of luis
	h.keep("en")
	h.pass(3*day + 2*time.Hour)
	for name, want := range map[string]string{"ana": "Mail is held for you (1)", "luis": "Correo retenido para usted (1)", "jefa": "Cuarentena de empresa.test"} {
		if got := h.mailOf(name); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s reads %q, want %q", name, got, want)
		}
	}
}

// A digest that is larger than one transaction comes in parts, and none of it twice.
func TestDigestInParts(t *testing.T) {
	h := newHouse(t)
	const n = store.MaxDigest + 7
	h.holdTimes(n, "ana@empresa.test", "letter", "dkim.missing", true)
	h.keep("en")
	h.pass(5 * day)
	got := h.mailOf("ana")
	if len(got) != 2 || !strings.Contains(got[0], fmt.Sprintf("(%d)", store.MaxDigest)) || !strings.Contains(got[0], fmt.Sprintf("And %d more", store.MaxDigest-100)) || !strings.Contains(got[1], "(7)") {
		t.Errorf("%d digests came", len(got))
	}
	if left, err := h.store.ListHeld(t.Context(), store.HeldFilter{Untold: true}); err != nil || len(left) != 0 {
		t.Errorf("%d are untold, %v", len(left), err)
	}
}
