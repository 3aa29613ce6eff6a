package sieve

import (
	"slices"
	"strings"
	"unicode/utf8"

	"posta/internal/addr"
)

// storeTags are the tags of what puts a message into a mailbox, besides :flags.
func storeTags() []tag {
	return []tag{
		{name: "create", cap: "mailbox"},                            // RFC 5490 §3.2
		{name: "specialuse", cap: "special-use", args: []kind{str}}, // RFC 8579 §4
		{name: "mailboxid", cap: "mailboxid", args: []kind{str}},    // RFC 9042 §3
		{name: "flags", cap: "imap4flags", args: []kind{strs}},      // RFC 5232 §5
		{name: "copy", cap: "copy"},                                 // RFC 3894
	}
}

// actions are the actions of RFC 5228 §4.
func actions() []spec {
	return []spec{
		{name: "keep", tags: []tag{{name: "flags", cap: "imap4flags", args: []kind{strs}}}, run: runKeep},
		{name: "fileinto", caps: []string{"fileinto"}, tags: storeTags(), args: []kind{str}, check: checkFileInto, run: runFileInto},
		{name: "redirect", tags: []tag{{name: "copy", cap: "copy"}, {name: "list", cap: "extlists"}}, args: []kind{str}, check: checkRedirect, run: runRedirect},
		{name: "discard", run: runDiscard},
	}
}

func runKeep(r *run, k *call) {
	r.implicit = false
	r.add(k, Action{Kind: Keep, Flags: r.flagsOf(k)})
}

func checkFileInto(c *compiler, k *call) {
	if name, ok := k.args[0].constant(); ok && !mailboxName(name) {
		c.fail(k.args[0].pos, "fileinto: %s is no name of a mailbox", shown(name))
	}
	checkSpecialUse(c, k)
	if k.has("mailboxid") && k.has("specialuse") {
		c.fail(k.pos, "fileinto has :mailboxid and :specialuse, of which only one may stand") // RFC 9042 §5
	}
}

// checkSpecialUse holds the argument of :specialuse against RFC 8579 §3: "\Junk".
func checkSpecialUse(c *compiler, k *call) {
	if args, ok := k.tag("specialuse"); ok {
		if use, ok := args[0].constant(); ok && !strings.HasPrefix(use, `\`) {
			c.fail(args[0].pos, ":specialuse takes an attribute such as \"\\\\Junk\", not %s", shown(use))
		}
	}
}

// mailboxName refuses what cannot name a mailbox.
func mailboxName(s string) bool {
	return s != "" && len(s) <= 1024 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7F })
}

func runFileInto(r *run, k *call) {
	a := r.store(k, k.args[0])
	if r.flow != goOn {
		return
	}
	a.Flags = r.flagsOf(k)
	a.Copy = k.has("copy")
	if !a.Copy {
		r.implicit = false
	}
	r.add(k, a)
}

// store makes the action of fileinto, and of :fcc, with the tags that they share.
func (r *run) store(k *call, name value) Action {
	a := Action{Kind: FileInto, Mailbox: r.text(name), Create: k.has("create")}
	if args, ok := k.tag("specialuse"); ok {
		a.SpecialUse = r.text(args[0])
	}
	if args, ok := k.tag("mailboxid"); ok {
		a.MailboxID = r.text(args[0])
	}
	if !mailboxName(a.Mailbox) {
		r.fail(k.pos, nil, "%s: %s is no name of a mailbox", k.spec.name, shown(a.Mailbox))
	}
	return a
}

func runDiscard(r *run, k *call) {
	r.implicit = false
	r.add(k, Action{Kind: Discard})
}

func checkRedirect(c *compiler, k *call) {
	if k.has("list") {
		return
	}
	if s, ok := k.args[0].constant(); ok {
		if _, err := oneAddress(s); err != nil {
			c.fail(k.args[0].pos, "redirect takes one address such as \"ana@example.org\", not %s", shown(s))
		}
	}
}

// oneAddress reads an address as scripts write it, with or without a display name
// (RFC 5228 §2.4.2.3).
func oneAddress(s string) (addr.Address, error) {
	list, err := addr.ParseList(s, 2)
	if err != nil {
		return addr.Address{}, err
	}
	if len(list) != 1 {
		return addr.Address{}, addr.ErrSyntax
	}
	return list[0].Address()
}

func runRedirect(r *run, k *call) {
	a := Action{Kind: Redirect, Copy: k.has("copy")}
	if k.has("list") {
		a.List = r.text(k.args[0])
		if r.env.Lists == nil || !r.env.Lists(a.List) {
			r.fail(k.pos, nil, "redirect: there is no list %s", shown(a.List))
			return
		}
	} else {
		to, err := oneAddress(r.text(k.args[0]))
		if err != nil {
			r.fail(k.pos, nil, "redirect: %s is not an address", shown(r.text(k.args[0])))
			return
		}
		if r.own(to) { // to oneself it would only come back
			r.tracef(k.pos, "redirect to the own address is a keep")
			r.implicit = false
			r.add(k, Action{Kind: Keep, Flags: r.keepFlags()})
			return
		}
		a.Address = to.String()
	}
	if !a.Copy {
		r.implicit = false
	}
	r.add(k, a)
}

// own reports whether an address is the owner's.
func (r *run) own(a addr.Address) bool {
	a = a.Fold()
	mine := func(s string) bool {
		b, err := addr.ParseAddress(s)
		return err == nil && b.Fold() == a
	}
	return mine(r.env.Owner) || mine(r.env.To) || slices.ContainsFunc(r.env.Own, mine)
}
