package imapserver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"

	"posta/internal/imap"
)

// command is one line of the protocol.
type command struct {
	name string
	in   State // where it may be given
	run  func(*conn, context.Context, *imap.Decoder) error
	rule string
	// numbered commands speak of message numbers: no EXPUNGE is announced while
	// they run (RFC 9051 §7.5.1).
	numbered bool
	// after runs when the tagged reply has been written: TLS begins there.
	after func(*conn, context.Context, *imap.Reply) error
}

// commands is the protocol.
func commands() []command {
	return []command{
		{name: "CAPABILITY", in: anyState, run: (*conn).capability, rule: "RFC 9051 §6.1.1"},
		{name: "NOOP", in: anyState, run: (*conn).noop, rule: "RFC 9051 §6.1.2"},
		{name: "LOGOUT", in: anyState, run: (*conn).logout, rule: "RFC 9051 §6.1.3"},
		{name: "ID", in: anyState, run: (*conn).id, rule: "RFC 2971 §3.1"},

		{name: "STARTTLS", in: NotAuthenticated, run: (*conn).starttls, after: (*conn).handshake, rule: "RFC 9051 §6.2.1"},
		{name: "AUTHENTICATE", in: NotAuthenticated, run: (*conn).authenticate, rule: "RFC 9051 §6.2.2"},
		{name: "LOGIN", in: NotAuthenticated, run: (*conn).login, rule: "RFC 9051 §6.2.3"},

		{name: "ENABLE", in: loggedIn, run: (*conn).enable, rule: "RFC 9051 §6.3.1"},
		{name: "SELECT", in: loggedIn, run: (*conn).selectMailbox, rule: "RFC 9051 §6.3.2"},
		{name: "EXAMINE", in: loggedIn, run: (*conn).examine, rule: "RFC 9051 §6.3.3"},
		{name: "CREATE", in: loggedIn, run: (*conn).create, rule: "RFC 9051 §6.3.4"},
		{name: "DELETE", in: loggedIn, run: (*conn).delete, rule: "RFC 9051 §6.3.5"},
		{name: "RENAME", in: loggedIn, run: (*conn).rename, rule: "RFC 9051 §6.3.6"},
		{name: "SUBSCRIBE", in: loggedIn, run: (*conn).subscribe, rule: "RFC 9051 §6.3.7"},
		{name: "UNSUBSCRIBE", in: loggedIn, run: (*conn).unsubscribe, rule: "RFC 9051 §6.3.8"},
		{name: "LIST", in: loggedIn, run: (*conn).list, rule: "RFC 9051 §6.3.9"},
		{name: "LSUB", in: loggedIn, run: (*conn).lsub, rule: "RFC 3501 §6.3.9"},
		{name: "NAMESPACE", in: loggedIn, run: (*conn).namespace, rule: "RFC 9051 §6.3.10"},
		{name: "STATUS", in: loggedIn, run: (*conn).statusOf, rule: "RFC 9051 §6.3.11"},
		{name: "APPEND", in: loggedIn, run: (*conn).append, rule: "RFC 9051 §6.3.12"},
		{name: "IDLE", in: loggedIn, run: (*conn).idle, rule: "RFC 9051 §6.3.13"},

		{name: "CHECK", in: Selected, run: (*conn).noop, rule: "RFC 3501 §6.4.1"},
		{name: "CLOSE", in: Selected, run: (*conn).closeMailbox, rule: "RFC 9051 §6.4.1"},
		{name: "UNSELECT", in: Selected, run: (*conn).unselect, rule: "RFC 9051 §6.4.2"},
		{name: "EXPUNGE", in: Selected, run: (*conn).expunge, rule: "RFC 9051 §6.4.3"},
		{name: "SEARCH", in: Selected, run: (*conn).search, numbered: true, rule: "RFC 9051 §6.4.4"},
		{name: "FETCH", in: Selected, run: (*conn).fetch, numbered: true, rule: "RFC 9051 §6.4.5"},
		{name: "STORE", in: Selected, run: (*conn).store, numbered: true, rule: "RFC 9051 §6.4.6"},
		{name: "COPY", in: Selected, run: (*conn).copy, rule: "RFC 9051 §6.4.7"},
		{name: "MOVE", in: Selected, run: (*conn).move, rule: "RFC 9051 §6.4.8"},
		{name: "UID EXPUNGE", in: Selected, run: (*conn).uidExpunge, rule: "RFC 9051 §6.4.9"},
		{name: "UID SEARCH", in: Selected, run: (*conn).uidSearch, rule: "RFC 9051 §6.4.9"},
		{name: "UID FETCH", in: Selected, run: (*conn).uidFetch, rule: "RFC 9051 §6.4.9"},
		{name: "UID STORE", in: Selected, run: (*conn).uidStore, rule: "RFC 9051 §6.4.9"},
		{name: "UID COPY", in: Selected, run: (*conn).uidCopy, rule: "RFC 9051 §6.4.9"},
		{name: "UID MOVE", in: Selected, run: (*conn).uidMove, rule: "RFC 9051 §6.4.9"},
	}
}

// byName is commands by name, made once.
var byName = sync.OnceValue(func() map[string]*command {
	all := commands()
	m := make(map[string]*command, len(all))
	for i := range all {
		m[all[i].name] = &all[i]
	}
	return m
})

// find gives the command of a name in upper case, nil if there is none.
func find(name string) *command { return byName()[name] }

// PrintTable writes the protocol as a table, for the golden file and the manual.
func PrintTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "command\tin states\tEXPUNGE\trule")
	for _, c := range commands() {
		expunge := "announced"
		if c.numbered {
			expunge = "waits"
		} else if c.in&Selected == 0 {
			expunge = ""
		}
		fmt.Fprintln(t, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s\t%s", c.name, c.in, expunge, c.rule), " "))
	}
	return t.Flush()
}
