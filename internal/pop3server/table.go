package pop3server

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
)

// State of a session (RFC 1939 §3).
type State uint8

// The states. UPDATE is within QUIT.
const (
	Authorization State = 1 << iota // RFC 1939 §4
	Transaction                     // §5
)

const anyState = Authorization | Transaction

// String names a state, or the states of a set.
func (s State) String() string {
	switch s {
	case Authorization:
		return "authorization"
	case Transaction:
		return "transaction"
	case anyState:
		return "any"
	}
	return "none"
}

// command is one line of the protocol.
type command struct {
	verb string
	in   State
	args string // for people
	run  func(*conn, context.Context, []string) error
	rule string
}

// commands is the protocol.
func commands() []command {
	return []command{
		{"CAPA", anyState, "", (*conn).capa, "RFC 2449 §5"},
		{"QUIT", anyState, "", (*conn).quit, "RFC 1939 §4, §6"},
		{"NOOP", Transaction, "", (*conn).noop, "RFC 1939 §5"},
		{"STLS", Authorization, "", (*conn).stls, "RFC 2595 §4"},
		{"USER", Authorization, "name", (*conn).user, "RFC 1939 §7"},
		{"PASS", Authorization, "password", (*conn).pass, "RFC 1939 §7"},
		{"AUTH", Authorization, "[mechanism [response]]", (*conn).auth, "RFC 5034 §4"},
		{"UTF8", Authorization, "", (*conn).utf8, "RFC 6856 §2.1"},
		{"STAT", Transaction, "", (*conn).stat, "RFC 1939 §5"},
		{"LIST", Transaction, "[message]", (*conn).list, "RFC 1939 §5"},
		{"UIDL", Transaction, "[message]", (*conn).uidl, "RFC 1939 §7"},
		{"RETR", Transaction, "message", (*conn).retr, "RFC 1939 §5"},
		{"TOP", Transaction, "message lines", (*conn).top, "RFC 1939 §7"},
		{"DELE", Transaction, "message", (*conn).dele, "RFC 1939 §5"},
		{"RSET", Transaction, "", (*conn).rset, "RFC 1939 §5"},
	}
}

// byVerb is commands by verb, made once.
var byVerb = sync.OnceValue(func() map[string]*command {
	all := commands()
	m := make(map[string]*command, len(all))
	for i := range all {
		m[all[i].verb] = &all[i]
	}
	return m
})

// PrintTable writes the protocol as a table, for the golden file and the manual.
func PrintTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "command\tin state\trule")
	for _, c := range commands() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", strings.TrimSpace(c.verb+" "+c.args), c.in, c.rule)
	}
	return t.Flush()
}
