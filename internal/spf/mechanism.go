package spf

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"posta/internal/resolver"
)

// mechanism evaluates one mechanism (§5) and writes its step. err ends the evaluation.
func (e *evaluation) mechanism(t *Term, domain string, depth int) (matched bool, err error) {
	switch t.Kind {
	case All:
		matched = true
	case IP4, IP6:
		matched = t.Prefix.Contains(e.ip)
	default:
		return e.lookingUp(t, domain, depth)
	}
	if matched {
		e.res.Steps = append(e.res.Steps, Step{Depth: depth, Domain: domain, Term: t.Text, Outcome: Match})
	}
	return matched, nil
}

// lookingUp evaluates a mechanism that costs a look-up.
func (e *evaluation) lookingUp(t *Term, domain string, depth int) (matched bool, err error) {
	e.res.Steps = append(e.res.Steps, Step{Depth: depth, Domain: domain, Term: t.Text})
	at := len(e.res.Steps) - 1 // an include grows the list, so no pointer is kept
	step := Step{Depth: depth, Domain: domain, Term: t.Text}
	if err = e.count(&step); err == nil {
		ok := false
		if step.Target, ok = e.target(t, domain); ok {
			switch t.Kind {
			case Include:
				e.res.Steps[at] = step
				matched, err = e.include(step.Target, depth)
			case A:
				matched, err = e.a(t, &step)
			case MX:
				matched, err = e.mx(t, &step)
			case PTR:
				matched, err = e.ptr(&step)
			case Exists:
				matched, err = e.exists(&step)
			}
		} else if t.Kind == Include {
			err = ErrNoTarget
		}
	}
	switch {
	case err != nil:
		step.Outcome, step.Err = Failed, err
	case matched:
		step.Outcome = Match
	}
	e.res.Steps[at] = step
	return matched, err
}

// target is the name that a term speaks of: its domain-spec expanded, or the current domain. It reports false when it cannot
// be asked for: not a valid name, or made from a local part outside ASCII (RFC 8616 §4); such a term does not match.
func (e *evaluation) target(t *Term, domain string) (string, bool) {
	if t.Spec == "" {
		return domain, true
	}
	name := string(t.Spec)
	if strings.IndexByte(name, '%') >= 0 {
		if !isASCII(e.local) && (t.Spec.Uses('l') || t.Spec.Uses('s')) {
			return name, false
		}
		// 4 KiB lets every macro be a long one; §7.3 then drops labels on the left to fit 253 octets.
		buf, ok := expand(make([]byte, 0, 128), name, func(l byte) string { return e.value(l, domain) }, 4<<10)
		if !ok {
			return name, false
		}
		name = strings.TrimSuffix(string(buf), ".")
		for len(name) > 253 {
			_, rest, cut := strings.Cut(name, ".")
			if !cut {
				return name, false
			}
			name = rest
		}
	}
	normal, err := resolver.Normalize(name)
	if err != nil {
		return name, false
	}
	return normal, true
}

// include (§5.2) matches when the other domain passes the address.
func (e *evaluation) include(target string, depth int) (bool, error) {
	name, ok := checkable(target)
	if !ok {
		return false, ErrNoTarget
	}
	d := e.evaluate(name, depth+1)
	switch d.status {
	case Pass:
		return true, nil
	case None:
		return false, ErrNoTarget
	}
	return false, d.err
}

// addresses asks for the addresses of the client's family.
func (e *evaluation) addresses(name string) (resolver.Result[netip.Addr], error) {
	ask := e.dns.LookupA
	if e.ip.Is6() {
		ask = e.dns.LookupAAAA
	}
	ans, err := ask(e.ctx, name)
	e.res.Authentic = e.res.Authentic && (err != nil || ans.Authentic)
	return ans, err
}

// covers tells whether one of the addresses, widened by the term's prefix length, has the client in it.
func (e *evaluation) covers(t *Term, addrs []netip.Addr) bool {
	bits := int(t.Bits4)
	if e.ip.Is6() {
		bits = int(t.Bits6)
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return netip.PrefixFrom(a, bits).Contains(e.ip) })
}

// a (§5.3).
func (e *evaluation) a(t *Term, step *Step) (bool, error) {
	ans, err := e.addresses(step.Target)
	if err != nil {
		return false, err
	}
	step.State, step.Addrs = ans.State, ans.Records
	return e.covers(t, ans.Records), e.void(step)
}

// mx (§5.4).
func (e *evaluation) mx(t *Term, step *Step) (bool, error) {
	ans, err := e.dns.LookupMX(e.ctx, step.Target)
	if err != nil {
		return false, err
	}
	e.res.Authentic = e.res.Authentic && ans.Authentic
	step.State = ans.State
	if err := e.void(step); err != nil {
		return false, err
	}
	if len(ans.Records) > MaxNames {
		return false, ErrTooManyMX
	}
	for _, mx := range ans.Records {
		step.Texts = append(step.Texts, mx.Host)
		if mx.Host == "." {
			continue // a null MX has no address
		}
		addrs, err := e.addresses(mx.Host)
		if bad, ok := errors.AsType[*resolver.Error](err); ok && !bad.Temporary() {
			continue
		}
		if err != nil {
			return false, err
		}
		step.Addrs = addrs.Records
		if e.covers(t, addrs.Records) {
			return true, nil
		}
	}
	return false, nil
}

// exists (§5.7) asks for IPv4 addresses whatever the client's family.
func (e *evaluation) exists(step *Step) (bool, error) {
	ans, err := e.dns.LookupA(e.ctx, step.Target)
	if err != nil {
		return false, err
	}
	e.res.Authentic = e.res.Authentic && ans.Authentic
	step.State, step.Addrs = ans.State, ans.Records
	return ans.State == resolver.Found, e.void(step)
}

// reverse is what the reverse zone says of the client.
type reverse struct {
	names    []string // at most MaxNames
	verified []int8   // for each name: 0 not asked yet, 1 it has the client's address, -1 it has not
	state    resolver.State
	err      error
}

// clientNames asks for the client's reverse names, once in an evaluation.
func (e *evaluation) clientNames() *reverse {
	if e.reverse == nil {
		ans, err := e.dns.LookupPTR(e.ctx, e.ip)
		names := ans.Records[:min(len(ans.Records), MaxNames)]
		e.reverse = &reverse{names: names, verified: make([]int8, len(names)), state: ans.State, err: err}
		e.res.Authentic = e.res.Authentic && (err != nil || ans.Authentic)
	}
	return e.reverse
}

// verify tells whether the i-th reverse name leads back to the client; a DNS error is "no" (§5.5).
func (e *evaluation) verify(i int) bool {
	r := e.reverse
	if r.verified[i] == 0 {
		r.verified[i] = -1
		if ans, err := e.addresses(r.names[i]); err == nil && slices.Contains(ans.Records, e.ip) {
			r.verified[i] = 1
		}
	}
	return r.verified[i] == 1
}

// ptr (§5.5): only names below the target are verified, as the others cannot match.
func (e *evaluation) ptr(step *Step) (bool, error) {
	asked := e.reverse == nil
	r := e.clientNames()
	step.State, step.Texts, step.Err = r.state, r.names, r.err
	if r.err != nil {
		return false, nil
	}
	if asked {
		if err := e.void(step); err != nil {
			return false, err
		}
	}
	for i, name := range r.names {
		if within(name, step.Target) && e.verify(i) {
			return true, nil
		}
	}
	return false, nil
}

// within tells whether name is domain or below it; both are normal names.
func within(name, domain string) bool {
	return strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
