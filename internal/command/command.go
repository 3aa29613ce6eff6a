// Package command is the one layer through which people change Posta's state:
// the command line, the web, an API. Each change is a named command with a
// principal; it is validated, carried out and written to the audit log in one
// transaction, and it is live when the command returns (DESIGN §3).
//
// Commands take and give JSON, so that a socket, a file and a test speak to the
// same table.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"posta/internal/access"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/policy"
	"posta/internal/sieve"
	"posta/internal/spam/learn"
	"posta/internal/store"
	"posta/internal/words"
)

// Kinds of failure; a caller turns them into exit statuses or HTTP codes.
var (
	ErrUsage   = errors.New("usage")           // the call is wrong
	ErrDenied  = errors.New("not permitted")   // the principal may not
	ErrMissing = errors.New("no such object")  // what it names is not there
	ErrExists  = errors.New("exists already")  // what it would make is there
	ErrLater   = errors.New("try again later") // the store cannot now
)

// Error is a failure with a sentence for people: what is wrong, and the mend. The
// sentence is a key of the words catalogue with its arguments, so that each
// reader has it in his language, whoever's process found the fault.
type Error struct {
	Kind error
	Key  string
	Args []any
}

// Error gives the sentence in English.
func (e *Error) Error() string { return e.In("en") }

// In gives the sentence in a language.
func (e *Error) In(l words.Lang) string { return l.Say(e.Key, e.Args...) }

func (e *Error) Unwrap() error { return e.Kind }

func fail(kind error, key string, args ...any) error {
	for i, a := range args {
		if err, ok := a.(error); ok {
			args[i] = err.Error() // so that it can travel
		}
	}
	return &Error{kind, key, args}
}

// Principal is who gives a command.
type Principal struct {
	Name   string // "uid:0", "ana@example.org", "system"
	Tenant int64
	Role   store.Role
}

// House is what commands work on.
type House struct {
	Store     store.Store
	Blobs     blob.Store
	Directory *directory.Directory
	Access    *access.Followed // nil where nobody asks the access map
	Policies  *policy.Live     // nil means the shipped policy, as long as none is stored
	Now       func() time.Time // nil means time.Now
	Spam      *learn.Learner   // what was learned of spam; nil: nothing can be
	Rescue    Rescue           // nil where the state cannot be checked or copied whole
	// Explain shows the way of a message without any effect; nil where nothing judges.
	Explain func(context.Context, Question) (*Explanation, error)
	// ExplainRoute tells where mail for a domain would go, by its normal form or an address
	// literal; nil where nothing sends.
	ExplainRoute func(context.Context, string) (*RoutePlan, error)
	// Quarantine releases held mail; nil where it cannot be filed.
	Quarantine Quarantine
	Append     Appender // nil where nothing can be stored
	moves      moves
	Sieve      sieve.Options // how scripts are compiled here
	Digests    Digests       // nil where no server runs
	Learner    Learner       // nil: there is none
	DNS        DNS           // the records of our domains; nil: nothing knows them
	Rotator    Rotator       // nil where no server runs that looks at DNS
	// Self lists findings about the running server; nil where none runs.
	Self func() []finding.Finding
	// Runs reports whether posta.toml names a program; nil: not known here.
	Runs func(program string) bool
	// OwnIPs are the addresses that we send from; nil: not known.
	OwnIPs func() []netip.Addr
	// Published looks up the DMARC record of a domain, "" for none; nil where nothing is
	// looked up. It blocks for DNS.
	Published func(ctx context.Context, domain string) (string, error)
}

func (h *House) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// Command is one entry of the table.
type Command struct {
	Name string     // "account.add"
	Role store.Role // least role that may give it
	Run  func(ctx context.Context, h *House, p Principal, args json.RawMessage) (any, error)
	// MaxArgs is how many octets its arguments may have; 0 means 1 MiB.
	MaxArgs int64
}

// MaxArgs bounds the arguments of a command by its name, in octets.
func MaxArgs(name string) int64 {
	for i := range table {
		if table[i].Name == name && table[i].MaxArgs > 0 {
			return table[i].MaxArgs
		}
	}
	return 1 << 20
}

// bounded is a command with larger arguments than others have.
func bounded(c Command, most int64) Command {
	c.MaxArgs = most
	return c
}

// table has every command; it is in commands*.go by subject.
var table = slices.Concat(
	domainCommands, accountCommands, ownCommands, languageCommands, aliasCommands, ruleCommands, accessCommands, keyCommands,
	queueCommands, destinationCommands, reportCommands, reportSentCommands, reputationCommands, quarantineCommands, digestCommands, traceCommands,
	explainCommands, routeCommands,
	storeCommands, checkCommands, policyCommands, reflectorCommands, spamCommands,
	dnsCommands, acceptedCommands, movingCommands, sieveCommands, archiveCommands,
)

// All lists the commands.
func All() []Command { return slices.Clone(table) }

// Do carries out a command by name; the result can be marshalled to JSON.
func Do(ctx context.Context, h *House, p Principal, name string, args json.RawMessage) (any, error) {
	i := slices.IndexFunc(table, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return nil, fail(ErrUsage, "error.command.unknown", name)
	}
	if p.Role < table[i].Role {
		return nil, fail(ErrDenied, "error.command.denied", p.Name, name)
	}
	out, err := table[i].Run(ctx, h, p, args)
	return out, translate(err)
}

// translate gives the store's errors their kind.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	for from, to := range map[error]error{
		store.ErrNotFound: ErrMissing, store.ErrExists: ErrExists,
		store.ErrTemporary: ErrLater, store.ErrFull: ErrLater, store.ErrConflict: ErrUsage,
	} {
		if errors.Is(err, from) {
			return &Error{to, "error.store", []any{err.Error()}}
		}
	}
	return err
}

// run makes a command of a function with typed arguments.
func run[A any](name string, role store.Role, f func(ctx context.Context, h *House, p Principal, a A) (any, error)) Command {
	return Command{Name: name, Role: role, Run: func(ctx context.Context, h *House, p Principal, raw json.RawMessage) (any, error) {
		var a A
		if len(raw) > 0 {
			d := json.NewDecoder(bytes.NewReader(raw))
			d.DisallowUnknownFields()
			if err := d.Decode(&a); err != nil {
				return nil, fail(ErrUsage, "error.arguments", name, err)
			}
		}
		return f(ctx, h, p, a)
	}}
}

// change runs f in a directory transaction, writes the audit record and makes
// the new view live. before and after are marshalled without secrets by the
// caller's types.
func (h *House) change(ctx context.Context, p Principal, cmd, object string, f func(tx store.DirectoryTx, v *store.DirectoryView) (before, after any, err error)) error {
	err := h.Store.ChangeDirectory(ctx, func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		before, after, err := f(tx, v)
		if err != nil {
			return store.Audit{}, err
		}
		return store.Audit{
			At: h.now(), Principal: p.Name, Tenant: p.Tenant, Command: cmd, Object: object,
			Before: asJSON(before), After: asJSON(after),
		}, nil
	})
	if err != nil {
		return err
	}
	return h.Directory.Refresh(ctx)
}

func asJSON(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	return string(b)
}
