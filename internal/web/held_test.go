package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/quarantine"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

const token = "TOKENTOKENTOKENTOKENTOKENT"

// heldHouse is a door over a store in which two letters are held for ana, told by the
// digest of token, and one for luis, told by another.
type heldHouse struct {
	*Handler
	t     *testing.T
	store store.Store
	ids   map[string]mailbox.AccountID
	held  map[string]int64 // by subject
}

func newHeldHouse(t *testing.T) *heldHouse {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	h := &heldHouse{t: t, store: st, ids: map[string]mailbox.AccountID{}, held: map[string]int64{}}
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		for _, name := range []string{"ana", "luis"} {
			a := &store.Account{Domain: d.ID, Login: name + "@empresa.test"}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			h.ids[name] = a.ID
			if err := tx.PutAddress(store.Address{Domain: d.ID, Local: name, Account: a.ID}); err != nil {
				return store.Audit{}, err
			}
		}
		return store.Audit{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h.hold("ana", "<script>alert(1)</script>")
	h.hold("ana", "factura")
	h.hold("luis", "secreto")
	h.tell("ana", token, time.Now().Add(time.Hour), "<script>alert(1)</script>", "factura")
	h.tell("luis", "OTHER", time.Now().Add(-time.Hour), "secreto")
	h.Handler, err = New(Config{
		Hostname: "mx.empresa.test",
		House:    &command.House{Store: st, Directory: dir, Quarantine: &quarantine.Releaser{Store: st, Directory: dir}},
		Ready:    func(context.Context) error { return nil }, Metrics: http.NotFoundHandler(),
		Trusted: func(netip.Addr) bool { return true }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *heldHouse) hold(to, subject string) {
	h.t.Helper()
	now := time.Now()
	id := blob.NewID(now)
	a := &store.Accept{ID: mail.NewID(now), Blob: store.NewBlob{ID: id, At: blob.Location{Unit: "x", Length: 9}, Size: 9}}
	a.Trace = &store.TraceRecord{ID: a.ID, Body: []byte("x")}
	a.Holds = []store.Quarantined{{
		Recipient: to + "@empresa.test", Domain: "empresa.test", Author: `"x" <b>@bien.test`, Subject: subject, Review: true,
		Reasons: []store.HoldReason{{Check: "dkim.missing", Seen: "<i>bien.test</i>"}},
	}}
	if _, err := h.store.Accept(h.t.Context(), a); err != nil {
		h.t.Fatal(err)
	}
	for _, m := range h.list(store.HeldFilter{Message: a.ID}) {
		h.held[subject] = m.ID
	}
}

func (h *heldHouse) tell(to, token string, until time.Time, subjects ...string) {
	h.t.Helper()
	now := time.Now()
	d := &store.Digest{Key: command.DigestKeyOf(token), To: to + "@empresa.test", Until: until}
	for _, s := range subjects {
		d.Held = append(d.Held, h.held[s])
	}
	if _, err := h.store.Accept(h.t.Context(), &store.Accept{ID: mail.NewID(now), Digest: d}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *heldHouse) list(f store.HeldFilter) []store.HeldMail {
	h.t.Helper()
	list, err := h.store.ListHeld(h.t.Context(), f)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// inbox is how many letters an account has.
func (h *heldHouse) inbox(name string) uint32 {
	h.t.Helper()
	boxes, err := h.store.ListMailboxes(h.t.Context(), h.ids[name])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range boxes {
		if b.Role == mailbox.Inbox {
			return uint32(b.Exists)
		}
	}
	return 0
}

// post sends a form.
func (h *heldHouse) post(token string, id int64, key, do string, fields ...string) *httptest.ResponseRecorder {
	form := url.Values{"id": {fmt.Sprint(id)}, "key": {key}, "do": {do}}
	r := httptest.NewRequest("POST", "https://mx.empresa.test/quarantine/"+token, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "203.0.113.1:5"
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// keyOf finds the key of a form on the page.
func (h *heldHouse) keyOf(id int64) string {
	h.t.Helper()
	body := get(h, "/quarantine/"+token, "en", "203.0.113.1:5").Body.String()
	m := regexp.MustCompile(fmt.Sprintf(`name="id" value="%d">\s*<input type="hidden" name="key" value="([0-9a-f]{32})"`, id)).FindStringSubmatch(body)
	if m == nil {
		h.t.Fatalf("no form for %d in\n%s", id, body)
	}
	return m[1]
}

// The page shows what the digest told of, escaped, in the reader's language, and
// nothing of anybody else; to look at it does nothing, whatever the address says.
func TestHeldPage(t *testing.T) {
	h := newHeldHouse(t)
	before := fmt.Sprint(h.list(store.HeldFilter{}))
	for lang, want := range map[string]string{"en": "Mail that is held for you", "es-MX,es;q=0.9": "Correo retenido para usted"} {
		for _, query := range []string{"", "?do=release&id=1", "?done=delete", "?do=delete&id=" + fmt.Sprint(h.held["factura"])} {
			w := get(h, "/quarantine/"+token+query, lang, "203.0.113.1:5")
			body := w.Body.String()
			for _, s := range []string{want, "&lt;script&gt;alert(1)", "factura", "&lt;b&gt;@bien.test", "&lt;i&gt;bien.test", `method="post"`} {
				if w.Code != 200 || !strings.Contains(body, s) {
					t.Errorf("%s %s: %d, missing %q in\n%s", lang, query, w.Code, s, body)
				}
			}
			for _, s := range []string{"<script", "secreto", "luis@", "<b>", "<i>"} {
				if strings.Contains(body, s) {
					t.Errorf("%s: must not show %q", lang, s)
				}
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self'") || !strings.Contains(csp, "default-src 'none'") || w.Header().Get("Referrer-Policy") != "same-origin" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", w.Header())
			}
		}
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/quarantine/"+token, nil))
		if method != "HEAD" && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if after := fmt.Sprint(h.list(store.HeldFilter{})); after != before {
		t.Errorf("looking changed\n%s\nto\n%s", before, after)
	}
}

// Only the right token with the key of its page acts, and only on what its digest told
// of.
func TestHeldFormsRefused(t *testing.T) {
	h := newHeldHouse(t)
	id, other := h.held["factura"], h.held["secreto"]
	key := h.keyOf(id)
	// Whoever has the token can compute keys, also for ids that are not his.
	m := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(m, "held %d", other)
	foreign := hex.EncodeToString(m.Sum(nil)[:16])
	for name, c := range map[string]struct {
		w    *httptest.ResponseRecorder
		want int
	}{
		"a wrong token":              {h.post("WRONG", id, key, "release"), 404},
		"a token whose time is over": {h.post("OTHER", other, key, "release"), 404},
		"no key":                     {h.post(token, id, "", "release"), 403},
		"another letter's key":       {h.post(token, id, h.keyOf(h.held["<script>alert(1)</script>"]), "release"), 403},
		"another's letter":           {h.post(token, other, foreign, "release"), 404},
		"from another site":          {h.post(token, id, key, "release", "Sec-Fetch-Site", "cross-site"), 403},
		"from another origin":        {h.post(token, id, key, "release", "Origin", "https://malo.test"), 403},
		"no such deed":               {h.post(token, id, key, "burn"), 403},
		"all released":               {h.post(token, 0, h.keyOf(0), "release"), 403},
		"no number":                  {h.post(token, 0, key, "release", "Content-Type", "text/plain"), 400},
	} {
		if c.w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, c.w.Code, c.want)
		}
	}
	for _, path := range []string{"WRONG", "OTHER", strings.ToLower(token), token + "x"} {
		if w := get(h, "/quarantine/"+path, "en", "203.0.113.1:5"); w.Code != 404 || strings.Contains(w.Body.String(), "factura") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if n := len(h.list(store.HeldFilter{})); n != 3 || h.inbox("ana")+h.inbox("luis") != 0 {
		t.Errorf("%d are held still", n)
	}
}

// A form of the page releases, deletes, or notes that somebody has looked.
func TestHeldForms(t *testing.T) {
	h := newHeldHouse(t)
	id, script := h.held["factura"], h.held["<script>alert(1)</script>"]
	key := h.keyOf(id)
	w := h.post(token, 0, h.keyOf(0), "seen", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther {
		t.Errorf("seen: %d %s", w.Code, w.Body)
	}
	for _, m := range h.list(store.HeldFilter{}) {
		if mine := m.ID != h.held["secreto"]; m.Reviewed.IsZero() == mine {
			t.Errorf("reviewed: %+v", m)
		}
	}
	w = h.post(token, id, key, "release", "Origin", "https://mx.empresa.test")
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "/quarantine/"+token+"?lang=en&done=release" {
		t.Errorf("release: %d to %q", w.Code, to)
	}
	body := get(h, w.Header().Get("Location"), "en", "203.0.113.1:5").Body.String()
	if !strings.Contains(body, "The message was delivered.") || strings.Contains(body, "factura") || h.inbox("ana") != 1 {
		t.Errorf("after the release, with %d letters in the inbox:\n%s", h.inbox("ana"), body)
	}
	if w := h.post(token, id, key, "release"); w.Code != 404 || h.inbox("ana") != 1 {
		t.Errorf("release again: %d, with %d letters", w.Code, h.inbox("ana"))
	}
	if w := h.post(token, script, h.keyOf(script), "delete"); w.Code != http.StatusSeeOther {
		t.Errorf("delete: %d", w.Code)
	}
	if left := h.list(store.HeldFilter{}); len(left) != 1 || left[0].ID != h.held["secreto"] {
		t.Errorf("left: %+v", left)
	}
	if body := get(h, "/quarantine/"+token, "es", "203.0.113.1:5").Body.String(); !strings.Contains(body, "Ya no hay nada retenido.") {
		t.Errorf("the empty page:\n%s", body)
	}
	log, err := h.store.AuditLog(t.Context(), 3)
	if err != nil || len(log) != 3 || log[0].Command != "quarantine.delete" || log[1].Command != "quarantine.release" || log[2].Command != "quarantine.seen" || log[0].Principal != "digest:ana@empresa.test" {
		t.Errorf("audit: %+v, %v", log, err)
	}
}

// The page costs a network as much as the others do.
func TestHeldIsLimited(t *testing.T) {
	h := newHeldHouse(t)
	last := 0
	for range perMinute + 1 {
		last = get(h, "/quarantine/GUESS", "en", "203.0.113.1:5").Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the last guess: %d", last)
	}
}
