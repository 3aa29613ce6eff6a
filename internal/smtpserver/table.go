package smtpserver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"posta/internal/mail"
	"posta/internal/smtp"
)

// state is where a session stands (RFC 5321 §4.1.4).
type state uint8

const (
	connected state = iota // no greeting yet, or none since TLS began (RFC 3207 §4.2)
	greeted                // HELO, EHLO or LHLO; no transaction
	inMail                 // MAIL, no recipient accepted
	inRcpt                 // at least one recipient
	inChunks               // BDAT, more to come (RFC 3030 §2)
	numStates
)

var stateNames = [numStates]string{"connected", "greeted", "mail", "rcpt", "chunks"}

// states is a set of them.
type states uint8

func in(list ...state) states {
	var set states
	for _, s := range list {
		set |= 1 << s
	}
	return set
}

func (set states) has(s state) bool { return set&(1<<s) != 0 }

const anyState = states(1<<numStates - 1)

// command is one row of the protocol.
type command struct {
	states states
	needs  []need // asked in order, when the state is right
	noArg  bool   // an argument is an error
	last   bool   // must be the last of a pipelined group (RFC 2920 §3.1)
	abuse  bool   // handled whatever else is wrong with the line
	skip   bool   // octets follow the line, and are read even when it is refused
	handle func(ctx context.Context, c *conn, arg []byte)
	rule   string
}

// commands is the protocol on one screen: what is allowed when.
func commands() [smtp.NumVerbs]command {
	begun := in(greeted, inMail, inRcpt, inChunks)
	return [smtp.NumVerbs]command{
		smtp.HELO:     {states: anyState, needs: []need{notLMTP}, last: true, handle: helo, rule: "RFC 5321 §4.1.1.1"},
		smtp.EHLO:     {states: anyState, needs: []need{notLMTP}, last: true, handle: ehlo, rule: "RFC 5321 §4.1.1.1"},
		smtp.LHLO:     {states: anyState, needs: []need{onlyLMTP}, last: true, handle: ehlo, rule: "RFC 2033 §4.1"},
		smtp.STARTTLS: {states: in(connected, greeted), needs: []need{canTLS}, noArg: true, last: true, handle: startTLS, rule: "RFC 3207 §4"},
		smtp.AUTH:     {states: in(greeted), needs: []need{canAuth}, last: true, handle: auth, rule: "RFC 4954 §4"},
		smtp.MAIL:     {states: in(greeted), needs: []need{identified}, handle: mailFrom, rule: "RFC 5321 §4.1.1.2"},
		smtp.RCPT:     {states: in(inMail, inRcpt), handle: rcptTo, rule: "RFC 5321 §4.1.1.3"},
		smtp.DATA:     {states: in(inRcpt), noArg: true, last: true, handle: data, rule: "RFC 5321 §4.1.1.4"},
		smtp.BDAT:     {states: in(inRcpt, inChunks), skip: true, handle: bdat, rule: "RFC 3030 §2"},
		smtp.RSET:     {states: anyState, noArg: true, handle: rset, rule: "RFC 5321 §4.1.1.5"},
		smtp.VRFY:     {states: begun, last: true, handle: vrfy, rule: "RFC 5321 §4.1.1.6"},
		smtp.HELP:     {states: anyState, handle: help, rule: "RFC 5321 §4.1.1.8"},
		smtp.NOOP:     {states: anyState, last: true, handle: noop, rule: "RFC 5321 §4.1.1.9"},
		smtp.QUIT:     {states: anyState, noArg: true, last: true, handle: quit, rule: "RFC 5321 §4.1.1.10"},
		smtp.EXPN:     {states: anyState, last: true, handle: notOffered("EXPN"), rule: "RFC 5321 §4.1.1.7"},
		smtp.ETRN:     {states: anyState, last: true, handle: notOffered("ETRN"), rule: "RFC 1985 §5"},
		smtp.HTTP:     {states: anyState, abuse: true, handle: httpVerb, rule: "RFC 5321 §3.8"},
		smtp.PROXY:    {states: anyState, abuse: true, handle: proxyVerb, rule: "PROXY protocol §2"},
		smtp.Unknown:  {states: anyState, handle: unknown, rule: "RFC 5321 §4.2.4"},
	}
}

// refusal is what a verb hears in a state that is not in its row.
func refusal(v smtp.Verb, s state) smtp.Phrase {
	switch {
	case s == connected && v != smtp.DATA && v != smtp.BDAT && v != smtp.RCPT:
		return smtp.HelloNeeded
	case v == smtp.MAIL:
		return smtp.MailInTransaction
	case v == smtp.AUTH:
		return smtp.AuthInTransaction
	case v == smtp.RCPT && s == inChunks:
		return smtp.RcptInChunks
	case v == smtp.RCPT:
		return smtp.RcptNeedsMail
	case v == smtp.DATA && s == inChunks:
		return smtp.DataAfterBdat
	case v == smtp.DATA && s == inMail:
		return smtp.DataNeedsRcpt
	case v == smtp.BDAT && s == inMail:
		return smtp.BdatNeedsRcpt
	case v == smtp.DATA, v == smtp.BDAT:
		return smtp.DataNeedsMail
	}
	return smtp.BadSequence
}

// need is a condition besides the state; its reply says what is missing.
type need struct {
	name  string
	check func(c *conn) (smtp.Reply, bool)
}

var (
	notLMTP = need{"a door that is not LMTP", func(c *conn) (smtp.Reply, bool) {
		return smtp.WrongHello.With("LMTP", "LHLO"), c.client.Door != mail.LMTP
	}}
	onlyLMTP = need{"the LMTP door", func(c *conn) (smtp.Reply, bool) {
		return smtp.WrongHello.With("SMTP", "EHLO"), c.client.Door == mail.LMTP
	}}
	canTLS = need{"TLS set up and not in use", func(c *conn) (smtp.Reply, bool) {
		if c.secure() {
			return smtp.StartTLSTwice.Reply(), false
		}
		return smtp.NotImplemented.With("STARTTLS"), c.srv.cfg.TLS != nil
	}}
	canAuth = need{"submission, TLS, nobody authenticated", func(c *conn) (smtp.Reply, bool) {
		switch {
		case c.client.Door != mail.Submission:
			return smtp.AuthNotOffered.Reply(), false
		case !c.secure():
			c.notice(AuthBeforeTLS, "")
			return smtp.AuthNeedsTLS.Reply(), false
		}
		return smtp.AuthTwice.Reply(), c.client.Class != mail.Authenticated
	}}
	identified = need{"at submission: authenticated, or a local network", func(c *conn) (smtp.Reply, bool) {
		if c.client.Door != mail.Submission || c.client.Class >= mail.LocalNetwork {
			return smtp.Reply{}, true
		}
		if !c.secure() {
			return smtp.StartTLSNeeded.Reply(), false
		}
		return smtp.AuthNeeded.Reply(), false
	}}
)

// WriteTable prints the protocol for people: each verb in each state, what it
// needs, and the rule it comes from.
func WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "verb\t%s\tlast\trule\tneeds\n", strings.Join(stateNames[:], "\t"))
	for v, row := range commands() {
		cells := make([]string, numStates)
		for s := range numStates {
			cells[s] = "ok"
			if !row.states.has(s) {
				cells[s] = refusal(smtp.Verb(v), s).String()
			}
		}
		last := ""
		if row.last {
			last = "yes"
		}
		names := make([]string, len(row.needs))
		for i, n := range row.needs {
			names[i] = n.name
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", smtp.Verb(v), strings.Join(cells, "\t"), last, row.rule, strings.Join(names, "; "))
	}
	return tw.Flush()
}
