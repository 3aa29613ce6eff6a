package directory

import (
	"strings"

	"posta/internal/addr"
	"posta/internal/rules"
)

// Rewrites reports whether any rule changes addresses in envelopes and headers.
func (v *View) Rewrites() bool {
	return v.rules.Len(rules.Renamed)+v.rules.Len(rules.Generic)+v.rules.Len(rules.Masquerade) > 0
}

// Public is what a sender of ours becomes in mail that our own clients hand in: by a
// generic rule (the full address, without its detail, @dom, the bare user of a domain of
// ours), else by masquerading. header tells a header's address from the envelope's, which
// masquerading leaves alone unless its rule says envelope.
func (v *View) Public(a addr.Address, header bool) addr.Address {
	if a.IsZero() {
		return a
	}
	if to, ok := v.generic(a); ok {
		return to
	}
	return v.masqueraded(a, header)
}

// generic applies the generic rules. %1 is the detail with its +, as sendmail has it.
func (v *View) generic(a addr.Address) (addr.Address, bool) {
	if v.rules.Len(rules.Generic) == 0 {
		return a, false
	}
	base, detail := addr.SplitDetail(a.Local.Fold(), "+")
	bare := addr.Address{Local: base, Domain: a.Domain}.String()
	keys := []string{a.Fold().String(), bare, "@" + string(a.Domain)}
	if v.Local(a.Domain) {
		keys = append(keys, string(base))
	}
	if detail != "" {
		detail = "+" + detail
	}
	for _, key := range keys {
		value := v.rules.Get(rules.Generic, []byte(key))
		if value == "" {
			continue
		}
		if d, ok := strings.CutPrefix(value, "@"); ok {
			a.Domain = addr.Domain(d)
			return a, true
		}
		to, err := addr.ParseAddress(strings.ReplaceAll(value, "%1", detail))
		return to, err == nil
	}
	return a, false
}

// masqueraded applies the masquerade rules: the user that is exempt, the domain, the
// nearest parent that has one.
func (v *View) masqueraded(a addr.Address, header bool) addr.Address {
	if v.rules.Len(rules.Masquerade) == 0 || v.rules.Get(rules.Masquerade, []byte(string(a.Local.Fold())+"@")) == "-" {
		return a
	}
	key := string(a.Domain)
	for {
		value := v.rules.Get(rules.Masquerade, []byte(key))
		if d, envelope := strings.CutSuffix(value, " envelope"); value != "" && value != "-" && (header || envelope) {
			a.Domain = addr.Domain(d)
		}
		at := strings.IndexByte(strings.TrimPrefix(key, "."), '.')
		if value != "" || at < 0 {
			return a
		}
		key = strings.TrimPrefix(key, ".")[at:]
	}
}
