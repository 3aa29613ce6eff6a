package drift

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/letter"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
	"posta/internal/zone"
)

// house is a store with a domain, a world that changes, and the letters that were
// filed.
type house struct {
	t     *testing.T
	store *sqlstore.Store
	dir   *directory.Directory

	mu     sync.Mutex
	clock  time.Time
	world  map[string]finding.Outcome // "check subject" → outcome
	away   error                      // the look fails
	looks  int
	filed  map[mail.ID]bool
	broken int // deposits that still fail
	heard  []string
	whole  []string
}

var began = time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC)

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, clock: began, world: map[string]finding.Outcome{}, filed: map[mail.ID]bool{}}
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	h.store = st
	h.change(func(tx store.DirectoryTx) error {
		return tx.PutDomain(&store.Domain{Name: "empresa.test", Created: began})
	})
	return h
}

func (h *house) change(f func(store.DirectoryTx) error) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{Command: "test"}, f(tx)
	})
	if err == nil && h.dir == nil {
		h.dir, err = directory.Open(h.t.Context(), h.store)
	} else if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// Findings implements Source.
func (h *house) Findings(context.Context, string) ([]finding.Finding, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks++
	if h.away != nil {
		return nil, h.away
	}
	var out []finding.Finding
	for name, o := range h.world {
		check, subject, _ := strings.Cut(name, " ")
		out = append(out, finding.Of(finding.ID(check), o, subject, "wanted", "así"))
	}
	return out, nil
}

func (h *house) deposit(_ context.Context, l letter.Letter) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken > 0 {
		h.broken--
		return store.ErrTemporary
	}
	if h.filed[l.ID] {
		return store.ErrExists
	}
	h.filed[l.ID] = true
	head, _ := message.SplitHeader(l.Message)
	h.heard = append(h.heard, fmt.Sprintf("day %d to %s: %s", int(h.clock.Sub(began)/day), head.Get("To"), bodyChecks(string(l.Message))))
	h.whole = append(h.whole, string(l.Message))
	return nil
}

// bodyChecks are the headings and checks of a letter.
func bodyChecks(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			out = append(out, line[:strings.IndexByte(line, ']')+1])
		}
		if line == "New:" || line == "Mended:" || strings.HasPrefix(line, "Accepted until now") {
			out = append(out, line)
		}
	}
	return strings.Join(out, " ")
}

func (h *house) node(name, lang string) *Watch {
	return New(Config{
		Store: h.store, Directory: h.dir, Sources: []Source{h}, Deposit: h.deposit, Hostname: "mx.empresa.test", Node: name,
		Language: words.Lang(lang), Now: h.now,
	})
}

const day = 24 * time.Hour

// until lets nodes look for work every hour, one after the other, up to a time
// after the beginning.
func (h *house) until(end time.Duration, nodes ...*Watch) {
	for h.now().Before(began.Add(end)) {
		h.mu.Lock()
		h.clock = h.clock.Add(time.Hour)
		h.mu.Unlock()
		for _, w := range nodes {
			w.plan(h.t.Context())
			for w.worker.Turn(h.t.Context()) == 0 {
			}
		}
	}
}

func (h *house) set(outcomes map[string]finding.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, o := range outcomes {
		h.world[k] = o
	}
}

func (h *house) want(what string, want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.heard, want) {
		h.t.Errorf("%s:\n got %q\nwant %q", what, h.heard, want)
	}
	h.heard = nil
}

func (h *house) accept(list ...command.Accepted) {
	h.t.Helper()
	text := "["
	for i, a := range list {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"check":%q,"subject":%q,"until":%q}`, a.Check, a.Subject, a.Until.Format(time.RFC3339))
	}
	h.change(func(tx store.DirectoryTx) error { return tx.PutSetting(command.AcceptedSetting, text+"]") })
}

const (
	mx  = "zone.missing MX empresa.test"
	spf = "zone.different TXT empresa.test"
)

// A fortnight at two nodes: one letter for each change, none where nothing changed,
// nothing of what is accepted or could not be verified.
func TestOnlyWhatChanged(t *testing.T) {
	h := newHouse(t)
	a, b := h.node("a", "en"), h.node("b", "en")
	h.until(2*day, a, b)
	h.want("all in order")

	h.set(map[string]finding.Outcome{mx: finding.Fail})
	h.until(4*day, b, a)
	h.want("a new one", "day 2 to postmaster@empresa.test: New: [zone.missing]")

	h.set(map[string]finding.Outcome{mx: finding.Unverified, spf: finding.Fail})
	h.until(6*day, a, b)
	h.want("one more, and one that nobody could see", "day 4 to postmaster@empresa.test: New: [zone.different]")

	h.set(map[string]finding.Outcome{mx: finding.Pass})
	h.until(6*day+12*time.Hour, a, b)
	h.changed("between two looks", 3*day, "zone.different TXT empresa.test", "mended zone.missing MX empresa.test")
	h.changed("since then", 7*day)
	h.until(8*day, a, b)
	h.changed("the next look", 7*day)
	h.want("one mended", "day 6 to postmaster@empresa.test: Mended: [zone.missing]")

	h.accept(command.Accepted{Check: "zone.different", Subject: "*", Until: began.Add(11 * day)}, command.Accepted{Check: "zone.missing", Subject: "MX empresa.test", Until: began.Add(99 * day)})
	h.set(map[string]finding.Outcome{mx: finding.Fail})
	h.until(10*day, a, b)
	h.want("accepted")

	h.until(13*day, a, b)
	h.want("accepted no more", "day 11 to postmaster@empresa.test: Accepted until now, and still so: [zone.different]")

	h.set(map[string]finding.Outcome{mx: finding.Pass})
	h.until(14*day, a, b)
	h.want("what was accepted is mended")
	if h.looks < 13 || h.looks > 15 {
		t.Errorf("%d looks in 14 days at two nodes", h.looks)
	}
}

// changed checks what Changes tells of since a day.
func (h *house) changed(what string, since time.Duration, want ...string) {
	h.t.Helper()
	list, err := Changes(h.t.Context(), h.store, began.Add(since))
	if err != nil {
		h.t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		line := string(c.Check) + " " + c.Subject
		if c.Mended {
			line = "mended " + line
		}
		if c.Domain != "empresa.test" {
			line += " of " + c.Domain
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A look that cannot be made is made later and is no news; a letter that cannot be filed
// is filed once.
func TestTrouble(t *testing.T) {
	h := newHouse(t)
	w := h.node("a", "en")
	h.set(map[string]finding.Outcome{mx: finding.Fail})
	h.away = errors.New("no network")
	h.until(day, w)
	if h.looks < 10 {
		t.Errorf("%d looks in a day without an answer", h.looks)
	}
	h.mu.Lock()
	h.away, h.broken = nil, 3
	h.mu.Unlock()
	h.until(3*day, w)
	h.want("after the trouble", "day 1 to postmaster@empresa.test: New: [zone.missing]")
	h.mu.Lock()
	h.away = errors.New("no network")
	h.mu.Unlock()
	h.until(5*day, w)
	h.want("nothing is mended by not looking")
}

// A domain that is gone is not looked at any more, and one that comes is.
func TestDomainsComeAndGo(t *testing.T) {
	h := newHouse(t)
	w := h.node("a", "en")
	h.until(day, w)
	h.change(func(tx store.DirectoryTx) error {
		v, err := tx.View()
		if err != nil {
			return err
		}
		return errors.Join(tx.DeleteDomain(v.Domains[0].ID), tx.PutDomain(&store.Domain{Name: "otra.test", Created: began}))
	})
	h.set(map[string]finding.Outcome{mx: finding.Fail})
	h.until(4*day, w)
	h.want("the new domain", "day 1 to postmaster@otra.test: New: [zone.missing]")
	list, err := h.store.ListJobs(t.Context(), 10)
	if err != nil || len(list) != 1 || list[0].Key != "drift/otra.test" {
		t.Errorf("jobs: %+v, %v", list, err)
	}
}

// The letter, as its reader has it.
func TestLetter(t *testing.T) {
	h := newHouse(t)
	h.set(map[string]finding.Outcome{mx: finding.Fail, "ptr.missing 192.0.2.10": finding.Fail})
	h.until(day, h.node("a", "es"))
	if len(h.whole) != 1 {
		t.Fatalf("%d letters", len(h.whole))
	}
	for _, want := range []string{"Auto-Submitted: auto-generated", "To: postmaster@empresa.test"} {
		if !strings.Contains(h.whole[0], want) {
			t.Errorf("missing %q in\n%s", want, h.whole[0])
		}
	}
	text := finding.TextOf("ptr.missing", "es")
	l, err := h.node("a", "es").letter("empresa.test", time.Time{}, news{
		fresh:  []failure{{Check: "ptr.missing", Subject: "192.0.2.10", Evidence: "PTR: nada"}},
		mended: []failure{{Check: "zone.missing", Subject: "MX empresa.test"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := decode(t, l.Message)
	for _, want := range []string{
		"Nuevo:\n\n  [ptr.missing] " + text.Title + "\n      192.0.2.10\n      PTR: nada\n      " + text.Us,
		"Arreglado:\n\n  [zone.missing] falta un registro en el DNS\n      MX empresa.test\n\n",
		"posta audit accept",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %q in\n%s", want, body)
		}
	}
}

// What DNS shows becomes findings by name.
func TestDNSFindings(t *testing.T) {
	item := func(name string, s zone.State) zone.Item {
		return zone.Item{Record: zone.Record{Name: name, Type: "A", Value: "192.0.2.1"}, State: s}
	}
	d := DNS{Diff: func(context.Context, string) (*command.DNSDiff, error) {
		return &command.DNSDiff{Items: []zone.Item{item("a.test", zone.Present), item("b.test", zone.Missing), item("c.test", zone.Different),
			item("d.test", zone.Extra), item("e.test", zone.Pending), item("f.test", zone.Kept), item("g.test", zone.Unverified)}}, nil
	}}
	fs, err := d.Findings(t.Context(), "a.test")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fs {
		got = append(got, fmt.Sprintf("%s %s %s", f.Check, f.Outcome, f.Subject))
	}
	want := []string{"zone.missing fail A b.test", "zone.different fail A c.test", "zone.extra fail A d.test",
		"zone.missing could not verify A g.test", "zone.different could not verify A g.test", "zone.extra could not verify A g.test"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// decode gives the text of a letter, however it is written.
func decode(t *testing.T, letter []byte) string {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	r := m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
