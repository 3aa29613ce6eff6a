package rescue_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posta/internal/addr"
	"posta/internal/app"
	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/intake"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/resolver"
	"posta/internal/scripts"
	"posta/internal/sieve"
	"posta/internal/smtpserver"
	"posta/internal/srs"
	"posta/internal/store"
)

// house is a data folder with its intake, without doors.
type house struct {
	t     testing.TB
	cfg   *config.Config
	state *app.State
	in    *intake.Intake
}

// ours are the accounts that every house of these tests has.
var ours = []string{"ana@empresa.test", "luis@empresa.test", "eva@tienda.test"}

func newHouse(t testing.TB) *house { return newHouseWith(t, nil) }

func newHouseWith(t testing.TB, change func(*config.Config)) *house {
	t.Helper()
	cfg := config.Default()
	cfg.Hostname, cfg.Data, cfg.User = "mail.empresa.test", filepath.Join(t.TempDir(), "data"), "root"
	if change != nil {
		change(cfg)
	}
	h := openHouse(t, cfg)
	give := func(name, args string) {
		t.Helper()
		_, err := command.Do(t.Context(), h.state.House(), command.Principal{Name: "test", Role: store.Owner}, name, []byte(args))
		if err != nil {
			t.Fatal(err)
		}
	}
	give("domain.add", `{"name":"empresa.test"}`)
	give("domain.add", `{"name":"tienda.test"}`)
	for _, a := range ours {
		give("account.add", fmt.Sprintf(`{"address":%q,"password":"correct horse"}`, a))
	}
	return h
}

// openHouse opens a data folder that exists.
func openHouse(t testing.TB, cfg *config.Config) *house {
	t.Helper()
	h := &house{t: t, cfg: cfg}
	state, err := app.OpenState(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.use(state)
	return h
}

func (h *house) use(state *app.State) {
	h.state = state
	h.in = intake.New(intake.Config{
		Policies: policy.NewLive(policy.Lenient), Hostname: h.cfg.Hostname, TempDir: h.t.TempDir(),
		Scripts: scripts.New(state.Store, state.Directory, sieve.Options{}), Forwards: &srs.Rewriter{Key: []byte("key")},
	}, state.Directory, state.Store, state.Blobs, world, nil)
	h.t.Cleanup(func() { _ = state.Close() })
}

func (h *house) close() {
	h.t.Helper()
	if err := h.state.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// letter is one message with whom it is for.
type letter struct {
	from   string
	to     []string
	text   string
	wishes func(*mail.Envelope)  // with MAIL; nil: none
	asks   func(*mail.Recipient) // with each RCPT; nil: nothing
}

// send takes a letter in as the local socket would (our own user): the message's
// id, or what was refused.
func (h *house) send(ctx context.Context, l letter) (mail.ID, error) {
	client := &mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:1", HELO: "localhost", EHLO: true}
	return h.sendAs(ctx, client, l)
}

// world is what the stranger's names lead to.
var world = resolver.Static{
	"example.net":    {"MX 10 mx.example.net", "TXT v=spf1 mx -all"},
	"mx.example.net": {"A 192.0.2.7"},
	"192.0.2.7":      {"PTR mx.example.net"},
}

// stranger is who comes from the network; mail of one that calls itself "PC" is
// junk.
func stranger(helo string) *mail.Client {
	return &mail.Client{Door: mail.MX, IP: netip.MustParseAddr("192.0.2.7"), HELO: helo, EHLO: true}
}

func (h *house) sendAs(ctx context.Context, client *mail.Client, l letter) (mail.ID, error) {
	s, refused := h.in.Open(ctx, client)
	if refused != nil {
		return mail.ID{}, errors.New(refused.String())
	}
	defer s.Close(ctx, smtpserver.CloseReason{})
	s.Hello(ctx, client)
	e := &mail.Envelope{Client: *client}
	var err error
	if e.ReversePath, err = addr.ParseAddress(l.from); err != nil {
		return mail.ID{}, err
	}
	if l.wishes != nil {
		l.wishes(e)
	}
	if r := s.Mail(ctx, e); r != nil {
		return mail.ID{}, errors.New(r.String())
	}
	for _, to := range l.to {
		a, err := addr.ParseAddress(to)
		if err != nil {
			return mail.ID{}, err
		}
		rcpt := mail.Recipient{Address: a}
		if l.asks != nil {
			l.asks(&rcpt)
		}
		if r := s.Rcpt(ctx, e, rcpt); r != nil {
			return mail.ID{}, errors.New(r.String())
		}
		e.Recipients = append(e.Recipients, rcpt)
	}
	sink, r := s.Data(ctx, e)
	if r != nil {
		return mail.ID{}, errors.New(r.String())
	}
	if _, err := io.WriteString(sink, l.text); err != nil {
		return mail.ID{}, err
	}
	if reply := sink.Commit(ctx)[0]; reply.Code != 250 {
		return mail.ID{}, errors.New(reply.String())
	}
	s.Delivered()
	return e.ID, nil
}

// append stores a message as IMAP does.
func (h *house) append(ctx context.Context, login, folder string, text string) error {
	acc := h.state.Directory.View().ByLogin(login)
	boxes, err := h.state.Store.ListMailboxes(ctx, acc.ID)
	if err != nil {
		return err
	}
	m := intake.Stored{Account: acc.ID, Flags: mailbox.Seen, Size: int64(len(text))}
	for _, b := range boxes {
		if b.Name == folder {
			m.Target = store.Target{ID: b.ID, Name: b.Name}
		}
	}
	_, err = h.in.Append(ctx, m, strings.NewReader(text))
	return err
}

// contents tells how often each message is in each mailbox: "login folder
// flags+keywords hash-of-the-whole hash-of-what-lists-show" → count. The bytes of every one are read.
func (h *house) contents(ctx context.Context) map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for i := range h.view().Accounts {
		acc := &h.view().Accounts[i]
		boxes, err := h.state.Store.ListMailboxes(ctx, acc.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, b := range boxes {
			for from := mailbox.UID(1); ; {
				page, err := h.state.Store.Fetch(ctx, acc.ID, b.ID, store.FetchQuery{From: from, Want: store.WantBytes | store.WantEnvelope | store.WantStructure | store.WantPreview})
				if err != nil {
					h.t.Fatal(err)
				}
				for _, m := range page {
					seen := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %v", m.Envelope, m.Structure, m.Preview, m.Size, m.Sent))
					out[fmt.Sprintf("%s %s %s %x %x", acc.Login, b.Name, strings.Join(append(m.Flags.Names(), m.Keywords...), "+"), h.whole(ctx, m), seen[:4])]++
					from = m.UID + 1
				}
				if len(page) == 0 {
					break
				}
			}
		}
	}
	return out
}

// whole is the hash of prefix and blob.
func (h *house) whole(ctx context.Context, m store.Stored) [32]byte {
	h.t.Helper()
	b, err := blob.ReadAll(ctx, h.state.Blobs, m.Blob.ID, m.Blob.At)
	if err != nil {
		h.t.Fatal(err)
	}
	return sha256.Sum256(append(append([]byte(nil), m.Prefix...), b[m.Skip:]...))
}

func (h *house) view() *store.DirectoryView {
	h.t.Helper()
	v, err := h.state.Store.LoadDirectory(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// queued tells how often each recipient waits: "state address hash" → count.
func (h *house) queued(ctx context.Context) map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for after := int64(0); ; {
		page, err := h.state.Store.ListQueue(ctx, store.QueueFilter{After: after})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, q := range page {
			body := store.Stored{Prefix: q.Prefix, Skip: q.Skip, Blob: q.Blob}
			out[fmt.Sprintf("%s %x", q.Address, h.whole(ctx, body))]++
			after = q.ID
		}
		if len(page) == 0 {
			return out
		}
	}
}

// sound checks every invariant through the command that people give.
func (h *house) sound() {
	h.t.Helper()
	v := h.verify()
	for _, b := range v.Breaches {
		h.t.Errorf("%s: %s", b.Invariant, b.Detail)
	}
}

func (h *house) verify() command.Verified {
	h.t.Helper()
	v, err := command.Do(h.t.Context(), h.state.House(), command.Principal{Name: "test", Role: store.Owner}, "store.verify", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return v.(command.Verified)
}

// text makes a message of about size octets.
func text(n int, size int) string {
	head := fmt.Sprintf("From: Ana <ana@empresa.test>\r\nTo: someone\r\nSubject: letter %d\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@empresa.test>\r\n\r\n", n, n)
	line := fmt.Sprintf("This is line %08d of a letter that is as long as it must be.\r\n", n)
	return head + strings.Repeat(line, max(1, (size-len(head))/len(line)))
}

// lose removes the whole metadata.
func (h *house) lose() {
	h.t.Helper()
	if err := os.RemoveAll(filepath.Join(h.cfg.Data, "meta")); err != nil {
		h.t.Fatal(err)
	}
}
