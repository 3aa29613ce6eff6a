package intake

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/access"
	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/scan"
	"posta/internal/scan/scantest"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// mapped is a house whose access map has these lines. It is followed, so that later
// changes are live after a Refresh.
func mapped(t testing.TB, lines string) *house {
	t.Helper()
	h := newHouse(t)
	h.cfg.Access = access.Follow(h.store)
	h.put(lines)
	return h
}

// put changes the map as an administrator does; a line "- KEY" removes.
func (h *house) put(lines string) {
	h.t.Helper()
	err := h.store.ChangeAccess(h.t.Context(), func(tx store.AccessTx) (store.Audit, error) {
		for l := range strings.Lines(lines) {
			key, value, _ := strings.Cut(strings.TrimSpace(l), " ")
			switch {
			case key == "":
			case key == "-":
				if err := tx.Delete(value); err != nil {
					return store.Audit{}, err
				}
			default:
				k, err := access.ParseKey(key)
				if err != nil {
					return store.Audit{}, err
				}
				v, err := access.ParseValue(strings.TrimSpace(value))
				if err != nil {
					return store.Audit{}, err
				}
				if err := tx.Put(store.AccessEntry{Key: k.String(), Value: v.String()}); err != nil {
					return store.Audit{}, err
				}
			}
		}
		return store.Audit{Command: "access.edit"}, nil
	})
	if err == nil {
		err = h.cfg.Access.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// outcome is what a client reads for one recipient and letter, without the link, and
// where the letter went.
func (h *house) outcome(c mail.Client, from, to string) string {
	h.t.Helper()
	inbox, junk := len(h.mailIn("ana", "INBOX")), len(h.mailIn("ana", "Junk"))
	rcpt, final := h.talk(c, from, []string{to}, letter)
	said := strings.Join(rcpt, " ")
	if len(final) > 0 {
		said = final[0].String()
	}
	said, _, _ = strings.Cut(said, " https://")
	if strings.HasPrefix(said, "250 2.0.0 Ok: queued as ") {
		said = "250"
	}
	q, err := h.store.ListQueue(h.t.Context(), store.QueueFilter{Address: to})
	if err != nil {
		h.t.Fatal(err)
	}
	held, err := h.store.ListHeld(h.t.Context(), store.HeldFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	switch {
	case len(held) > 0:
		said += " held"
	case len(h.mailIn("ana", "INBOX")) > inbox:
		said += " INBOX"
	case len(h.mailIn("ana", "Junk")) > junk:
		said += " Junk"
	case len(q) > 0:
		said += " queue"
	case said == "250":
		said += " dropped"
	}
	return said
}

// at is the good stranger from another place.
func at(ip string) mail.Client {
	c := stranger()
	c.IP = netip.MustParseAddr(ip)
	return c
}

// Each line of sendmail's documentation (cf/README), through a session: the map,
// then client, sender and recipient, and what the client reads.
func TestAccessMap(t *testing.T) {
	const here = "ana@empresa.test"
	for _, tt := range []struct{ name, lines, ip, from, to, want string }{
		{"an empty map", "", "192.0.2.1", "a@good.example", here, "250 INBOX"},

		{"To: RELAY relays to there from anyone", "To:friend.example RELAY", "192.0.2.1", "a@good.example", "x@friend.example", "250 queue"},
		{"to what is below it too", "To:friend.example RELAY", "192.0.2.1", "a@good.example", "x@sub.friend.example", "250 queue"},
		{"but mail from there does not relay", "To:friend.example RELAY", "192.0.2.1", "a@friend.example", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},
		{"Connect: RELAY relays from there", "Connect:good.example RELAY", "192.0.2.1", "a@good.example", "x@other.example", "250 queue"},
		{"by its network", "Connect:192.0.2 RELAY", "192.0.2.1", "a@good.example", "x@other.example", "250 queue"},
		{"but mail to there does not relay", "Connect:from.example RELAY", "192.0.2.1", "a@good.example", "x@from.example", "554 5.7.1 <x@from.example>: Relay access denied [relay.denied]"},
		{"a name that only claims to be it does not", "Connect:elsewhere.example RELAY", "198.51.100.9", "a@nowhere.example", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},
		{"From: RELAY alone relays nothing", "From:good.example RELAY", "192.0.2.1", "a@good.example", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},

		{"only good@ passes", "From:a@good.example OK\nFrom:good.example REJECT", "192.0.2.1", "a@good.example", here, "250 INBOX"},
		{"others of the domain do not", "From:a@good.example OK\nFrom:good.example REJECT", "192.0.2.1", "b@good.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"a domain", "good.example REJECT", "192.0.2.1", "a@good.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"what is below it is refused too", "good.example REJECT", "192.0.2.1", "a@a.b.good.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"the client by its name", "Connect:good.example REJECT", "192.0.2.1", "a@other.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"the client by its network", "Connect:192.0 REJECT", "192.0.2.1", "a@good.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"the longest network answers", "Connect:192.0 REJECT\nConnect:192.0.2.1 OK", "192.0.2.1", "a@good.example", here, "250 INBOX"},
		{"the null reverse-path is taken", "From:good.example REJECT", "192.0.2.1", "", here, "250 INBOX"},

		{"a text of one's own", "From:good.example ERROR:5.7.1:550 We do not do business with you", "192.0.2.1", "a@good.example", here, "550 5.7.1 We do not do business with you [access.denied]"},
		{"with a code alone", "From:good.example 450 Come later", "192.0.2.1", "a@good.example", here, "450 4.0.0 Come later [access.denied]"},

		{"blocked: a user of ours", "ana@ 550 Mailbox disabled", "192.0.2.1", "a@good.example", here, "550 5.0.0 Mailbox disabled [access.denied]"},
		{"blocked: a whole domain", "To:empresa.test REJECT", "192.0.2.1", "a@good.example", here, "550 5.2.1 Mailbox disabled for this recipient [access.denied]"},
		{"blocked: an address", "To:ana@empresa.test 550 No", "192.0.2.1", "a@good.example", here, "550 5.0.0 No [access.denied]"},
		{"a user elsewhere is another", "ana@ 550 No\nTo:other.example RELAY", "192.0.2.1", "a@good.example", "ana@other.example", "250 queue"},

		{"a blocked client reaches who wants it all", "Connect:192.0.2.1 REJECT\nTo:ana@ SPAMFRIEND", "192.0.2.1", "a@good.example", here, "250 INBOX"},
		{"in the newer form too", "From:good.example REJECT\nSpam:ana@empresa.test FRIEND", "192.0.2.1", "a@good.example", here, "250 INBOX"},
		{"not the others", "Connect:192.0.2.1 REJECT\nTo:luis@ SPAMFRIEND", "192.0.2.1", "a@good.example", here, "550 5.7.1 Access denied [access.denied]"},
		{"postmaster@ stays reachable", "Connect:192.0.2.1 REJECT\nTo:postmaster@ REJECT", "192.0.2.1", "a@good.example", "postmaster@empresa.test", "250 INBOX"},

		{"without OK policy refuses", "Connect:192.0.2.1 SKIP", "192.0.2.1", "x@strict.example", here, "550 5.7.23 <ana@empresa.test>: The domain's SPF record forbids this address to send (strict.example) [spf.fail]"},
		{"OK lifts what policy would refuse", "From:strict.example OK", "192.0.2.1", "x@strict.example", here, "250 INBOX"},
		{"and an unresolvable domain", "From:nowhere.example OK", "192.0.2.1", "x@nowhere.example", here, "250 INBOX"},
		{"RELAY implies OK", "Connect:192.0.2.1 RELAY", "192.0.2.1", "x@nowhere.example", here, "250 INBOX"},
		{"OK makes no recipient", "From:good.example OK", "192.0.2.1", "a@good.example", "nadie@empresa.test", "550 5.1.1 <nadie@empresa.test>: no such recipient here [rcpt.unknown]"},

		{"DISCARD as sender", "From:good.example DISCARD", "192.0.2.1", "a@good.example", here, "250 dropped"},
		{"DISCARD as client", "Connect:192.0.2.1 DISCARD", "192.0.2.1", "a@good.example", here, "250 dropped"},
		{"DISCARD as recipient, who need not exist", "To:trap@empresa.test DISCARD", "192.0.2.1", "a@good.example", "trap@empresa.test", "250 dropped"},
		{"DISCARD relays nothing", "From:good.example DISCARD", "192.0.2.1", "a@good.example", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},
		{"QUARANTINE", "From:good.example QUARANTINE:looks odd", "192.0.2.1", "a@good.example", here, "250 held"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := mapped(t, tt.lines)
			if got := h.outcome(at(tt.ip), tt.from, tt.to); got != tt.want {
				t.Errorf("%s\n%s <%s> → <%s>\n got %s\nwant %s", tt.lines, tt.ip, tt.from, tt.to, got, tt.want)
			}
		})
	}
}

// Entries that let somebody relay open nothing else: every classic form, from who may
// not, and to where it may not.
func TestAccessOpensNoRelay(t *testing.T) {
	h := mapped(t, `To:friend.example RELAY
		Connect:203.0.113.7 RELAY
		From:good.example OK
		Connect:192.0.2.1 OK
		Connect:127 OK
		empresa.test OK
		Spam:x@other.example FRIEND
		To:other.example OK
		To:x@other.example OK`)
	local := mail.Client{Door: mail.MX, IP: netip.MustParseAddr("127.0.0.1"), HELO: "localhost", EHLO: true}
	lmtp := local
	lmtp.Door = mail.LMTP
	for _, c := range []mail.Client{stranger(), at("198.51.100.9"), local, lmtp} {
		for _, from := range []string{"a@good.example", "ana@empresa.test", "x@friend.example", ""} {
			for _, to := range []string{
				"x@other.example", "x%other.example@empresa.test", "other.example!x@empresa.test", `"x@other.example"@empresa.test`,
				"x%other.example@friend.example", "other.example!x@friend.example", `"x@other.example"@friend.example`,
				"x@friend.example.other.example", "x@notfriend.example", "friend.example@other.example",
			} {
				rcpt, final := h.talk(c, from, []string{to}, letter)
				if len(rcpt) != 1 || !strings.Contains(rcpt[0], "[relay.denied]") && !strings.Contains(rcpt[0], "[access.denied]") {
					t.Errorf("%v %s <%s> → <%s>: %v %v", c.Door, c.IP, from, to, rcpt, final)
				}
			}
		}
	}
	// The one that may relay, may.
	if got := h.outcome(at("203.0.113.7"), "a@good.example", "x@other.example"); got != "250 queue" {
		t.Error(got)
	}
}

// Who has logged in is held to entries about recipients only.
func TestAccessAndOurUsers(t *testing.T) {
	h := mapped(t, "Connect:192.0.2.77 REJECT\nFrom:empresa.test REJECT\nTo:blocked.example 550 Not there")
	c := mail.Client{Door: mail.Submission, IP: netip.MustParseAddr("192.0.2.77"), HELO: "[192.168.1.5]", EHLO: true,
		Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"])}
	for to, want := range map[string]string{
		"ana@empresa.test": "250 INBOX", "x@other.example": "250 queue", "x@blocked.example": "550 5.0.0 Not there [access.denied]",
	} {
		if got := h.outcome(c, "luis@empresa.test", to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

// A change is live for the next transaction, in a session that is open.
func TestAccessIsLive(t *testing.T) {
	h := mapped(t, "")
	c := stranger()
	s, _ := h.Open(t.Context(), &c)
	defer s.Close(t.Context(), smtpserver.CloseReason{})
	ask := func() string {
		rcpt, final := h.converse(s, &c, "a@good.example", []string{"ana@empresa.test"}, letter)
		s.Delivered()
		return fmt.Sprint(rcpt, len(final))
	}
	if got := ask(); got != "[] 1" {
		t.Fatal(got)
	}
	h.put("From:good.example REJECT")
	if got := ask(); !strings.HasPrefix(got, "[550 5.7.1 Access denied [access.denied] https://mx.empresa.test/why/") {
		t.Fatal(got)
	}
	h.put("- From:good.example")
	if got := ask(); got != "[] 1" {
		t.Fatal(got)
	}
}

// A recipient that is dropped goes by itself; the others have their letter, and the
// trace says what the map did.
func TestAccessDiscardsOneRecipient(t *testing.T) {
	h := mapped(t, "To:luis@empresa.test DISCARD\nTo:llena@ REJECT\nFrom:a@good.example OK")
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"luis@empresa.test", "llena@empresa.test", "ana@empresa.test"}, letter)
	if len(rcpt) != 1 || final[0].Code != 250 || len(h.mailIn("ana", "INBOX")) != 1 || len(h.mailIn("luis", "INBOX")) != 0 {
		t.Fatal(rcpt, final)
	}
	rec := h.lastTrace()
	want := []trace.Recipient{
		{Address: "luis@empresa.test", Action: "discard", Check: "access.discard", Effects: []string{"dropped"}},
		{Address: "ana@empresa.test", Action: "accept", Friend: true, Effects: []string{"ana@empresa.test → inbox"}},
	}
	for i, w := range want {
		if got := rec.To[i]; got.Address != w.Address || got.Action != w.Action || got.Check != w.Check || got.Friend != w.Friend || strings.Join(got.Effects, ";") != strings.Join(w.Effects, ";") {
			t.Errorf("%+v\nwant %+v", got, w)
		}
	}
	for check, entry := range map[string]string{"access.discard": "To:luis@empresa.test DISCARD", "access.denied": "To:llena@ REJECT"} {
		found := false
		for _, f := range rec.Findings.Others {
			found = found || string(f.Check) == check && len(f.Evidence) == 1 && f.Evidence[0].Seen == entry
		}
		if !found {
			t.Errorf("no finding %s with %s in %v", check, entry, rec.Findings.Others)
		}
	}
}

// What is dropped whole leaves a trace and no bytes.
func TestAccessDiscardKeepsNoBytes(t *testing.T) {
	h := mapped(t, "From:good.example DISCARD")
	if got := h.outcome(stranger(), "a@good.example", "ana@empresa.test"); got != "250 dropped" {
		t.Fatal(got)
	}
	if rec := h.lastTrace(); rec.Stage != trace.Accepted || rec.To[0].Check != "access.discard" {
		t.Errorf("%+v", rec)
	}
	err := h.store.EachBlob(t.Context(), func(b store.BlobRef) error { return fmt.Errorf("blob %s was kept", b.ID) })
	if err != nil {
		t.Error(err)
	}
}

// Milters that listen are let go when a message is dropped before they heard it, and
// hear the next one whole.
func TestAccessDiscardAndMilters(t *testing.T) {
	h := mapped(t, "From:tirar@good.example DISCARD\nTo:trampa@empresa.test DISCARD")
	h.ask(scantest.Milter, scan.Member{})
	c := stranger()
	s, _ := h.Open(t.Context(), &c)
	defer s.Close(t.Context(), smtpserver.CloseReason{})
	for range 2 {
		for _, m := range []struct{ from, to string }{
			{"tirar@good.example", "ana@empresa.test"}, {"a@good.example", "trampa@empresa.test"}, {"a@good.example", "ana@empresa.test"},
		} {
			rcpt, final := h.converse(s, &c, m.from, []string{m.to}, told("X-Do: add X-Seen yes"))
			if len(rcpt) != 0 || final[0].Code != 250 {
				t.Fatal(m, rcpt, final)
			}
			s.Delivered()
		}
		rcpt, final := h.converse(s, &c, "a@good.example", []string{"trampa@empresa.test", "ana@empresa.test"}, told("X-Do: reply 554 5.6.0 no"))
		if len(rcpt) != 0 || final[0].Code != 250 { // one is dropped: that is a yes, and the other is held for it
			t.Fatal(rcpt, final)
		}
		s.Delivered()
	}
	if n := len(h.mailIn("ana", "INBOX")); n != 2 {
		t.Errorf("ana has %d letters, want those that were for her", n)
	}
}

func (h *house) lastTrace() *trace.Record {
	h.t.Helper()
	if err := h.store.FlushTraces(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	all, err := h.store.LatestTraces(h.t.Context(), time.Time{}, 1)
	if err != nil || len(all) != 1 {
		h.t.Fatal(all, err)
	}
	rec, err := trace.Decode(all[0].TraceRecord)
	if err != nil {
		h.t.Fatal(err)
	}
	return rec
}

// A message about which the map says nothing costs no allocation; an empty map costs
// nothing at all.
func TestAccessAllocatesNothing(t *testing.T) {
	h := mapped(t, "From:spam.example REJECT\nConnect:203.0.113 REJECT\nTo:trap@empresa.test DISCARD\nspam.example REJECT")
	c := stranger()
	opened, _ := h.Open(t.Context(), &c)
	defer opened.Close(t.Context(), smtpserver.CloseReason{})
	opened.Hello(t.Context(), &c)
	e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: c, ReversePath: address(t, "a@good.example")}
	if r := opened.Mail(t.Context(), e); r != nil {
		t.Fatal(r)
	}
	s, to := opened.(*session), address(t, "ana@empresa.test")
	ask := func() { s.byAccess(t.Context(), e, to) }
	ask() // the client's name is awaited once
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations for a recipient about whom the map says nothing", n)
	}
}

// The cost at RCPT of a map of a million entries that says nothing of a message.
func BenchmarkAccess(b *testing.B) {
	for _, n := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m, err := access.Collect(func(yield func(access.Key, access.Value) bool) {
				for i := range n {
					k, err := access.ParseKey(fmt.Sprintf("From:spam%d.example", i))
					if err != nil || !yield(k, access.Value{Action: access.REJECT}) {
						return
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			s := &session{tx: &transaction{}}
			s.tx.access.m, s.access.known = m, true
			s.access.facts = access.Facts{Name: "mx.good.example", Local: func(addr.Domain) bool { return true }}
			c := stranger()
			e := &mail.Envelope{Client: c, ReversePath: addr.Address{Local: "a", Domain: "good.example"}}
			s.access.facts.IP = c.IP
			to := addr.Address{Local: "ana", Domain: "empresa.test"}
			b.ReportAllocs()
			for b.Loop() {
				s.byAccess(b.Context(), e, to)
			}
		})
	}
}
