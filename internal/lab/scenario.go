package lab

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed testdata/scenarios/*.txtar
var scenarioFiles embed.FS

// Scenario is one story that the lab can play.
type Scenario struct {
	Name     string // of its file
	Title    string // the first line: what it shows
	Refs     string // the second line: the lines of the catalogues that it covers
	Story    string // the rest of the comment
	Sections []Section
}

// disturbs reports whether the scenario restarts its server, or gives it another policy
// or access map: then nobody else may use that server, since scenarios are played side
// by side.
func (s *Scenario) disturbs() bool {
	for _, sec := range s.Sections {
		if sec.Kind == "access" {
			return true
		}
		if sec.Kind != "house" {
			continue
		}
		for l := range strings.SplitSeq(sec.Text, "\n") {
			if l == "restart" || strings.HasPrefix(l, "do policy.") {
				return true
			}
		}
	}
	return false
}

// Section is one part of a scenario, played in its turn.
type Section struct {
	Kind string // "peer", "dialogue"…
	Arg  string // what stands behind the kind, e.g. a name
	Text string
	Line int // of the file, where Text begins
}

// kind is a kind of section.
type kind struct {
	argument bool // something stands behind its name
	play     func(p *play, ctx context.Context, s Section) error
}

// kinds are the sections that there are.
var kinds = map[string]kind{
	"house":    {false, (*play).setHouse},
	"world":    {false, (*play).setWorld},
	"access":   {false, (*play).access},
	"peer":     {true, (*play).setPeer},
	"letter":   {true, (*play).keepLetter},
	"dialogue": {false, (*play).dialogue},
	"send":     {false, (*play).send},
	"run":      {false, (*play).program},
	"mailbox":  {true, (*play).mailbox},
	"trace":    {false, (*play).trace},
	"page":     {false, (*play).page},
	"outside":  {true, (*play).outside},
	"queue":    {false, (*play).queue},
	"retry":    {false, (*play).retry},
	"held":     {false, (*play).quarantine},
	"release":  {true, (*play).release},
	"delete":   {true, (*play).remove},
	"digest":   {true, (*play).digest},
	"password": {true, (*play).changePassword},
	"audit":    {true, (*play).audit},
}

// Parse reads a scenario. It is a txtar file: a comment, then sections that
// begin with a line "-- KIND ARGUMENT --" and are played from top to bottom.
//
// The comment's first line says what is shown, its second line which lines of
// the catalogues it covers. Everywhere {id} stands for a word that is new in
// each playing: letters carry it, so that the ones of this playing are known.
//
//	-- house --        our server, with other settings than the lab's own:
//	level strict       of policy (scenarios with the same settings share a server)
//	list dead.lab.test one more blocklist
//	sender_rate 1      limits.sender_rate
//	greet_delay 30s    limits.greet_delay: who speaks first cannot be in doubt then
//	scanner NAME milter defer
//	                   a scanner that it asks, and has to itself: milter, rspamd or
//	                   clamav; defer or pass while that fails. Package scantest says
//	                   what the scanner does
//	alone              a server that no other scenario uses
//	aged ana 31        the password of ana was set so many days ago
//	term 15            its policy lets passwords be only so old since so many days ago
//	restart            ends it and starts it again; not the lab's own
//	do alias.add {"address": …}   a command, as the administrator gives it
//	-- world --        what changes outside:
//	up mail.caida.test a server or a scanner: up or down; a scanner may be dying too, it
//	                   goes away in the middle of each message
//	-- access --       what the administrator does to our access map:
//	From:x.test REJECT
//	- From:x.test      takes the entry out
//	-- peer NAME --    a client, for the sections that follow:
//	helo mail.bien.test
//	ip 192.0.2.10      where it comes from; left out: this machine
//	door smtp          or submission, submissions, lmtp, sendmail
//	with raw           or net/smtp, go-smtp
//	tls                STARTTLS
//	user ana@empresa.test
//	sign               as the well-kept peer does; "sign l=30", "sign s=prueba" (a test
//	                   key), "sign s=falta" (no key), "sign expired" as nobody should
//	seal lista.test dmarc=pass header.from=x.test   the first ARC set of a domain
//	tail TEXT          a line that is added when it is signed and sealed
//	-- letter NAME --  a message to be sent by "C< NAME"; {octets N} stands for
//	                   so many octets of text, as they are sent, {line N} for a line
//	-- dialogue --     a connection of a raw peer, line by line:
//	S: 220 * ESMTP*    a reply, its lines joined by blanks; * stands for anything
//	C: EHLO x          a line to send, ended by CR LF; {plain ADDRESS} stands for
//	                   the response of AUTH PLAIN, {plain ADDRESS PASSWORD} for another's
//	C"EHLO x\n"        bytes to send, as a Go string
//	C< NAME            a letter: CR LF, dots stuffed, CR LF . CR LF at its end
//	TLS                the handshake
//	SLOW 900ms         the last reply took at least so long
//	END                the server has closed the connection
//	DROP               we go away: no more is sent, and no reply is read
//	-- send --         a letter through a client that knows the protocol:
//	from ines@bien.test
//	to ana@empresa.test
//	S: 250*            the reply that decided
//	(an empty line, and the letter, or "< NAME")
//	-- run --          a program of this machine; without it the scenario is passed over:
//	curl -s smtp://$SMTP …
//	-- mailbox ana --  every letter with {id} that ana has now, in all mailboxes:
//	INBOX The subject
//	  Header-Name: pattern
//	  lacks Header-Name: pattern
//	  no Header-Name
//	  keyword $Word
//	(none)
//	-- trace --        what is known of the transaction that was replied to last:
//	stage accepted
//	fail ptr.missing   or pass, unverified, none
//	ana@empresa.test accept
//	event delivered
//	-- page --         the page behind the last link, its status before it, as it
//	200 OK *spf.fail*  is in English and, behind "es ", in Spanish:
//	es 200 OK *spf.fail*
//	lacks *ana@*
//	-- outside HOST -- every letter with {id} that an outside server has:
//	letters 1
//	from ana@empresa.test
//	to ines@bien.test
//	helo mail.empresa.test
//	notify SUCCESS
//	tls
//	dkim 2             signatures of the From domain that verify
//	arc pass x.test 1  the ARC chain: its outcome, who sealed last, how many sets
//	Header-Name: pattern
//	-- queue --        what still waits of this scenario's messages:
//	ines@gris.test ready 451*
//	(empty)
//	-- retry --        the administrator tries at once what waits, as does
//	posta queue retry ID
//	-- held --         what the quarantine has of this scenario's messages:
//	ana@empresa.test dkim.missing,dmarc.missing Subject {id}
//	(empty)
//	-- release ADDRESS -- the administrator has looked, and releases what is held
//	                   for an address, as does posta quarantine release ID
//	-- delete ADDRESS -- likewise, and deletes it
//	-- digest ana --   digests are written, as by posta quarantine tell, and the page
//	200 OK *{id}*      behind the link of the newest that ana has is as on these lines;
//	do release         presses a button: the lines that follow are of the page then
//	-- password ana -- ana sends the form of the page /account/password:
//	old no             if it is not the right password
//	new TEXT
//	again TEXT         if it is not the same
//	200 OK *changed*   the page that is read then
//	-- audit DOMAIN [--ip IP] [--helo NAME] [--send-only] [--rdap] [--self HOST] … --
//	                   what posta audit finds of a domain of testdata/audit; all
//	                   audits of a scenario are made side by side:
//	setup mail         how it stands to mail
//	key s1 v=DKIM1; …  with --self: a key that signs here
//	fail spf.fail 203.0.113.9   an outcome (fail, pass, unverified, none), a check, and
//	                   a pattern of its subject, which may be left out
//	no mx.closed       the check is not told at all
//	es spf.fail *      the title in a language
func Parse(name, text string) (*Scenario, error) {
	s := &Scenario{Name: name}
	var comment strings.Builder
	line := 0
	for l := range strings.Lines(text) {
		line++
		inner, ok := heading(l)
		if !ok {
			if n := len(s.Sections); n > 0 {
				s.Sections[n-1].Text += l
			} else {
				comment.WriteString(l)
			}
			continue
		}
		word, arg, _ := strings.Cut(inner, " ")
		k, known := kinds[word]
		if !known {
			return nil, fmt.Errorf("%s:%d: no section is called %q", name, line, word)
		}
		if k.argument != (arg != "") {
			return nil, fmt.Errorf("%s:%d: the section %s has an argument: %v", name, line, word, k.argument)
		}
		s.Sections = append(s.Sections, Section{Kind: word, Arg: arg, Line: line + 1})
	}
	s.Title, s.Story, _ = strings.Cut(strings.TrimSpace(comment.String()), "\n")
	s.Refs, s.Story, _ = strings.Cut(s.Story, "\n")
	s.Story = strings.TrimSpace(s.Story)
	if s.Title == "" || s.Refs == "" || len(s.Sections) == 0 {
		return nil, fmt.Errorf("%s: a scenario has a title, a line of references and sections", name)
	}
	return s, nil
}

// heading gives what stands between the dashes of a line that begins a section.
func heading(line string) (string, bool) {
	inner, begins := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "-- ")
	inner, ends := strings.CutSuffix(inner, " --")
	return strings.TrimSpace(inner), begins && ends
}

// Scenarios reads those that are built in, by name.
func Scenarios() ([]*Scenario, error) {
	files, err := fs.Glob(scenarioFiles, "testdata/scenarios/*.txtar")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var out []*Scenario
	for _, f := range files {
		b, err := scenarioFiles.ReadFile(f)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(path.Base(f), ".txtar"), string(b))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// lines gives the lines of a section that say something, with their numbers.
func (s Section) lines(yield func(n int, line string) bool) {
	n := s.Line - 1
	for l := range strings.Lines(s.Text) {
		n++
		l = strings.TrimRight(l, "\r\n")
		if t := strings.TrimSpace(l); t == "" || t[0] == '#' {
			continue
		}
		if !yield(n, l) {
			return
		}
	}
}

// match reports whether text is as a pattern says, in which each * stands for
// any text. Case matters.
func match(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1:last] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, parts[last])
}
