package command

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"posta/internal/sieve"
	"posta/internal/store"
)

// SieveName names a script: Of is an account's login, a domain, or "" for the house.
type SieveName struct {
	Of   string `json:"of,omitempty"`
	Name string `json:"name,omitempty"`
}

// SievePut is the argument of sieve.put.
type SievePut struct {
	Of   string `json:"of,omitempty"`
	Name string `json:"name"`
	Text string `json:"text"`
	// Activate makes it the one that runs, of an account.
	Activate bool `json:"activate,omitempty"`
}

// SieveRename is the argument of sieve.rename.
type SieveRename struct {
	Of   string `json:"of,omitempty"`
	From string `json:"from"`
	To   string `json:"to"`
}

// SieveScript is a script as it is listed.
type SieveScript struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	Active bool   `json:"active,omitempty"`
	Text   string `json:"text,omitempty"` // of sieve.show
}

// Bounds of an owner's scripts.
const (
	MaxScripts     = 64
	MaxScriptSize  = 256 << 10
	maxScriptsSize = 2 << 20 // of all of them
	maxScriptName  = 128     // characters (RFC 5804 §1.6)
)

var sieveCommands = []Command{
	run("sieve.ls", store.Helpdesk, listScripts),
	run("sieve.show", store.Helpdesk, showScript),
	run("sieve.put", store.Owner, putScript),
	run("sieve.activate", store.Owner, activateScript),
	run("sieve.rm", store.Owner, removeScript),
	run("sieve.rename", store.Owner, renameScript),
}

// scriptOwner finds whose scripts are meant.
func scriptOwner(v *store.DirectoryView, of string) (store.ScriptOwner, error) {
	if of == "" {
		return 0, nil
	}
	if strings.Contains(of, "@") {
		acc, err := needAccount(v, strings.ToLower(of))
		if err != nil {
			return 0, err
		}
		return store.ScriptsOf(acc.ID), nil
	}
	d := findDomain(v, strings.ToLower(of))
	if d == nil {
		return 0, fail(ErrMissing, "error.domain.foreign", of, of)
	}
	return store.ScriptsOfDomain(d.ID), nil
}

// ScriptName reports whether a name may be a script's (RFC 5804 §1.6).
func ScriptName(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxScriptName && !strings.ContainsFunc(s, func(c rune) bool {
		return c < ' ' || c == '/' || 0x7F <= c && c <= 0x9F || c == 0x2028 || c == 0x2029
	})
}

func listScripts(ctx context.Context, h *House, _ Principal, n SieveName) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	o, err := scriptOwner(v, n.Of)
	if err != nil {
		return nil, err
	}
	list, err := h.Store.ListScripts(ctx, o)
	out := make([]SieveScript, len(list))
	for i, s := range list {
		out[i] = SieveScript{Name: s.Name, Size: s.Size, Active: runs(s)}
	}
	return out, err
}

// runs reports whether a script runs without being included.
func runs(s store.Script) bool {
	return s.Active || s.Owner <= 0 && (s.Name == store.BeforeScript || s.Name == store.AfterScript)
}

func showScript(ctx context.Context, h *House, _ Principal, n SieveName) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	o, err := scriptOwner(v, n.Of)
	if err != nil {
		return nil, err
	}
	s, err := h.Store.GetScript(ctx, o, n.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fail(ErrMissing, "error.sieve.missing", n.Name)
	}
	return SieveScript{Name: s.Name, Size: s.Size, Active: runs(s), Text: string(s.Text)}, err
}

// compiled refuses a script that does not compile, with its errors.
func (h *House) compiled(text string) error {
	if _, err := sieve.Compile([]byte(text), h.Sieve); err != nil {
		return fail(ErrUsage, "error.sieve.compile", err)
	}
	return nil
}

func putScript(ctx context.Context, h *House, p Principal, a SievePut) (any, error) {
	if !ScriptName(a.Name) {
		return nil, fail(ErrUsage, "error.sieve.name", a.Name, maxScriptName)
	}
	if len(a.Text) > MaxScriptSize {
		return nil, fail(ErrUsage, "error.sieve.large", a.Name, len(a.Text), MaxScriptSize)
	}
	if err := h.compiled(a.Text); err != nil {
		return nil, err
	}
	out := SieveScript{Name: a.Name, Size: len(a.Text)}
	return &out, h.change(ctx, p, "sieve.put", a.Of, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		o, err := scriptOwner(v, a.Of)
		if err != nil {
			return nil, nil, err
		}
		s := store.Script{Owner: o, Name: a.Name, Text: []byte(a.Text), Active: a.Activate && o > 0}
		list, err := tx.Scripts(o)
		if err != nil {
			return nil, nil, err
		}
		var before any
		if i := slices.IndexFunc(list, func(x store.Script) bool { return x.Name == a.Name }); i >= 0 {
			s.Active = s.Active || list[i].Active
			before = SieveScript{Name: a.Name, Size: list[i].Size, Active: list[i].Active}
		}
		if err := roomForScript(list, s); err != nil {
			return nil, nil, err
		}
		out.Active = runs(s)
		return before, out, tx.PutScript(s)
	})
}

// roomForScript holds an owner's scripts against their bounds.
func roomForScript(list []store.Script, s store.Script) error {
	n, size := 1, len(s.Text)
	for _, other := range list {
		if other.Name != s.Name {
			n, size = n+1, size+other.Size
		}
	}
	if n > MaxScripts {
		return fail(ErrUsage, "error.sieve.many", MaxScripts)
	}
	if size > maxScriptsSize {
		return fail(ErrUsage, "error.sieve.full", size, maxScriptsSize)
	}
	return nil
}

// activateScript makes a script the one that runs; without a name none does.
func activateScript(ctx context.Context, h *House, p Principal, n SieveName) (any, error) {
	return n, h.change(ctx, p, "sieve.activate", n.Of, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		o, err := scriptOwner(v, n.Of)
		if err == nil && o <= 0 {
			err = fail(ErrUsage, "error.sieve.global")
		}
		if err != nil {
			return nil, nil, err
		}
		before := SieveName{Of: n.Of, Name: v.Scripts[o].Active}
		name := n.Name
		if name == "" {
			name = before.Name
		}
		if name == "" {
			return before, n, nil
		}
		s, err := tx.Script(o, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, fail(ErrMissing, "error.sieve.missing", name)
		}
		if err != nil {
			return nil, nil, err
		}
		if s.Active = n.Name != ""; s.Active {
			if err := h.compiled(string(s.Text)); err != nil {
				return nil, nil, err
			}
		}
		return before, n, tx.PutScript(s)
	})
}

func removeScript(ctx context.Context, h *House, p Principal, n SieveName) (any, error) {
	return n, h.change(ctx, p, "sieve.rm", n.Of, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		o, err := scriptOwner(v, n.Of)
		if err != nil {
			return nil, nil, err
		}
		if n.Name != "" && v.Scripts[o].Active == n.Name { // RFC 5804 §2.10
			return nil, nil, fail(ErrUsage, "error.sieve.active", n.Name)
		}
		err = tx.DeleteScript(o, n.Name)
		if errors.Is(err, store.ErrNotFound) {
			err = fail(ErrMissing, "error.sieve.missing", n.Name)
		}
		return n, nil, err
	})
}

func renameScript(ctx context.Context, h *House, p Principal, n SieveRename) (any, error) {
	if !ScriptName(n.To) {
		return nil, fail(ErrUsage, "error.sieve.name", n.To, maxScriptName)
	}
	return n, h.change(ctx, p, "sieve.rename", n.Of, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		o, err := scriptOwner(v, n.Of)
		if err != nil {
			return nil, nil, err
		}
		s, err := tx.Script(o, n.From)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, fail(ErrMissing, "error.sieve.missing", n.From)
		}
		if err != nil {
			return nil, nil, err
		}
		if _, err := tx.Script(o, n.To); err == nil {
			return nil, nil, fail(ErrExists, "error.sieve.exists", n.To)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
		if err := tx.DeleteScript(o, n.From); err != nil {
			return nil, nil, err
		}
		s.Name = n.To
		return n.From, n.To, tx.PutScript(s)
	})
}
