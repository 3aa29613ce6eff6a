package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"mime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"
)

// stored is one message as a fresh client finds it.
type stored struct {
	folder string
	flags  []string
	raw    []byte // all octets
}

// header is the value of a field, unfolded; "" if it is absent.
func (s *stored) header(name string) string {
	head, _, _ := bytes.Cut(s.raw, []byte("\r\n\r\n"))
	text := strings.NewReplacer("\r\n\t", " ", "\r\n ", " ").Replace(string(head))
	for line := range strings.SplitSeq(text, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// line tells subject, flags, and size and hash of the body: the header has the
// time of day in it. A boundary that a client made at random counts as "=".
func (s *stored) line() string {
	_, body, _ := bytes.Cut(s.raw, []byte("\r\n\r\n"))
	if _, params, err := mime.ParseMediaType(s.header("Content-Type")); err == nil && params["boundary"] != "" {
		body = bytes.ReplaceAll(body, []byte(params["boundary"]), []byte("="))
	}
	flags := slices.DeleteFunc(slices.Clone(s.flags), func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return fmt.Sprintf("  %s (%s) %d %.4x", s.header("Subject"), strings.Join(flags, " "), len(body), sha256.Sum256(body))
}

// imap logs a client of the tests in, over TLS.
func (h *house) imap(t *testing.T, user string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(h.doors["imaps"], &imapclient.Options{TLSConfig: h.tls()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(user, h.password[user]).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// messages reads all that an account has, by a fresh connection, without setting
// flags: folders by name, INBOX first, messages by UID.
func (h *house) messages(t *testing.T, user string) []stored {
	t.Helper()
	c := h.imap(t, user)
	defer c.Close()
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range boxes {
		if !slices.Contains(b.Attrs, imap.MailboxAttrNoSelect) && b.Mailbox != "INBOX" {
			names = append(names, b.Mailbox)
		}
	}
	slices.Sort(names)
	var out []stored
	for _, name := range append([]string{"INBOX"}, names...) {
		sel, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if sel.NumMessages == 0 {
			continue
		}
		whole := &imap.FetchItemBodySection{Peek: true}
		all := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}
		got, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		slices.SortFunc(got, func(a, b *imapclient.FetchMessageBuffer) int { return int(a.UID) - int(b.UID) })
		for _, m := range got {
			s := stored{folder: name, raw: m.FindBodySection(whole)}
			for _, f := range m.Flags {
				s.flags = append(s.flags, string(f))
			}
			out = append(out, s)
		}
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

// contents is the account as golden text: each folder that has messages, and
// below it their subjects, flags, and size and hash of the bodies.
func (h *house) contents(t *testing.T, user string) string {
	t.Helper()
	var b strings.Builder
	folder := ""
	for _, m := range h.messages(t, user) {
		if m.folder != folder {
			folder = m.folder
			fmt.Fprintln(&b, folder)
		}
		fmt.Fprintln(&b, m.line())
	}
	return b.String()
}

// expect compares an account with what must be there.
func (h *house) expect(t *testing.T, user, want string) {
	t.Helper()
	want, got := strings.TrimPrefix(want, "\n"), h.contents(t, user)
	if got != want {
		t.Errorf("%s has\n%s\nexpected\n%s\n%s", user, got, want, cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
	}
}

// await waits until an account has n messages: for what others deliver in their
// own time.
func (h *house) await(t *testing.T, user string, n int) []stored {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got := h.messages(t, user)
		if len(got) >= n {
			return got
		}
		if time.Since(start) > 45*time.Second {
			t.Fatalf("%s has %d messages after 45 s, expected %d", user, len(got), n)
		}
	}
}

// find gives the only message with a subject.
func find(t *testing.T, all []stored, subject string) *stored {
	t.Helper()
	var found *stored
	for i := range all {
		if all[i].header("Subject") != subject {
			continue
		}
		if found != nil {
			t.Fatalf("two messages have the subject %q", subject)
		}
		found = &all[i]
	}
	if found == nil {
		t.Fatalf("no message has the subject %q", subject)
	}
	return found
}

// intact fails unless a message is what was sent, octet by octet, below the
// fields that servers put on top.
func intact(t *testing.T, m *stored, sent string) {
	t.Helper()
	if !bytes.HasSuffix(m.raw, []byte(sent)) {
		t.Errorf("%q did not arrive as it was sent:\n%q\ninstead of\n%q", m.header("Subject"), m.raw, sent)
	}
}

// crlf turns the line ends of a literal into those of mail.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// letter is a message with all that a good client gives it.
func letter(from, to, subject, body string) string {
	return crlf(fmt.Sprintf("Date: Mon, 2 Nov 2026 09:30:00 -0500\nFrom: <%s>\nTo: <%s>\nSubject: %s\nMessage-ID: <%s.1@fuera.test>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s",
		from, to, subject, strings.ReplaceAll(subject, " ", "-"), body))
}

// thorny is a body that careless programs change: dots at the start of lines,
// a line "From ", octets beyond ASCII, trailing blanks, a long line, empty lines
// at the end.
var thorny = ".\n..\n.punto\nFrom aquí en adelante, año €\n blancos \t \n" + strings.Repeat("larga ", 160) + "\n\n\n"
