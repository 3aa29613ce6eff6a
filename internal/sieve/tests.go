package sieve

import (
	"slices"
	"strings"

	"posta/internal/addr"
)

// tests are the tests of RFC 5228 §5 that look at the message.
func tests() []spec {
	return []spec{
		{name: "header", test: true, tags: indexTags(), args: []kind{strs, strs}, match: true, check: checkHeader, eval: evalHeader},
		{name: "address", test: true, tags: slices.Concat(indexTags(), partTags()), args: []kind{strs, strs}, match: true, check: checkAddress, eval: evalAddress},
		{name: "envelope", test: true, caps: []string{"envelope"}, tags: partTags(), args: []kind{strs, strs}, match: true, check: checkEnvelope, eval: evalEnvelope},
		{name: "exists", test: true, args: []kind{strs}, check: checkNames, eval: evalExists},
		{name: "size", test: true, tags: []tag{{name: "over", group: "size"}, {name: "under", group: "size"}}, args: []kind{num}, check: checkSize, eval: evalSize},
	}
}

// partTags say which part of an address is compared (RFC 5228 §2.7.4, RFC 5233).
func partTags() []tag {
	return []tag{
		{name: "all", group: "address part"},
		{name: "localpart", group: "address part"},
		{name: "domain", group: "address part"},
		{name: "user", cap: "subaddress", group: "address part"},
		{name: "detail", cap: "subaddress", group: "address part"},
	}
}

// fieldName: printable ASCII without colon (RFC 5322 §2.2).
func fieldName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == ':' || c > '~' })
}

// checkNames looks at the names of fields in the first argument.
func checkNames(c *compiler, k *call) {
	for _, t := range k.args[0].strs {
		if t.parts == nil && !fieldName(t.s) {
			c.fail(k.args[0].pos, "%s: %s is no name of a header field", k.spec.name, shown(t.s))
		}
	}
	lowerNames(k)
}

// lowerNames brings the constant names to lower case, as view has them.
func lowerNames(k *call) {
	k.args[0].strs = slices.Clone(k.args[0].strs)
	for i, t := range k.args[0].strs {
		if t.parts == nil {
			k.args[0].strs[i].s = fold(t.s)
		}
	}
}

func checkHeader(c *compiler, k *call) {
	checkNames(c, k)
	checkIndex(c, k)
}

func evalHeader(r *run, k *call) bool {
	t := r.begin(k)
	indexed := k.has("index")
	for _, fields := range r.headers(k) {
		for _, name := range k.args[0].strs {
			want := fold(r.expand(name))
			if indexed {
				for _, f := range r.named(k, fields, want) {
					if t.field(f) {
						return true
					}
				}
				continue
			}
			if !r.spend(len(fields)) {
				return false
			}
			for i := range fields {
				if fields[i].name == want && t.field(&fields[i]) {
					return true
				}
			}
		}
	}
	return t.end()
}

// field tries a header field.
func (t *trial) field(f *field) bool {
	if t.k.match.cmp == asciiCasemap {
		return t.try(f.decoded(), f.lower())
	}
	return t.try(f.decoded(), "")
}

func evalExists(r *run, k *call) bool {
	for _, name := range k.args[0].strs {
		want := fold(r.expand(name))
		has := func(f field) bool { return f.name == want }
		if !slices.ContainsFunc(r.headers(k), func(fields []field) bool {
			return r.spend(len(fields)) && slices.ContainsFunc(fields, has)
		}) {
			return false
		}
	}
	return true
}

func checkSize(c *compiler, k *call) {
	if len(k.tags) == 0 {
		c.fail(k.pos, "size takes :over or :under")
	}
}

// evalSize: neither is true of exactly that size (§5.9).
func evalSize(r *run, k *call) bool {
	size := r.msg.Size()
	r.tracef(k.pos, "size: %d octets", size)
	if k.has("over") {
		return size > k.args[0].num
	}
	return size < k.args[0].num
}

func checkAddress(c *compiler, k *call) {
	checkHeader(c, k)
	k.prep = partOf(k)
	for _, t := range k.args[0].strs {
		if t.parts == nil && !addressField(t.s) {
			c.fail(k.args[0].pos, "address looks at fields that hold addresses; for %s use header", shown(t.s))
		}
	}
}

// addressField reports whether a field, in lower case, holds addresses: those that RFC
// 5228 §5.1 names and others of that form.
func addressField(name string) bool {
	switch strings.TrimPrefix(strings.TrimPrefix(name, "x-"), "resent-") {
	case "from", "to", "cc", "bcc", "sender", "reply-to", "return-path", "delivered-to", "envelope-to", "envelope-from",
		"original-to", "original-from", "original-recipient", "errors-to", "mail-reply-to", "mail-followup-to", "apparently-to", "forwarded-to",
		"forwarded-for", "disposition-notification-to", "return-receipt-to", "beenthere", "real-to", "rcpt-to", "abuse-reports-to", "complaints-to":
		return true
	}
	return false
}

// part is an address part.
type part uint8

const (
	partAll part = iota
	partLocal
	partDomain
	partUser
	partDetail
)

func partOf(k *call) part {
	for i, name := range []string{"localpart", "domain", "user", "detail"} {
		if k.has(name) {
			return part(i + 1)
		}
	}
	return partAll
}

// detailMark parts the user from the detail (RFC 5233 §3).
const detailMark = "+"

// of takes the part out of an address; ok is false for a detail where there is none
// (RFC 5233 §4).
func (p part) of(local, host string) (s string, ok bool) {
	switch p {
	case partLocal:
		return local, true
	case partDomain:
		return host, true
	case partUser:
		user, _, _ := strings.Cut(local, detailMark)
		return user, true
	case partDetail:
		_, detail, ok := strings.Cut(local, detailMark)
		return detail, ok
	}
	if host == "" {
		return local, true
	}
	return local + "@" + host, true
}

func evalAddress(r *run, k *call) bool {
	t := r.begin(k)
	for _, name := range k.args[0].strs {
		want := fold(r.expand(name))
		if name.parts != nil && !addressField(want) {
			r.fail(k.pos, nil, "address: %s is no field that holds addresses", shown(want))
			return false
		}
		for _, fields := range r.headers(k) {
			for _, f := range r.named(k, fields, want) {
				if !r.spend(len(f.raw())) {
					return false
				}
				if t.addresses(f) {
					return true
				}
			}
		}
	}
	return t.end()
}

// addresses tries the addresses in a field. Of a list with faults it tries those that
// could be read; what is none at all has no parts (RFC 5228 §2.7.4), but is something
// as a whole.
func (t *trial) addresses(f *field) bool {
	list, err := f.list()
	p := t.k.prep.(part)
	if err != nil && len(list) == 0 && p == partAll {
		return t.try(f.raw(), "")
	}
	for _, e := range list {
		if e.Kind == addr.EntryMailbox && (e.Host != "" || p == partAll) && t.address(p, string(e.Local), e.Host) {
			return true
		}
	}
	return false
}

// address tries a part of an address.
func (t *trial) address(p part, local, host string) bool {
	s, ok := p.of(local, host)
	return ok && t.try(s, "")
}

func checkEnvelope(c *compiler, k *call) {
	lowerNames(k)
	k.prep = partOf(k)
	for _, t := range k.args[0].strs {
		if t.parts == nil && t.s != "from" && t.s != "to" && t.s != "auth" {
			c.fail(k.args[0].pos, "envelope knows \"from\", \"to\" and \"auth\", not %s", shown(t.s))
		}
	}
}

func evalEnvelope(r *run, k *call) bool {
	t := r.begin(k)
	for _, name := range k.args[0].strs {
		var s string
		switch want := fold(r.expand(name)); want {
		case "from":
			s = r.env.From
		case "to":
			s = r.env.To
		case "auth":
			if s = r.env.Auth; s == "" {
				continue // not logged in: there is no such part
			}
		default:
			r.fail(k.pos, nil, "envelope knows \"from\", \"to\" and \"auth\", not %s", shown(want))
			return false
		}
		if s == "" && !k.has("detail") {
			if t.try("", "") { // §5.4: the null reverse-path is empty in every part
				return true
			}
			continue
		}
		local, host := s, ""
		if at := strings.LastIndexByte(s, '@'); at >= 0 {
			local, host = s[:at], s[at+1:]
		}
		if t.address(k.prep.(part), unquoted(local), host) {
			return true
		}
	}
	return t.end()
}

// unquoted is a local part without its quotes, as a header's addresses are compared.
func unquoted(local string) string {
	if l, err := addr.ParseLocalpart(local); err == nil {
		return string(l)
	}
	return local
}
