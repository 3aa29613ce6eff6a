package resolver

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Static is a [Resolver] over a literal zone, for tests. Keys are normal names (lower-case, no trailing dot), "*.name" for a
// wildcard (RFC 4592), or an IP address for its PTR records. Each entry is a type and its data:
//
//	resolver.Static{
//		"example.org":    {"MX 10 mx.example.org", "TXT v=spf1 mx -all"},
//		"mx.example.org": {"SECURE", "A 192.0.2.25", "AAAA 2001:db8::25"},
//		"192.0.2.25":     {"PTR mx.example.org"},
//		"www.example.org": {"CNAME example.org"},
//		"slow.example":   {"FAIL timeout"},
//		"half.example":   {"A 192.0.2.9", "AAAA FAIL servfail"},
//	}
//
// TXT data is everything after "TXT ". "SECURE" makes the name's answers authentic. "FAIL kind" fails every question for
// the name, "TYPE FAIL kind" those of one type; kind is a [Kind] by its String. A name exists when a key is it or lies below
// it. The TTL is one hour, five minutes for negative answers. An entry that cannot be read is an error of kind Malformed.
type Static map[string][]string

var _ Resolver = Static(nil)

// LookupA implements [Resolver].
func (z Static) LookupA(ctx context.Context, name string) (Result[netip.Addr], error) {
	return staticLookup(ctx, z, name, TypeA, parseAddr)
}

// LookupAAAA implements [Resolver].
func (z Static) LookupAAAA(ctx context.Context, name string) (Result[netip.Addr], error) {
	return staticLookup(ctx, z, name, TypeAAAA, parseAddr)
}

// LookupMX implements [Resolver].
func (z Static) LookupMX(ctx context.Context, name string) (Result[MX], error) {
	res, err := staticLookup(ctx, z, name, TypeMX, parseMX)
	slices.SortStableFunc(res.Records, func(x, y MX) int { return cmp.Compare(x.Preference, y.Preference) })
	return res, err
}

// LookupTXT implements [Resolver].
func (z Static) LookupTXT(ctx context.Context, name string) (Result[string], error) {
	return staticLookup(ctx, z, name, TypeTXT, func(s string) (string, error) { return s, nil })
}

// LookupPTR implements [Resolver].
func (z Static) LookupPTR(ctx context.Context, ip netip.Addr) (Result[string], error) {
	if !ip.IsValid() {
		return Result[string]{}, &Error{Kind: InvalidName, Name: ip.String(), Type: TypePTR, Err: errNotIP}
	}
	name := ReverseName(ip)
	if key := ip.Unmap().WithZone("").String(); z[key] != nil {
		name = key
	}
	return staticLookup(ctx, z, name, TypePTR, Normalize)
}

// LookupNS implements [Resolver].
func (z Static) LookupNS(ctx context.Context, name string) (Result[string], error) {
	return staticLookup(ctx, z, name, TypeNS, Normalize)
}

// LookupTLSA implements [Resolver].
func (z Static) LookupTLSA(ctx context.Context, name string) (Result[TLSA], error) {
	return staticLookup(ctx, z, name, TypeTLSA, parseTLSA)
}

// Lookup implements [Resolver]. Data is the entry as written, TXT in quotes.
func (z Static) Lookup(ctx context.Context, name string, t Type) (Result[Record], error) {
	if !isData(t) {
		return Result[Record]{}, &Error{Kind: InvalidName, Name: name, Type: t, Err: errNotData}
	}
	return staticLookup(ctx, z, name, t, func(s string) (Record, error) {
		if t == TypeTXT {
			s = strconv.Quote(s)
		}
		return Record{Name: strings.TrimSuffix(strings.ToLower(name), "."), Type: t, TTL: time.Hour, Data: s}, nil
	})
}

func staticLookup[T any](ctx context.Context, z Static, name string, t Type, parse func(string) (T, error)) (Result[T], error) {
	fail := func(k Kind, err error) (Result[T], error) {
		return Result[T]{}, &Error{Kind: k, Name: name, Type: t, Err: err}
	}
	if ctx.Err() != nil {
		return Result[T]{}, contextError(ctx, name, t)
	}
	owner, err := Normalize(name)
	if err != nil {
		return fail(InvalidName, err)
	}
	res := Result[T]{TTL: 5 * time.Minute, Authentic: true}
	for {
		entries, exists := z.find(owner)
		if kind := failKind(entries, t); kind != 0 {
			return fail(kind, nil)
		}
		res.Authentic = res.Authentic && slices.Contains(entries, "SECURE")
		for data := range ofType(entries, t) {
			v, err := parse(data)
			if err != nil {
				return fail(Malformed, fmt.Errorf("static zone: %s %q: %w", owner, data, err))
			}
			res.Records = append(res.Records, v)
		}
		res.State = NoData
		switch {
		case len(res.Records) > 0:
			res.State, res.TTL = Found, time.Hour
			return res, nil
		case !exists:
			res.State = NXDomain
			return res, nil
		}
		alias, ok := first(entries, TypeCNAME)
		if !ok || t == TypeCNAME {
			return res, nil
		}
		if len(res.Chain) == MaxChain {
			return fail(BadChain, nil)
		}
		if owner, err = Normalize(alias); err != nil {
			return fail(Malformed, err)
		}
		res.Chain = append(res.Chain, owner)
	}
}

// find gives the entries of a name, its own or a wildcard's, and whether the name exists.
func (z Static) find(name string) (entries []string, exists bool) {
	if e, ok := z[name]; ok {
		return e, true
	}
	if z.above(name) {
		return nil, true
	}
	for rest := name; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return nil, false
		}
		if e, ok := z["*."+parent]; ok {
			return e, true
		}
		if _, ok := z[parent]; ok || z.above(parent) {
			return nil, false
		}
		rest = parent
	}
}

// above tells whether some key lies below name.
func (z Static) above(name string) bool {
	for key := range z {
		if strings.HasSuffix(key, name) && strings.HasSuffix(strings.TrimSuffix(key, name), ".") {
			return true
		}
	}
	return false
}

// ofType yields the data of the entries of one type.
func ofType(entries []string, t Type) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, e := range entries {
			if typ, data, _ := strings.Cut(e, " "); typ == t.String() && !yield(data) {
				return
			}
		}
	}
}

func first(entries []string, t Type) (string, bool) {
	for data := range ofType(entries, t) {
		return data, true
	}
	return "", false
}

// failKind finds "FAIL kind" or "TYPE FAIL kind" among the entries; an unknown kind counts as ServFail.
func failKind(entries []string, t Type) Kind {
	for _, e := range entries {
		word, ok := strings.CutPrefix(strings.TrimPrefix(e, t.String()+" "), "FAIL")
		if !ok || word != "" && word[0] != ' ' {
			continue
		}
		if i := slices.Index(kindNames[:], strings.TrimSpace(word)); i > 0 {
			return Kind(i)
		}
		return ServFail
	}
	return 0
}

func parseAddr(s string) (netip.Addr, error) { return netip.ParseAddr(s) }

func parseMX(s string) (MX, error) {
	pref, host, _ := strings.Cut(s, " ")
	p, err := strconv.ParseUint(pref, 10, 16)
	if err != nil {
		return MX{}, err
	}
	host, err = Normalize(host)
	return MX{Preference: uint16(p), Host: host}, err
}

func parseTLSA(s string) (TLSA, error) {
	var v TLSA
	words := strings.Fields(s)
	if len(words) != 4 {
		return v, errors.New("want: usage selector matching-type hex")
	}
	for i, p := range []*uint8{&v.Usage, &v.Selector, &v.MatchingType} {
		n, err := strconv.ParseUint(words[i], 10, 8)
		if err != nil {
			return v, err
		}
		*p = uint8(n)
	}
	var err error
	v.Data, err = hex.DecodeString(words[3])
	return v, err
}
