package intake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/ratelimit"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/spf"
	"posta/internal/store"
	"posta/internal/trace"
)

// strangers is the DNS of these tests.
var strangers = resolver.Static{
	"good.example":     {"MX 10 mx.good.example", "TXT v=spf1 ip4:192.0.2.1 -all", "A 192.0.2.1"},
	"mx.good.example":  {"A 192.0.2.1", "TXT v=spf1 a -all"},
	"192.0.2.1":        {"PTR mx.good.example"},
	"dom.list.example": {},

	// A line whose name is the provider's.
	"198.51.100.91":                    {"PTR 198-51-100-91.dsl.example.net"},
	"198-51-100-91.dsl.example.net":    {"A 198.51.100.91"},
	"198.51.100.92":                    {"PTR 198-51-100-92.dsl.example.net"},
	"198-51-100-92.dsl.example.net":    {"A 198.51.100.92"},
	"198.51.101.93":                    {"PTR 198-51-101-93.dsl.example.net"},
	"198-51-101-93.dsl.example.net":    {"A 198.51.101.93"},
	"home.example":                     {"MX 10 mx.home.example"},
	"mx.home.example":                  {"A 198.51.100.80"},
	"friend.example":                   {"MX 10 mx.home.example", "TXT v=spf1 ip4:198.51.100.91 -all"},
	"_dmarc.friend.example":            {"TXT v=DMARC1; p=none"},
	"mail-x.google.com":                {"A 203.0.113.77"},
	"203.0.113.77":                     {"PTR mail-x.google.com"},
	"workspace.example":                {"MX 10 mx.home.example"},
	"nat.example":                      {"MX 10 mx1.nat.example", "MX 20 mx2.nat.example"},
	"mx1.nat.example":                  {"A 203.0.113.10"},
	"mx2.nat.example":                  {"A 203.0.113.11"},
	"out.nat.example":                  {"A 203.0.113.12", "TXT v=spf1 ip4:203.0.113.20 -all"},
	"forbidden.nat.example":            {"A 203.0.113.13", "TXT v=spf1 -all"},
	"slow.nat.example":                 {"A 203.0.113.13", "TXT FAIL timeout"},
	"203.0.113.20":                     {"PTR gw.nat.example"},
	"gw.nat.example":                   {"A 203.0.113.20"},
	"203.0.113.21":                     {"PTR gw.nat.example", "PTR www.nat.example"},
	"many.example":                     {"MX 10 a.many.example", "MX 20 b.many.example", "MX 30 c.many.example", "MX 40 d.many.example", "MX 50 e.many.example", "MX 60 nowhere.many.example"},
	"*.many.example":                   {"A 192.0.2.60"},
	"addressed.example":                {"MX 10 192.0.2.5"},
	"private.example":                  {"MX 10 in.private.example", "MX 20 lo.private.example"},
	"in.private.example":               {"A 10.0.0.1"},
	"lo.private.example":               {"A 127.0.0.1"},
	"half.example":                     {"MX 10 in.private.example", "MX 20 mx.good.example"},
	"dangling.example":                 {"MX 10 mx.good.example", "MX 20 gone.dangling.example"},
	"alias.example":                    {"MX 10 cname.alias.example"},
	"cname.alias.example":              {"CNAME mx.good.example"},
	"six.example":                      {"MX 10 mx.six.example"},
	"mx.six.example":                   {"AAAA 2001:db8::25"},
	"unsure.example":                   {"MX 10 slow.unsure.example"},
	"slow.unsure.example":              {"FAIL timeout"},
	"two.example":                      {"MX 10 mx.good.example", "TXT v=spf1 -all", "TXT v=spf1 mx -all"},
	"loop.example":                     {"MX 10 mx.good.example", "TXT v=spf1 include:loop.example -all"},
	"typo.example":                     {"MX 10 mx.good.example", "TXT v=spf1 ip5:192.0.2.1 -all"},
	"open.example":                     {"MX 10 mx.good.example", "TXT v=spf1 ip4:192.0.2.1 all"},
	"lent.example":                     {"MX 10 mx.good.example", "TXT v=spf1 include:open.example -all"},
	"soft.example":                     {"MX 10 mx.good.example", "TXT v=spf1 ~all"},
	"2.0.0.127.bl.example":             {"A 127.0.0.2"},
	"1.2.0.192.bl.example":             {"A 127.0.0.9", "TXT asked for it"},
	"2.0.0.127.list.dnswl.org":         {"A 127.0.10.0"},
	"1.2.0.192.list.dnswl.org":         {"A 127.0.10.3"},
	"test.dbl.example":                 {"A 127.0.0.2"},
	"mx.good.example.dbl.example":      {"A 127.0.0.2"},
	"home.example.dbl.example":         {"A 127.0.0.3"},
	"2.0.0.127.dnsbl-2.uceprotect.net": {"A 127.0.0.2"},
	"1.2.0.192.dnsbl-2.uceprotect.net": {"A 127.0.0.2"},
}

// clock is a time that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// strangersHouse is a house in the DNS above, with a memory and a clock.
func strangersHouse(t *testing.T, change func(*Config)) (*house, *clock) {
	t.Helper()
	h := newHouse(t)
	c := &clock{time.Now()}
	cfg := h.cfg
	cfg.Now = c.now
	cfg.Memory = reputation.New(h.store, reputation.Grey{}, c.now)
	if change != nil {
		change(&cfg)
	}
	h.Intake = New(cfg, h.dir, h.Intake.store, h.Intake.blobs, strangers, h.login)
	return h, c
}

func from(ip, helo string) mail.Client {
	return mail.Client{Door: mail.MX, IP: netip.MustParseAddr(ip), Port: 40000, HELO: helo, EHLO: true}
}

// line is a client at home, whose name makes it suspicious.
func line(ip string) mail.Client {
	return from(ip, strings.ReplaceAll(ip, ".", "-")+".dsl.example.net")
}

// seen is what is found of a client and its envelope.
func (h *house) seen(c mail.Client, from string) *transaction {
	h.t.Helper()
	s, _ := h.Open(h.t.Context(), &c)
	s.Hello(h.t.Context(), &c)
	e := &mail.Envelope{ID: mail.NewID(h.cfg.Now()), Client: c}
	if from != "" {
		e.ReversePath = address(h.t, from)
	}
	s.Mail(h.t.Context(), e)
	s.Rcpt(h.t.Context(), e, mail.Recipient{Address: address(h.t, "postmaster@empresa.test")})
	own := s.(*session)
	own.judge.end()
	own.tx.judge.end()
	return own.tx
}

// faults lists checks that failed, or with "?" could not be verified.
func faults(set *finding.Set, sections ...string) string {
	var out []string
	for _, f := range set.Others {
		section, _, _ := strings.Cut(string(f.Check), ".")
		if !slices.Contains(sections, section) {
			continue
		}
		id := string(f.Check)
		if f.Outcome == finding.Unverified {
			id += "?"
		}
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

// RFC 6647: put off, put off while it does not wait, taken, and known from then on.
// Nobody waits who is ours, wanted or proven.
func TestGreylist(t *testing.T) {
	h, now := strangersHouse(t, nil)
	luis := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.77")}
	if _, final := h.talk(luis, "luis@empresa.test", []string{"pepe@friend.example"}, "Subject: x\r\n\r\nhola\r\n"); final[0].Code != 250 {
		t.Fatal(final)
	}
	h.runOnce(t)
	near := line("198.51.100.91")
	near.Class = mail.LocalNetwork
	const wait = "451 4.7.1 <ana@empresa.test>: Not known here yet, try again in a few minutes [greylist.wait] https://mx.empresa.test/why/"
	for _, step := range []struct {
		what     string
		after    time.Duration
		client   mail.Client
		from, to string
		want     string
	}{
		{"a client in order does not wait", 0, from("192.0.2.1", "mx.good.example"), "a@good.example", "ana", ""},
		{"first", 0, line("198.51.100.91"), "a@home.example", "ana", wait},
		{"too soon", time.Minute, line("198.51.100.91"), "a@home.example", "ana", wait},
		{"to postmaster@", 0, line("198.51.100.91"), "a@home.example", "postmaster", ""},
		{"from the local network", 0, near, "a@home.example", "ana", ""},
		{"from whom our user wrote to", 0, line("198.51.100.91"), "pepe@friend.example", "ana", ""},
		{"the same name without proof", 0, line("198.51.101.93"), "pepe@home.example", "ana", wait},
		{"from another host of its network, in time", 4 * time.Minute, line("198.51.100.92"), "a@home.example", "ana", ""},
		{"known now, to whomever", time.Minute, line("198.51.100.91"), "b@home.example", "luis", ""},
		{"from another network", 0, line("198.51.101.93"), "a@home.example", "ana", wait},
		{"a day too late: it begins anew", 25 * time.Hour, line("198.51.101.93"), "a@home.example", "ana", wait},
		{"known for weeks", 30 * 24 * time.Hour, line("198.51.100.91"), "a@home.example", "ana", ""},
	} {
		now.t = now.t.Add(step.after)
		rcpt, final := h.talk(step.client, step.from, []string{step.to + "@empresa.test"}, letter)
		got := ""
		if len(rcpt) > 0 {
			got = rcpt[0]
		}
		if step.want == "" && (got != "" || final[0].Code != 250) || !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %s %v, want %q", step.what, got, final, step.want)
		}
	}
}

// runOnce writes down what was noticed, as Run does at its end.
func (h *house) runOnce(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Run(ctx)
}

// The trace of one who was put off says why, and of one who came again that it is
// known: the dry run of a policy reads both.
func TestGreylistTrace(t *testing.T) {
	h, now := strangersHouse(t, nil)
	h.talk(line("198.51.100.91"), "a@home.example", []string{"ana@empresa.test"}, letter)
	now.t = now.t.Add(5 * time.Minute)
	h.talk(line("198.51.100.91"), "a@home.example", []string{"ana@empresa.test"}, letter)
	recs := h.traces("a@home.example")
	if len(recs) != 2 {
		t.Fatal(recs)
	}
	first, again := recs[1], recs[0]
	if first.Stage == trace.Accepted { // within one millisecond the order is chance
		first, again = again, first
	}
	f, _ := first.Findings.Find(finding.Greylisted)
	if first.Greylisted || first.To[0].Action != "defer" || first.To[0].Check != "greylist.wait" || !strings.Contains(f.String(), "because of: ptr.generic; first attempt: ") || !strings.Contains(f.String(), "attempts: 1; wait: 5m0s") {
		t.Errorf("%+v", first)
	}
	if !again.Greylisted || again.To[0].Action != "accept" || again.Findings.Outcome(finding.Greylisted) != finding.NotApplicable {
		t.Errorf("%+v", again)
	}
}

// traces reads what is kept of a sender, newest first.
func (h *house) traces(key string) []*trace.Record {
	h.t.Helper()
	if err := h.store.FlushTraces(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	ids, err := h.store.FindTraces(h.t.Context(), key, 10)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []*trace.Record
	for _, id := range ids {
		st, err := h.store.Trace(h.t.Context(), id)
		if err != nil {
			h.t.Fatal(err)
		}
		r, err := trace.Decode(st.TraceRecord)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// What only the message shows can be greylisted too, when an administrator wants it;
// one recipient who need not wait carries the others.
func TestGreylistOfTheMessage(t *testing.T) {
	text := "level = \"strict\"\n[rules]\n\"dkim.missing\" = \"greylist\"\n"
	if _, err := policy.Parse(text); err != nil {
		t.Fatal(err)
	}
	h, now := strangersHouse(t, nil)
	setPolicy(t, h, text)
	send := func(to ...string) string {
		_, final := h.talk(from("192.0.2.1", "mx.good.example"), "a@good.example", to, letter)
		return final[0].String()
	}
	if got := send("ana@empresa.test"); !strings.HasPrefix(got, "451 4.7.1 Not known here yet") {
		t.Error(got)
	}
	if got := send("luis@empresa.test", "postmaster@empresa.test"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	now.t = now.t.Add(5 * time.Minute)
	if got := send("ana@empresa.test"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
}

// Limits are of strangers alone: DSNs, the local network and our own people are never
// put off, and big providers not by network.
func TestStrangersLimits(t *testing.T) {
	two := ratelimit.Limit{Count: 2, Period: time.Minute, Burst: 2}
	all := reputation.Limits{Network: two, Sender: two, Recipient: two}
	h, now := strangersHouse(t, nil)
	good, other := from("192.0.2.1", "mx.good.example"), from("203.0.113.20", "gw.nat.example")
	ours := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.1")}
	near := from("127.0.0.1", "x")
	big := from("203.0.113.77", "mail-x.google.com")
	ana := "ana@empresa.test"
	const rest = " https://mx.empresa.test/why/"
	for _, tt := range []struct {
		what   string
		limits reputation.Limits
		third  func(i int) (mail.Client, string, string) // the i-th message
		want   string                                    // of the third
	}{
		{"one network, many senders", reputation.Limits{Network: two}, func(i int) (mail.Client, string, string) {
			return good, fmt.Sprintf("a%d@good.example", i), ana
		}, "451 4.7.1 <ana@empresa.test>: Too many messages from this network in a short time (192.0.2.0/24) [rate.client]" + rest},
		{"one sender, many networks", reputation.Limits{Sender: two}, func(i int) (mail.Client, string, string) {
			return []mail.Client{good, other}[i%2], "a@nat.example", ana
		}, "451 4.7.1 <ana@empresa.test>: Too many messages from this sender in a short time (a@nat.example) [rate.sender]" + rest},
		{"one recipient", reputation.Limits{Recipient: two}, func(i int) (mail.Client, string, string) {
			return []mail.Client{good, other}[i%2], fmt.Sprintf("a%d@nat.example", i), ana
		}, "452 4.7.1 <ana@empresa.test>: Too many messages for this recipient in a short time (ana@empresa.test) [rate.recipient]" + rest},
		{"big provider, by network", reputation.Limits{Network: two}, func(i int) (mail.Client, string, string) {
			return big, fmt.Sprintf("a%d@workspace.example", i), ana
		}, ""},
		{"DSNs", all, func(int) (mail.Client, string, string) { return good, "", ana }, ""},
		{"the local network", all, func(int) (mail.Client, string, string) { return near, "a@good.example", ana }, ""},
		{"our users", all, func(int) (mail.Client, string, string) { return ours, "luis@empresa.test", ana }, ""},
		{"outgoing", all, func(int) (mail.Client, string, string) {
			return ours, "luis@empresa.test", "x@good.example"
		}, ""},
		{"postmaster@", all, func(int) (mail.Client, string, string) {
			return good, "a@good.example", "postmaster@empresa.test"
		}, ""},
	} {
		cfg := h.cfg
		cfg.Limits = tt.limits
		h.Intake = New(cfg, h.dir, h.Intake.store, h.Intake.blobs, strangers, h.login)
		now.t = now.t.Add(time.Hour)
		var got string
		for i := range 3 {
			c, sender, to := tt.third(i)
			rcpt, _ := h.talk(c, sender, []string{to}, letter)
			if got = strings.Join(rcpt, " "); got != "" && i < 2 {
				t.Errorf("%s: message %d: %s", tt.what, i, got)
			}
		}
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
		now.t = now.t.Add(time.Minute)
		c, sender, to := tt.third(2)
		if rcpt, _ := h.talk(c, sender, []string{to}, letter); len(rcpt) != 0 {
			t.Errorf("%s, a minute later: %s", tt.what, rcpt)
		}
	}
	told := ""
	for _, rec := range h.traces("a2@good.example") {
		if f, ok := rec.Findings.Find(finding.RateClient); ok {
			told += f.String()
		}
	}
	if told != "rate.client: fail (192.0.2.0/24); limit: 2 recipients in 1m0s; room again in: 30s" {
		t.Errorf("traced: %q", told)
	}
}

// Under guia a host of a big provider needs no name of its own (S57), any other does.
func TestBigProvider(t *testing.T) {
	h, _ := strangersHouse(t, func(c *Config) { c.Policies = policy.NewLive(policy.Guia) })
	tx := h.seen(from("203.0.113.77", "mail-x.google.com"), "a@workspace.example")
	if tx.env.Client.Class != mail.BigProvider || tx.regard.Provider != "Google" || tx.notes[0] != (finding.Fact{What: "big provider", Seen: "Google, by reverse name mail-x.google.com"}) {
		t.Errorf("%v %+v", tx.env.Client.Class, tx.notes)
	}
	for _, tt := range []struct{ ip, helo, sender, want string }{
		{"203.0.113.77", "mail-x.google.com", "a@workspace.example", ""},
		{"198.51.100.99", "mail-x.google.com", "a@good.example", "550 5.7.23 "}, // who only says so
	} {
		rcpt, _ := h.talk(from(tt.ip, tt.helo), tt.sender, []string{"ana@empresa.test"}, letter)
		if got := strings.Join(rcpt, " "); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q", tt.ip, got)
		}
	}
}

func TestProviderOf(t *testing.T) {
	passes := func(domain string) *spf.Result { return &spf.Result{Status: spf.Pass, Domain: domain} }
	for _, tt := range []struct {
		confirmed string
		spf       *spf.Result
		want      string
	}{
		{"mail-ej1-f41.google.com", passes("workspace.example"), "Google"},
		{"41.2.0.192.bc.googleusercontent.com", passes("spam.example"), ""}, // a rented machine
		{"mail.notgoogle.com", passes("x.example"), ""},
		{"", passes("gmail.com"), "Google"},
		{"", &spf.Result{Status: spf.SoftFail, Domain: "gmail.com"}, ""},
		{"", &spf.Result{Status: spf.Pass, Identity: spf.HELO, Domain: "mail.ru"}, ""},
		{"mail-db8eur05on2089.outbound.protection.outlook.com", passes(""), "Microsoft"},
		{"relayout01.e.movistar.es", passes(""), "Telefónica"},
		{"80-58-1-2.dynamicip.movistar.es", passes(""), ""},
		{"a9-30.smtp-out.amazonses.com", passes("amazonses.com"), ""},
	} {
		if got, _ := providerOf(tt.confirmed, tt.spf); got != tt.want {
			t.Errorf("%s, %s: %q", tt.confirmed, tt.spf.Domain, got)
		}
	}
	for _, p := range providers {
		for _, d := range slices.Concat(p.hosts, p.domains) {
			if n, err := resolver.Normalize(d); err != nil || n != d {
				t.Errorf("%s: %s is no normal name", p.name, d)
			}
		}
	}
}

// Where the MX records of a sender's domain lead (S9–S13).
func TestExchangers(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	for domain, want := range map[string]string{
		"good.example":      "",
		"six.example":       "",
		"many.example":      "", // the sixth is not looked at
		"half.example":      "", // a public one beside a private one
		"addressed.example": "mx.address",
		"private.example":   "mx.private",
		"dangling.example":  "mx.dangling",
		"alias.example":     "mx.cname",
		"unsure.example":    "mx.cname? mx.dangling? mx.private?",
		"mx.good.example":   "sender.mx",
		"no.such.example":   "sender.domain",
	} {
		if got := faults(h.seen(from("192.0.2.1", "mx.good.example"), "a@"+domain).set, "mx", "sender"); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	f, _ := h.seen(from("192.0.2.1", "mx.good.example"), "a@private.example").set.Find(finding.MXPrivate)
	if got := f.String(); got != "mx.private: could not verify" && got != "mx.private: fail (private.example); DNS: in.private.example has 10.0.0.1; DNS: lo.private.example has 127.0.0.1" {
		t.Error(got)
	}
}

// One fault of an SPF record, one check, with the evaluation as evidence.
func TestSPFRecords(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	good := from("192.0.2.1", "mx.good.example")
	for domain, want := range map[string]string{
		"good.example": "", "two.example": "spf.multiple", "loop.example": "spf.lookups", "typo.example": "spf.invalid",
		"open.example": "spf.broad", "lent.example": "spf.broad", "soft.example": "spf.softfail", "alias.example": "spf.missing",
	} {
		if got := faults(h.seen(good, "a@"+domain).set, "spf"); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	f, _ := h.seen(good, "a@lent.example").set.Find(finding.SPFBroad)
	if !strings.Contains(f.String(), `SPF:         open.example`) && !strings.Contains(f.String(), "include:open.example") {
		t.Errorf("no tree: %s", f)
	}
	if got := faults(h.seen(from("203.0.113.20", "forbidden.nat.example"), "a@nat.example").set, "spf"); got != "spf.helo spf.missing" {
		t.Error(got)
	}
}

// S7: a reverse name, SPF of the name, or an exchanger of the sender's domain ties
// the name to the client; nothing is held against it that could not be asked.
func TestHELOIsTied(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	for _, tt := range []struct{ ip, helo, sender, want string }{
		{"203.0.113.20", "gw.nat.example", "a@good.example", ""},
		{"203.0.113.20", "out.nat.example", "a@good.example", ""},
		{"203.0.113.20", "mx2.nat.example", "a@nat.example", ""},
		{"203.0.113.20", "mx2.nat.example", "a@good.example", "helo.mismatch"},
		{"203.0.113.20", "mx2.nat.example", "", "helo.mismatch"},
		{"203.0.113.20", "slow.nat.example", "a@good.example", "helo.mismatch?"},
		{"203.0.113.21", "mx2.nat.example", "a@good.example", "ptr.mismatch ptr.many helo.mismatch"},
	} {
		if got := faults(h.seen(from(tt.ip, tt.helo), tt.sender).set, "helo", "ptr"); got != tt.want {
			t.Errorf("%s from %s for %s: %q, want %q", tt.helo, tt.ip, tt.sender, got, tt.want)
		}
	}
}

// What lists say of address, greeting and sender, with the words of the catalogue; an
// allowlist is no failure, and what lists whole networks has no consequence.
func TestLists(t *testing.T) {
	h, _ := strangersHouse(t, func(c *Config) {
		c.Lists = dnsbl.Lists{IP: []string{"bl.example", "list.dnswl.org", "dnsbl-2.uceprotect.net", "dead.example"}, HELO: []string{"dbl.example"}, Sender: []string{"dbl.example"}}
	})
	tx := h.seen(from("192.0.2.1", "mx.good.example"), "a@home.example")
	if got := faults(tx.set, "dnsbl"); got != "dnsbl.listed dnsbl.listed? dnsbl.helo dnsbl.domain" {
		t.Error(got)
	}
	f, _ := tx.set.Find(finding.DNSBLListed)
	if f.String() != "dnsbl.listed: fail (192.0.2.1); list: bl.example; answer: 127.0.0.9; the list says: asked for it" {
		t.Error(f)
	}
	if len(tx.regard.Allowed) != 1 || tx.regard.Allowed[0].Name != "list.dnswl.org" {
		t.Errorf("%+v", tx.regard.Allowed)
	}
	want := []finding.Fact{
		{What: "allowlist", Seen: "192.0.2.1 at list.dnswl.org: high trust"},
		{What: "list without consequence", Seen: "192.0.2.1 at dnsbl-2.uceprotect.net: networks with addresses that sent to spam traps"},
	}
	if !slices.Equal(tx.notes, want) {
		t.Errorf("%+v", tx.notes)
	}
	// Now that they were asked, it is known of which of our own lists nothing can be believed.
	if got := fmt.Sprint(h.ListFindings()); got != "[dnsbl.list: fail (dead.example); seen: the list does not work]" {
		t.Error(got)
	}
}

// Six refused messages make a bad name from that network; good mail makes a good one,
// and both are told with their counts.
func TestReputation(t *testing.T) {
	h, now := strangersHouse(t, func(c *Config) {
		c.Lists = dnsbl.Lists{Sender: []string{"dbl.example"}}
	})
	good := from("192.0.2.1", "mx.good.example")
	for range 6 {
		h.talk(good, "a@home.example", []string{"ana@empresa.test"}, letter)
		h.talk(good, "a@good.example", []string{"ana@empresa.test"}, letter)
		h.talk(good, "a@good.example", []string{"nadie@empresa.test"}, letter) // no fault of the domain's
	}
	if err := h.cfg.Memory.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	now.t = now.t.Add(2 * time.Minute)
	tx := h.seen(good, "a@home.example")
	f, _ := tx.set.Find(finding.ReputationBad)
	if f.String() != "reputation.bad: fail (home.example); remembered: 6 messages in 30 days, 0 wanted, 6 refused; score: -0.55" {
		t.Error(f)
	}
	tx = h.seen(good, "a@good.example")
	if tx.set.Outcome(finding.ReputationBad) != finding.Pass || tx.regard.Score < 0.5 || tx.regard.Counts.Wanted != 6 || tx.regard.Counts.Total() != 6 {
		t.Errorf("%+v", tx.regard)
	}
	// Another network is not spoiled by it.
	if tx = h.seen(from("203.0.113.20", "gw.nat.example"), "a@home.example"); tx.set.Outcome(finding.ReputationBad) != finding.NotApplicable {
		t.Errorf("%+v", tx.set)
	}
}

// Whom our users wrote to is known once DMARC proves that it is he.
func TestCorrespondents(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	luis := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.77")}
	if _, final := h.talk(luis, "luis@empresa.test", []string{"pepe@friend.example", "ana@empresa.test"}, "Subject: x\r\n\r\nhola\r\n"); final[0].Code != 250 {
		t.Fatal(final)
	}
	h.runOnce(t)
	msg := strings.Replace(letter, "a@good.example", "Pepe@friend.example", 1)
	for _, tt := range []struct {
		client mail.Client
		want   int
	}{{line("198.51.100.91"), 1}, {from("203.0.113.20", "gw.nat.example"), 0}} {
		h.talk(tt.client, "b@friend.example", []string{"postmaster@empresa.test"}, msg)
		n := 0
		for _, rec := range h.traces(tt.client.IP.String()) {
			for _, note := range rec.Notes {
				if note.What == "known correspondent" && strings.HasPrefix(note.Seen, "Pepe@friend.example: days on which we wrote: 1, ") {
					n++
				}
			}
		}
		if n != tt.want {
			t.Errorf("%s: known %d times, want %d", tt.client.IP, n, tt.want)
		}
	}
}

// Whom one domain of ours writes to is not put off for it, and waits for another.
func TestCorrespondentsOfEachDomain(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	h.addDomain("otra.test", "eva")
	luis := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.77")}
	if _, final := h.talk(luis, "luis@empresa.test", []string{"pepe@friend.example"}, "Subject: x\r\n\r\nhola\r\n"); final[0].Code != 250 {
		t.Fatal(final)
	}
	h.runOnce(t)
	rcpt, final := h.talk(line("198.51.100.91"), "pepe@friend.example", []string{"ana@empresa.test", "eva@otra.test", "luis@empresa.test"}, letter)
	if len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "451 4.7.1 <eva@otra.test>: Not known here yet") || final[0].Code != 250 {
		t.Error(rcpt, final)
	}
	rcpt, _ = h.talk(line("198.51.100.91"), "other@friend.example", []string{"ana@empresa.test"}, letter)
	if len(rcpt) != 1 {
		t.Error("a stranger of the same domain is not put off:", rcpt)
	}
}

// addDomain adds a domain with one account.
func (h *house) addDomain(name, account string) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: name}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		a := &store.Account{Domain: d.ID, Login: account + "@" + name}
		if err := tx.PutAccount(a); err != nil {
			return store.Audit{}, err
		}
		h.ids[account] = a.ID
		return store.Audit{}, tx.PutAddress(store.Address{Domain: d.ID, Local: account, Account: a.ID})
	})
	if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// What one account writes in a day is remembered up to a bound: a newsletter does not
// push out whom others wrote to.
func TestCorrespondentsADay(t *testing.T) {
	h, now := strangersHouse(t, nil)
	ana, luis := partyOf(h.dir.View(), h.ids["ana"]), partyOf(h.dir.View(), h.ids["luis"])
	n := notedToday{pairs: map[pair]bool{}, of: map[int64]int{}}
	friend := func(i int) addr.Address { return address(t, fmt.Sprintf("p%d@friend.example", i)) }
	write := func(by reputation.Party, from, to int) {
		var all []addr.Address
		for i := from; i < to; i++ {
			all = append(all, friend(i))
		}
		h.Intake.written.note(t.Context(), &n, wrote{by: by, to: all}, func(err error) { t.Error(err) })
	}
	known := func(by reputation.Party, i int) bool {
		got, err := h.cfg.Memory.Known(t.Context(), friend(i), by)
		if err != nil {
			t.Fatal(err)
		}
		return got[0].ByAccount
	}
	write(ana, 0, maxADay-1)
	write(ana, maxADay-2, 2*maxADay)
	write(luis, 2*maxADay, 2*maxADay+1)
	if !known(ana, 0) || !known(ana, maxADay-1) || known(ana, maxADay) || known(ana, 2*maxADay-1) || !known(luis, 2*maxADay) {
		t.Error("not the first 500 of ana and the one of luis")
	}
	now.t = now.t.Add(24 * time.Hour)
	write(ana, maxADay, maxADay+1)
	if !known(ana, maxADay) {
		t.Error("the next day is another")
	}
}

// A dry run of the policy that holds changes nothing of what limits and greylisting
// did: neither is held against the recipients whom they let pass. Of one that puts
// nobody off it says that it does not know what would have come.
func TestDryRunOfStrangers(t *testing.T) {
	h, _ := strangersHouse(t, func(c *Config) { c.Limits.Sender = ratelimit.Limit{Count: 2, Period: time.Minute} })
	three := []string{"ana@empresa.test", "luis@empresa.test", "ana+x@empresa.test"}
	if rcpt, final := h.talk(from("192.0.2.1", "mx.good.example"), "a@good.example", three, letter); len(rcpt) != 1 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	if rcpt, _ := h.talk(line("198.51.100.91"), "a@home.example", three[:1], letter); len(rcpt) != 1 {
		t.Fatal(rcpt)
	}
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"level = 'strict'": "",
		"level = 'strict'\n[rules]\n'ptr.generic' = 'accept'": "home.example: defer → unknown",
		"level = 'strict'\n[rules]\n'rate.sender' = 'accept'": "good.example: defer → accept",
		"level = 'strict'\n[rules]\n'ptr.generic' = 'reject'": "home.example: defer → reject",
	} {
		var report command.PolicyReport
		h.do("policy.test", command.PolicyTrial{Text: text, Since: time.Now().Add(-time.Hour)}, &report)
		var got []string
		for _, c := range report.Changes {
			got = append(got, c.Sender+": "+c.Was+" → "+c.Becomes)
		}
		if strings.Join(got, ", ") != want || report.Sessions != 2 {
			t.Errorf("%q: %q in %d sessions, want %q", text, got, report.Sessions, want)
		}
	}
}
