package access

import (
	"net/netip"
	"strings"
	"testing"

	"posta/internal/addr"
)

// mustParse reads a file in which everything must be right.
func mustParse(t testing.TB, file string) *Map {
	t.Helper()
	m, err := Parse([]byte(strings.ReplaceAll(file, "; ", "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func path(t testing.TB, s string) addr.Path {
	t.Helper()
	p, err := addr.ParsePath("<"+s+">", true)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return p
}

// facts reads "192.0.2.1 client.name from to"; "-" is none. Ours are my.dom,
// host.my.dom and [203.0.113.25].
func facts(t testing.TB, s string) *Facts {
	t.Helper()
	f := &Facts{Local: func(d addr.Domain) bool { return d == "my.dom" || d == "host.my.dom" }}
	f.LocalIP = func(ip netip.Addr) bool { return ip == netip.MustParseAddr("203.0.113.25") }
	w := strings.Fields(s)
	if w[0] != "-" {
		f.IP = netip.MustParseAddr(w[0])
	}
	switch w[1] {
	case "-":
		f.PTR = NoName
	case "forged":
		f.PTR = Forged
	case "temp":
		f.PTR = CannotTell
	default:
		f.Name = w[1]
	}
	if w[2] != "-" {
		f.From = path(t, w[2])
	}
	f.To = path(t, w[3])
	return f
}

// decideAll goes through a session and says where it ended.
func decideAll(m *Map, f *Facts, o Options) string {
	var relay bool
	trusted := ""
	for stage := AtConnect; stage <= AtRcpt; stage++ {
		d := m.Decide(stage, f, o)
		relay = relay || d.Relay
		switch d.Outcome {
		case Refused:
			return d.Reply.String()
		case Discarded:
			return [...]string{"message", "message", "recipient"}[stage] + " discarded"
		case Quarantine:
			return "quarantine: " + d.Reason
		case Trusted:
			trusted = ", trusted"
		}
	}
	if relay {
		return "relayed" + trusted
	}
	return "taken" + trusted
}

const denied = "550 5.7.1 Relaying denied"

// legacy.md §1, line by line, with cf/README where the line leaves it open.
func TestLegacy(t *testing.T) {
	block, plain := Options{BlockRecipients: true}, Options{}
	friends := Options{Delay: Friends}
	for _, tt := range []struct {
		line, file string
		o          Options
		session    string // client, its name, reverse-path, forward-path
		want       string
	}{
		{"key user@dom", "user@bad.dom REJECT", plain, "192.0.2.1 mx.other.dom user@bad.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key user@dom: nobody else there", "user@bad.dom REJECT", plain, "192.0.2.1 mx.other.dom x@bad.dom a@my.dom", "taken"},
		{"key dom, sub-domains too: sender", "bad.dom REJECT", plain, "192.0.2.1 mx.other.dom u@a.b.bad.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key dom, sub-domains too: client", "bad.dom REJECT", plain, "192.0.2.1 mx.bad.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key dom is no suffix of letters", "bad.dom REJECT", plain, "192.0.2.1 mx.notbad.dom u@notbad.dom a@my.dom", "taken"},
		{"key 192.168.212", "192.168.212 REJECT", plain, "192.168.212.9 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key 192.168.212: not its neighbour", "192.168.212 REJECT", plain, "192.168.213.9 x.y.dom u@other.dom a@my.dom", "taken"},
		{"key 128.32", "128.32 REJECT", plain, "128.32.9.9 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key 1.2.3.4", "1.2.3.4 REJECT", plain, "1.2.3.4 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key IPv6 1:2:3", "1:2:3 REJECT", plain, "1:2:3:4::9 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key IPv6 1:2:3: not its neighbour", "1:2:3 REJECT", plain, "1:2:4:4::9 x.y.dom u@other.dom a@my.dom", "taken"},
		{"key IPv6:…::…, one address", "Connect:IPv6:2002:c0a8:51d2::23f4 REJECT", plain, "2002:c0a8:51d2::23f4 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key CIDR", "Connect:192.0.2.128/25 REJECT", plain, "192.0.2.200 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key CIDR: beyond", "Connect:192.0.2.128/25 REJECT", plain, "192.0.2.100 x.y.dom u@other.dom a@my.dom", "taken"},
		{"key CIDR IPv6", "Connect:2001:db8::/33 REJECT", plain, "2001:db8:7fff::1 x.y.dom u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"the longest network answers", "Connect:192.0.2 REJECT; Connect:192.0.2.128/25 OK", plain, "192.0.2.200 x.y.dom u@other.dom a@my.dom", "taken, trusted"},
		{"key [ip]: a client without a name", "Connect:[192.0.2] REJECT", plain, "192.0.2.1 - u@other.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key [ip]: not one with a name", "Connect:[192.0.2] REJECT", plain, "192.0.2.1 x.y.dom u@other.dom a@my.dom", "taken"},
		{"key [ip]: a domain literal", "From:[192.0.2.7] REJECT", plain, "192.0.2.1 x.y.dom u@[192.0.2.7] a@my.dom", "550 5.7.1 Access denied"},
		{"key user@ of a sender", "FREE.STEALTH.MAILER@ ERROR:550 Spam not accepted", plain, "192.0.2.1 x.y.dom free.stealth.mailer@any.dom a@my.dom", "550 5.0.0 Spam not accepted"},
		{"key user@ without its detail", "From:news@ REJECT", plain, "192.0.2.1 x.y.dom news+today@any.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key user+*@", "From:news+*@any.dom REJECT", plain, "192.0.2.1 x.y.dom news+today@any.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key user+*@ wants a detail", "From:news+*@any.dom REJECT", plain, "192.0.2.1 x.y.dom news@any.dom a@my.dom", "taken"},
		{"key .dom: below it", "From:.bad.dom REJECT", plain, "192.0.2.1 x.y.dom u@a.bad.dom a@my.dom", "550 5.7.1 Access denied"},
		{"key .dom: not itself", "From:.bad.dom REJECT", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "taken"},
		{"tagged first, then untagged", "From:bad.dom OK; bad.dom REJECT", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "taken, trusted"},
		{"a tag is for its own", "To:bad.dom REJECT", plain, "192.0.2.1 mx.bad.dom u@bad.dom a@my.dom", "taken"},

		{"OK: though the sender's domain cannot be found", "From:bad.dom OK", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "taken, trusted"},
		{"OK does not relay", "Connect:192.0.2 OK", plain, "192.0.2.1 x.y.dom u@a.dom b@c.dom", denied},
		{"RELAY relays, and implies OK", "Connect:192.0.2 RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@c.dom", "relayed, trusted"},
		{"REJECT", "From:bad.dom REJECT", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "550 5.7.1 Access denied"},
		{"DISCARD as sender", "From:bad.dom DISCARD", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "message discarded"},
		{"DISCARD as recipient", "To:gone@my.dom DISCARD", block, "192.0.2.1 x.y.dom u@bad.dom gone@my.dom", "recipient discarded"},
		{"DISCARD as recipient: only that one", "To:gone@my.dom DISCARD", block, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "taken"},
		{"550 text", "From:bad.dom 550 Go away", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "550 5.0.0 Go away"},
		{"ERROR:550 text", `From:bad.dom ERROR:"550 We don't accept mail from spammers"`, plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "550 5.0.0 We don't accept mail from spammers"},
		{"ERROR:5.7.1:550 text", "From:bad.dom ERROR:5.7.1:550 Go away", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "550 5.7.1 Go away"},
		{"ERROR:4.2.2:450", "To:full@my.dom ERROR:4.2.2:450 mailbox full", block, "192.0.2.1 x.y.dom u@a.dom full@my.dom", "450 4.2.2 mailbox full"},
		{"450 without D.S.N is 450 4.0.0", "To:full@my.dom 450 mailbox full", block, "192.0.2.1 x.y.dom u@a.dom full@my.dom", "450 4.0.0 mailbox full"},
		{"550 5.7.1 text", "From:bad.dom 550 5.7.1 Go away", plain, "192.0.2.1 x.y.dom u@bad.dom a@my.dom", "550 5.7.1 Go away"},
		{"QUARANTINE:text", "Connect:suspicious.dom QUARANTINE:Mail from suspicious host", plain, "192.0.2.1 mx.suspicious.dom u@a.dom a@my.dom", "quarantine: Mail from suspicious host"},
		{"SKIP a network", "Connect:128.32 REJECT; Connect:128.32.2 SKIP", plain, "128.32.2.9 x.y.dom u@a.dom a@my.dom", "taken"},
		{"SKIP a domain", "From:bad.dom REJECT; From:good.bad.dom SKIP", plain, "192.0.2.1 x.y.dom u@x.good.bad.dom a@my.dom", "taken"},

		{"T: To:friend.dom RELAY relays to it from anyone", "To:friend.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@friend.dom", "relayed"},
		{"T: … and below it", "To:friend.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@mail.friend.dom", "relayed"},
		{"T: … not from it", "To:friend.dom RELAY", plain, "192.0.2.1 mx.friend.dom u@friend.dom b@c.dom", denied},
		{"T: Connect:from.dom RELAY relays from it", "Connect:from.dom RELAY", plain, "192.0.2.1 mx.from.dom u@a.dom b@c.dom", "relayed, trusted"},
		{"T: … not to it", "Connect:from.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@from.dom", denied},
		{"T: … nor for a forged name", "Connect:from.dom RELAY", plain, "192.0.2.1 forged u@a.dom b@c.dom", "550 5.7.1 Relaying denied. IP name possibly forged [192.0.2.1]"},
		{"T: … nor without a name", "Connect:from.dom RELAY", plain, "192.0.2.1 - u@a.dom b@c.dom", "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.1]"},
		{"T: … later, when DNS fails", "Connect:from.dom RELAY", plain, "192.0.2.1 temp u@a.dom b@c.dom", "450 4.4.0 Relaying temporarily denied. Cannot resolve PTR record for 192.0.2.1"},
		{"T: From:good@another.dom OK passes", "From:good@another.dom OK; From:another.dom REJECT", plain, "192.0.2.1 x.y.dom good@another.dom a@my.dom", "taken, trusted"},
		{"T: … only good@", "From:good@another.dom OK; From:another.dom REJECT", plain, "192.0.2.1 x.y.dom bad@another.dom a@my.dom", "550 5.7.1 Access denied"},
		{"T: spam.dom REJECT, a.spam.dom refused too", "spam.dom REJECT", plain, "192.0.2.1 x.y.dom u@a.spam.dom a@my.dom", "550 5.7.1 Access denied"},
		{"relay_hosts_only: the host itself", "To:friend.dom RELAY", Options{RelayHostsOnly: true}, "192.0.2.1 x.y.dom u@a.dom b@friend.dom", "relayed"},
		{"relay_hosts_only: nothing below", "To:friend.dom RELAY", Options{RelayHostsOnly: true}, "192.0.2.1 x.y.dom u@a.dom b@mail.friend.dom", denied},
		{"relay_hosts_only: client", "Connect:friend.dom RELAY", Options{RelayHostsOnly: true}, "192.0.2.1 mail.friend.dom u@a.dom b@c.dom", denied},
		{"relaytofulladdress", "To:b@friend.dom RELAY", Options{RelayToAddress: true}, "192.0.2.1 x.y.dom u@a.dom b@friend.dom", "relayed"},
		{"relaytofulladdress is off by default", "To:b@friend.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@friend.dom", denied},
		{"relay_mail_from", "From:u@a.dom RELAY", Options{RelayFromAddress: true}, "192.0.2.1 x.y.dom u@a.dom b@c.dom", "relayed, trusted"},
		{"relay_mail_from is off by default", "From:u@a.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b@c.dom", denied},
		{"relay_mail_from(domain)", "From:a.dom RELAY", Options{RelayFromAddress: true, RelayFromDomain: true}, "192.0.2.1 x.y.dom u@a.dom b@c.dom", "relayed, trusted"},

		{"blacklist_recipients: badlocal@ 550 no", "badlocal@ 550 no", block, "192.0.2.1 x.y.dom u@a.dom badlocal@my.dom", "550 5.0.0 no"},
		{"blacklist_recipients: user@ is ours only", "badlocal@ 550 no; To:friend.dom RELAY", block, "192.0.2.1 x.y.dom u@a.dom badlocal@friend.dom", "relayed"},
		{"blacklist_recipients: host.my.dom 550", "host.my.dom 550", block, "192.0.2.1 x.y.dom u@a.dom any@host.my.dom", "550 5.0.0 Access denied"},
		{"blacklist_recipients: user@other.my.dom 550", "user@host.my.dom 550 gone", block, "192.0.2.1 x.y.dom u@a.dom user@host.my.dom", "550 5.0.0 gone"},
		{"blacklist_recipients: REJECT", "To:user@my.dom REJECT", block, "192.0.2.1 x.y.dom u@a.dom user@my.dom", "550 5.2.1 Mailbox disabled for this recipient"},
		{"blacklist_recipients: off", "To:user@my.dom REJECT", plain, "192.0.2.1 x.y.dom u@a.dom user@my.dom", "taken"},
		{"blacklist_recipients: untagged spammers cannot be written to", "spam.dom REJECT", block, "127.0.0.1 localhost u@my.dom x@spam.dom", "550 5.2.1 Mailbox disabled for this recipient"},

		{"delay_checks: the client is refused at RCPT", "Connect:192.0.2 REJECT", Options{Delay: Delayed}, "192.0.2.1 x.y.dom u@a.dom a@my.dom", "550 5.7.1 Access denied"},
		{"delay_checks: the sender is asked before the client", "Connect:192.0.2 REJECT; From:a.dom OK", Options{Delay: Delayed}, "192.0.2.1 x.y.dom u@a.dom a@my.dom", "taken, trusted"},
		{"delay_checks: relaying is denied first", "Connect:192.0.2 ERROR:550 no", Options{Delay: Delayed}, "192.0.2.1 x.y.dom u@a.dom b@c.dom", denied},
		{"T: To:abuse@ SPAMFRIEND", "To:abuse@ SPAMFRIEND; Connect:192.0.2 REJECT", friends, "192.0.2.1 x.y.dom u@a.dom abuse@my.dom", "taken, trusted"},
		{"T: Spam:abuse@ FRIEND", "Spam:abuse@ FRIEND; Connect:192.0.2 REJECT", friends, "192.0.2.1 x.y.dom u@a.dom abuse@my.dom", "taken, trusted"},
		{"T: … nobody else", "Spam:abuse@ FRIEND; Connect:192.0.2 REJECT", friends, "192.0.2.1 x.y.dom u@a.dom a@my.dom", "550 5.7.1 Access denied"},
		{"T: … with a detail", "Spam:me+abuse@ FRIEND; Connect:192.0.2 REJECT", friends, "192.0.2.1 x.y.dom u@a.dom me+abuse@my.dom", "taken, trusted"},
		{"T: … a domain", "Spam:my.dom FRIEND; From:a.dom REJECT", friends, "192.0.2.1 x.y.dom u@a.dom any@my.dom", "taken, trusted"},
		{"a friend may not be relayed to", "Spam:c.dom FRIEND", friends, "192.0.2.1 x.y.dom u@a.dom b@c.dom", denied},
		{"FRIEND without delay_checks", "Spam:abuse@ FRIEND; Connect:192.0.2 REJECT", plain, "192.0.2.1 x.y.dom u@a.dom abuse@my.dom", "550 5.7.1 Access denied"},
		{"HATER: refused for one", "Spam:me@my.dom HATER; Connect:192.0.2 REJECT", Options{Delay: Haters}, "192.0.2.1 x.y.dom u@a.dom me@my.dom", "550 5.7.1 Access denied"},
		{"HATER: everybody else takes all", "Spam:me@my.dom HATER; Connect:192.0.2 REJECT", Options{Delay: Haters}, "192.0.2.1 x.y.dom u@a.dom a@my.dom", "taken, trusted"},

		{"since 8.9: relaying is denied", "", plain, "192.0.2.1 x.y.dom u@a.dom b@c.dom", denied},
		{"since 8.9: not to our own", "", plain, "192.0.2.1 x.y.dom u@a.dom a@my.dom", "taken"},
		{"since 8.9: not to a literal of ours", "", plain, "192.0.2.1 x.y.dom u@a.dom a@[203.0.113.25]", "taken"},
		{"since 8.9: but to another's", "", plain, "192.0.2.1 x.y.dom u@a.dom a@[203.0.113.26]", denied},
		{"since 8.9: not to a local program", "", plain, "- - u@a.dom b@c.dom", "relayed"},
		{"since 8.9: not to this host", "", plain, "127.0.0.1 localhost u@a.dom b@c.dom", "relayed"},
		{"since 8.9: an unqualified sender", "", plain, "192.0.2.1 x.y.dom postmaster a@my.dom", "553 5.5.4 Domain name required for sender address postmaster"},
		{"<> is always taken", "192.0.2 OK; From:my.dom REJECT", plain, "192.0.2.1 x.y.dom - a@my.dom", "taken, trusted"},
		{"user%dom@here is checked as user@dom", "", plain, "192.0.2.1 x.y.dom u@a.dom b%c.dom@my.dom", denied},
		{"user%dom@here, to one of ours", "", plain, "192.0.2.1 x.y.dom u@a.dom b%host.my.dom@my.dom", "taken"},
		{"user%dom@here through a relay domain", "To:friend.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b%c.dom@friend.dom", denied},
		{"user%friend@friend", "To:friend.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom b%friend.dom@friend.dom", "relayed"},
		{"dom!user@here", "", plain, "192.0.2.1 x.y.dom u@a.dom c.dom!b@my.dom", denied},
		{`"user@dom"@here`, "", plain, `192.0.2.1 x.y.dom u@a.dom "b@c.dom"@my.dom`, denied},
		{"@a:b@c is checked as b@c", "To:a.dom RELAY", plain, "192.0.2.1 x.y.dom u@a.dom @a.dom:b@c.dom", denied},
		{"a long route ends", "", plain, "192.0.2.1 x.y.dom u@a.dom a%my.dom%my.dom%my.dom%my.dom%my.dom%my.dom%my.dom%my.dom%my.dom%my.dom@my.dom", denied},
	} {
		m := mustParse(t, tt.file)
		if got := decideAll(m, facts(t, tt.session), tt.o); got != tt.want {
			t.Errorf("%s:\n%s\n got %s\nwant %s", tt.line, tt.file, got, tt.want)
		}
	}
}

// MAIL FROM with a domain that cannot be found is refused (8.9), unless the map
// knows better.
func TestUnresolvable(t *testing.T) {
	for _, tt := range []struct {
		file  string
		state SenderState
		o     Options
		want  string
	}{
		{"", DoesNotExist, Options{}, "553 5.1.8 Domain of sender address u@bad.dom does not exist"},
		{"", DoesNotResolve, Options{}, "451 4.1.8 Domain of sender address u@bad.dom does not resolve"},
		{"", Exists, Options{}, "taken"},
		{"", DoesNotExist, Options{AcceptUnresolved: true}, "taken"},
		{"From:bad.dom OK", DoesNotExist, Options{}, "taken, trusted"},
		{"From:bad.dom ERROR:5.7.1:550 no", DoesNotExist, Options{}, "550 5.7.1 no"},
		{"From:bad.dom SKIP", DoesNotExist, Options{}, "553 5.1.8 Domain of sender address u@bad.dom does not exist"},
	} {
		f := facts(t, "192.0.2.1 x.y.dom u@bad.dom a@my.dom")
		f.Sender = tt.state
		if got := decideAll(mustParse(t, tt.file), f, tt.o); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.file, got, tt.want)
		}
	}
}

// Who is logged in, or has a certificate that is listed, may relay, and is asked
// nothing more.
func TestAuthenticated(t *testing.T) {
	m := mustParse(t, "From:a.dom REJECT; Connect:192.0.2 REJECT; To:gone@c.dom REJECT; CERTISSUER:/O=Good/CN=CA SUBJECT; CERTSUBJECT:/CN=client RELAY; CERTISSUER:/O=Best RELAY")
	o := Options{Delay: Delayed, BlockRecipients: true}
	for _, tt := range []struct {
		what string
		set  func(*Facts)
		to   string
		want string
	}{
		{"a stranger", func(*Facts) {}, "b@c.dom", denied},
		{"logged in", func(f *Facts) { f.Authenticated = true }, "b@c.dom", "relayed"},
		{"logged in, to a recipient that is blocked", func(f *Facts) { f.Authenticated = true }, "gone@c.dom", "550 5.2.1 Mailbox disabled for this recipient"},
		{"CERTISSUER:… RELAY", func(f *Facts) { f.CertIssuer = "/O=Best" }, "b@c.dom", "relayed, trusted"},
		{"CERTISSUER:… SUBJECT and CERTSUBJECT:… RELAY", func(f *Facts) { f.CertIssuer, f.CertSubject = "/O=Good/CN=CA", "/CN=client" }, "b@c.dom", "relayed, trusted"},
		{"another subject", func(f *Facts) { f.CertIssuer, f.CertSubject = "/O=Good/CN=CA", "/CN=other" }, "b@c.dom", denied},
		{"another issuer", func(f *Facts) { f.CertIssuer, f.CertSubject = "/O=Bad", "/CN=client" }, "b@c.dom", denied},
	} {
		f := facts(t, "192.0.2.1 x.y.dom u@a.dom "+tt.to)
		tt.set(f)
		if got := decideAll(m, f, o); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, got, tt.want)
		}
	}
}

// legacy.md §1, TLS_Srv: and TLS_Clt:.
func TestTLS(t *testing.T) {
	m := mustParse(t, "TLS_Srv:secure.dom VERIFY:112; TLS_Srv:bits.dom ENCR:128; TLS_Srv:hard.dom PERM+VERIFY; TLS_Srv:soft.dom TEMP+ENCR:112; "+
		"TLS_Clt:192.0.2 VERIFY; TLS_Srv:cn.dom VERIFY+CN; TLS_Srv:cn2.dom VERIFY:112+CN:mx.example++CI:/O=CA; TLS_Srv:any.secure.dom OK; TLS_Clt: ENCR:1")
	good := Session{Verify: "OK", Bits: 256, Peer: "mx.cn.dom", CommonName: "mx.cn.dom", CertIssuer: "/O=CA"}
	for _, tt := range []struct {
		what string
		tag  Tag
		name string
		ip   string
		s    Session
		want string
	}{
		{"TLS_Srv:host VERIFY:112", TLSServer, "mx.secure.dom", "198.51.100.1", good, ""},
		{"no STARTTLS", TLSServer, "mx.secure.dom", "198.51.100.1", Session{Verify: "NONE"}, "403 4.7.0 other side does not support STARTTLS"},
		{"not verified", TLSServer, "secure.dom", "198.51.100.1", Session{Verify: "FAIL", Bits: 256}, "403 4.7.0 authentication failed"},
		{"too weak", TLSServer, "secure.dom", "198.51.100.1", Session{Verify: "OK", Bits: 56}, "403 4.7.0 encryption too weak 56 less than 112"},
		{"ENCR:128 wants no certificate", TLSServer, "bits.dom", "198.51.100.1", Session{Verify: "FAIL", Bits: 128}, ""},
		{"PERM+", TLSServer, "hard.dom", "198.51.100.1", Session{Verify: "NO", Bits: 256}, "503 5.7.0 not authenticated"},
		{"TEMP+", TLSServer, "soft.dom", "198.51.100.1", Session{Verify: "NONE"}, "403 4.7.0 encryption too weak 0 less than 112"},
		{"a client by its network", TLSClient, "x.y.dom", "192.0.2.7", Session{Verify: "NOT", Bits: 256}, "403 4.7.0 no authentication requested"},
		{"the key without a name", TLSClient, "x.y.dom", "198.51.100.1", Session{Verify: "NONE"}, "403 4.7.0 encryption too weak 0 less than 1"},
		{"OK overrides", TLSServer, "any.secure.dom", "198.51.100.1", Session{Verify: "NONE"}, ""},
		{"nothing is asked", TLSServer, "other.dom", "198.51.100.1", Session{Verify: "NONE"}, ""},
		{"a handshake that failed", TLSServer, "other.dom", "198.51.100.1", Session{Verify: "SOFTWARE"}, "403 4.7.0 TLS handshake failed."},
		{"a STARTTLS that failed", TLSServer, "hard.dom", "198.51.100.1", Session{Verify: "PROTOCOL"}, "503 5.7.0 STARTTLS failed."},
		{"CN of the peer", TLSServer, "mx.cn.dom", "198.51.100.1", good, ""},
		{"CN given", TLSServer, "cn2.dom", "198.51.100.1", good, "403 4.7.0 CN mx.cn.dom does not match mx.example"},
	} {
		r, _, _ := m.TLS(tt.tag, tt.name, netip.MustParseAddr(tt.ip))
		got := ""
		if reply := r.Check(tt.s); !reply.IsZero() {
			got = reply.String()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, got, tt.want)
		}
	}
}

// The order of look-up is sendmail's.
func TestExplain(t *testing.T) {
	m := mustParse(t, "a.dom REJECT; Connect:192.0 OK; Spam:abuse@ FRIEND")
	var b strings.Builder
	for _, r := range m.Explain(facts(t, "192.0.2.1 - u+x@mx.a.dom a@my.dom"), Options{Delay: Friends, BlockRecipients: true}) {
		b.WriteString(r.String())
	}
	want := `check_rcpt
  To:a@my.dom  -
  a@my.dom  -
  To:a@  -
  a@  -
  To:my.dom  -
  my.dom  -
  To:.dom  -
  .dom  -
  To:dom  -
  dom  -
  = nothing
spam friend
  Spam:a@my.dom  -
  Spam:my.dom  -
  Spam:.dom  -
  Spam:dom  -
  Spam:a@  -
  To:a@my.dom  -
  To:my.dom  -
  To:.dom  -
  To:dom  -
  To:a@  -
  = nothing
check_mail
  From:u+x@mx.a.dom  -
  u+x@mx.a.dom  -
  From:u+*@mx.a.dom  -
  u+*@mx.a.dom  -
  From:u@mx.a.dom  -
  u@mx.a.dom  -
  From:u+x@  -
  u+x@  -
  From:u+*@  -
  u+*@  -
  From:u@  -
  u@  -
  From:mx.a.dom  -
  mx.a.dom  -
  From:.a.dom  -
  .a.dom  -
  From:a.dom  -
  a.dom  REJECT
  = 550 5.7.1 Access denied (a.dom REJECT)
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	for _, r := range m.Explain(facts(t, "192.0.2.1 - - a@my.dom"), Options{})[:1] {
		b.WriteString(r.String())
	}
	want = `check_relay
  Connect:[192.0.2.1]  -
  [192.0.2.1]  -
  Connect:[192.0.2]  -
  [192.0.2]  -
  Connect:[192.0]  -
  [192.0]  -
  Connect:[192]  -
  [192]  -
  Connect:192.0.2.1  -
  192.0.2.1  -
  Connect:192.0.2  -
  192.0.2  -
  Connect:192.0  OK
  = trusted (Connect:192.0 OK)
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
