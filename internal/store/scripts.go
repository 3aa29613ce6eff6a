package store

import (
	"context"

	"posta/internal/mailbox"
)

// ScriptOwner is whose a Sieve script is: an account's by its id, a domain's by its
// negative id, the house's with 0. Of domains and the house, BeforeScript runs before
// the scripts of people and AfterScript after them; the others can be included by
// everybody (RFC 6609 :global).
type ScriptOwner int64

// Names of scripts that run without being the active one.
const (
	BeforeScript = "before"
	AfterScript  = "after"
)

// ScriptsOf is the owner of an account's scripts.
func ScriptsOf(a mailbox.AccountID) ScriptOwner { return ScriptOwner(a) }

// ScriptsOfDomain is the owner of a domain's scripts.
func ScriptsOfDomain(d DomainID) ScriptOwner { return ScriptOwner(-d) }

// Script is one Sieve script.
type Script struct {
	Owner   ScriptOwner
	Name    string // RFC 5804 §1.6: UTF-8 without control characters
	Text    []byte // UTF-8; nil in lists
	Size    int    // octets of Text
	Active  bool   // of an account at most one is
	Changed int64  // the directory's version that changed it last
}

// ScriptState is what the directory's view tells of an owner who has scripts.
type ScriptState struct {
	Active  string // the name of the active one, "" if none is
	Before  bool   // there is one of that name
	After   bool
	Changed int64 // of the last change of any of them: what was made of them before is old
}

// Scripts reads Sieve scripts. They change with the directory (DirectoryTx), whose view
// tells who has any.
type Scripts interface {
	// ListScripts lists an owner's scripts by name, without Text.
	ListScripts(ctx context.Context, o ScriptOwner) ([]Script, error)
	// GetScript reads one; ErrNotFound.
	GetScript(ctx context.Context, o ScriptOwner, name string) (Script, error)
}
