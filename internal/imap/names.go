package imap

import (
	"strings"
	"unicode/utf8"
)

// MaxMailboxName is the length of a mailbox name in octets of UTF-8.
const MaxMailboxName = 1000

// Mailbox reads a mailbox name and gives it in UTF-8, INBOX in capitals
// (RFC 9051 §5.1). Names with control characters are refused.
func (d *Decoder) Mailbox(arg string) string {
	name := d.mailboxText(arg, d.Astring(arg))
	if d.err == nil && name == "" {
		d.err = Bad("%s: empty name", arg)
	}
	return CanonicalInbox(name)
}

// CanonicalInbox writes INBOX in capitals where it is the name or its first level.
func CanonicalInbox(name string) string {
	if len(name) >= 5 && strings.EqualFold(name[:5], "INBOX") && (len(name) == 5 || name[5] == '/') {
		return "INBOX" + name[5:]
	}
	return name
}

// ListMailbox reads list-mailbox: a mailbox name in which "%" and "*" may stand,
// also outside of a string. It can be empty.
func (d *Decoder) ListMailbox(arg string) string {
	if d.atString() {
		return d.mailboxText(arg, d.String(arg))
	}
	s := d.run(listChar)
	if len(s) == 0 {
		d.fail(arg, "a mailbox pattern")
	}
	return d.mailboxText(arg, string(s))
}

// Reference reads the reference name of LIST: a mailbox name that can be empty.
func (d *Decoder) Reference(arg string) string {
	return d.mailboxText(arg, d.Astring(arg))
}

// mailboxText decodes a mailbox name. Clients that write plain UTF-8 without
// having asked for it (RFC 9051 clients on a server they take for one) are
// understood, since 8-bit cannot stand in modified UTF-7.
func (d *Decoder) mailboxText(arg, s string) string {
	if d.err != nil {
		return ""
	}
	if !d.UTF8 && isASCII(s) {
		name, err := DecodeUTF7(s)
		if err != nil {
			d.err = Bad("%s: %v: %.64q", arg, err, s)
			return ""
		}
		s = name
	}
	if len(s) > MaxMailboxName {
		d.err = Bad("%s: longer than %d octets", arg, MaxMailboxName)
		return ""
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		d.err = Bad("%s: not UTF-8, or control characters in it", arg)
		return ""
	}
	return s
}

// isControl: C0, DEL, C1 and the line and paragraph separators, which Net-Unicode
// (RFC 5198 §2) forbids in names.
func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Flag reads a flag or keyword as written: "\" atom, or an atom.
func (d *Decoder) Flag(arg string) string {
	if d.Accept('\\') {
		if d.Accept('*') {
			return `\*`
		}
		return `\` + d.Atom(arg)
	}
	return d.Atom(arg)
}

// FlagList reads flag-list: parentheses with any number of flags.
func (d *Decoder) FlagList(arg string) (flags []string) {
	d.List(arg, true, func() { flags = append(flags, d.Flag(arg)) })
	return flags
}

// Flags reads what STORE takes: flag-list, or flags without parentheses.
func (d *Decoder) Flags(arg string) (flags []string) {
	if d.peek() == '(' {
		return d.FlagList(arg)
	}
	for d.err == nil && len(flags) < d.limits.Items {
		flags = append(flags, d.Flag(arg))
		if !d.Accept(' ') {
			break
		}
	}
	return flags
}
