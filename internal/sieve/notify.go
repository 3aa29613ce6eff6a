package sieve

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"posta/internal/addr"
)

// notifies are RFC 5435; the one method is mailto (RFC 5436).
func notifies() []spec {
	caps := []string{"enotify"}
	return []spec{
		{name: "notify", caps: caps, args: []kind{str}, check: checkNotify, run: runNotify, tags: slices.Concat([]tag{
			{name: "from", args: []kind{str}},
			{name: "importance", args: []kind{str}},
			{name: "options", args: []kind{strs}},
			{name: "message", args: []kind{str}},
		}, fccTags())},
		{name: "valid_notify_method", test: true, caps: caps, args: []kind{strs}, eval: evalValidNotify},
		{name: "notify_method_capability", test: true, caps: caps, match: true, args: []kind{str, str, strs}, eval: evalNotifyCapability},
	}
}

// Mailto is a URI of RFC 6068 as a notification uses it.
type Mailto struct {
	To, Cc, Bcc   []addr.Address
	Subject, Body string
	Fields        [][2]string // other header fields, name and value, in order
}

// maxMailto bounds the recipients of a notification.
const maxMailto = 10

// ParseMailto reads a mailto URI. It must name a recipient, ten at the most. Fields
// that a sender's server sets (RFC 5436 §2.7) are left out.
func ParseMailto(uri string) (*Mailto, error) {
	scheme, rest, _ := strings.Cut(uri, ":")
	if !strings.EqualFold(scheme, "mailto") {
		return nil, errors.New("the method is not mailto")
	}
	to, query, _ := strings.Cut(rest, "?")
	m := &Mailto{}
	if to != "" {
		for one := range strings.SplitSeq(to, ",") {
			if err := m.field("to", one); err != nil {
				return nil, err
			}
		}
	}
	if query != "" {
		for pair := range strings.SplitSeq(query, "&") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, errors.New("a field of the mailto has no =")
			}
			if err := m.field(fold(name), value); err != nil {
				return nil, err
			}
		}
	}
	switch n := len(m.To) + len(m.Cc) + len(m.Bcc); {
	case n == 0:
		return nil, errors.New("the mailto names no recipient")
	case n > maxMailto:
		return nil, errors.New("the mailto names more than ten recipients")
	}
	return m, nil
}

// field takes one field of the URI, its value still encoded.
func (m *Mailto) field(name, value string) error {
	name, err := url.PathUnescape(name)
	if err != nil || !fieldName(name) {
		return errors.New("the mailto has a field without a proper name")
	}
	if value, err = url.PathUnescape(value); err != nil {
		return errors.New("the mailto has a % without two digits behind it")
	}
	switch name {
	case "to", "cc", "bcc":
		list, err := addr.ParseList(value, maxMailto+1)
		if err != nil {
			return errors.New("the mailto has an address that is none: " + shown(value))
		}
		for _, e := range list {
			a, err := e.Address()
			if err != nil {
				return errors.New("the mailto has an address that is none: " + shown(value))
			}
			into := map[string]*[]addr.Address{"to": &m.To, "cc": &m.Cc, "bcc": &m.Bcc}[name]
			*into = append(*into, a)
		}
	case "subject":
		m.Subject = oneLine(value)
	case "body":
		m.Body = value
	case "from", "sender", "date", "message-id", "received", "auto-submitted", "return-path", "dkim-signature", "mime-version":
	default:
		if !strings.HasPrefix(name, "resent-") && !strings.HasPrefix(name, "content-") && len(m.Fields) < maxMailto {
			m.Fields = append(m.Fields, [2]string{name, oneLine(value)})
		}
	}
	return nil
}

// oneLine keeps a value from beginning another field.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7F {
			return ' '
		}
		return c
	}, s)
}

func checkNotify(c *compiler, k *call) {
	checkFcc(c, k)
	if s, ok := k.args[0].constant(); ok {
		if _, err := ParseMailto(s); err != nil {
			c.fail(k.args[0].pos, "notify %s: %v", shown(s), err)
		}
	}
	if args, ok := k.tag("importance"); ok {
		if s, ok := args[0].constant(); ok && s != "1" && s != "2" && s != "3" {
			c.fail(args[0].pos, ":importance is \"1\" (high), \"2\" or \"3\" (low), not %s", shown(s))
		}
	}
	if args, ok := k.tag("from"); ok {
		if s, ok := args[0].constant(); ok {
			if _, err := oneAddress(s); err != nil {
				c.fail(args[0].pos, "notify: :from takes one address, not %s", shown(s))
			}
		}
	}
}

func runNotify(r *run, k *call) {
	n := &Notice{Method: r.text(k.args[0]), From: r.optional(k, "from"), Importance: r.optional(k, "importance"), Message: r.optional(k, "message")}
	if _, err := ParseMailto(n.Method); err != nil {
		r.fail(k.pos, nil, "notify %s: %v", shown(n.Method), err)
		return
	}
	if n.From != "" {
		if _, err := oneAddress(n.From); err != nil {
			r.fail(k.pos, nil, "notify: :from %s is not an address", shown(n.From))
			return
		}
	}
	switch n.Importance {
	case "":
		n.Importance = "2"
	case "1", "2", "3":
	default:
		r.fail(k.pos, nil, "notify: :importance %s is none of 1, 2, 3", shown(n.Importance))
		return
	}
	if args, ok := k.tag("options"); ok {
		n.Options = r.texts(args[0])
	}
	n.Fcc = r.fcc(k)
	if r.flow == goOn {
		r.add(k, Action{Kind: Notify, Notice: n})
	}
}

func evalValidNotify(r *run, k *call) bool {
	for _, uri := range r.texts(k.args[0]) {
		if !r.spend(10*len(uri) + askCost) {
			return false
		}
		if _, err := ParseMailto(uri); err != nil {
			return false
		}
	}
	return true
}

// evalNotifyCapability: whether somebody reads a mailbox now is never known (RFC 5436
// §2.2).
func evalNotifyCapability(r *run, k *call) bool {
	t := r.begin(k)
	if _, err := ParseMailto(r.text(k.args[0])); err == nil && fold(r.text(k.args[1])) == "online" && t.try("maybe", "") {
		return true
	}
	return t.end()
}
