package helo

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"posta/internal/resolver"
)

// Resolver is the part of [resolver.Resolver] that is asked.
type Resolver interface {
	LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
	LookupAAAA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
}

// Facts are what Check judges by. Confirmed, SPFPass and Unverified come from evaluators that ran before; a caller that has
// not run them leaves them zero and learns from DNS alone.
type Facts struct {
	Arg        string     // of HELO or EHLO
	Client     netip.Addr // of the SMTP client
	Own        Own
	Confirmed  []string // names of the client that forward-confirmed reverse DNS found
	SPFPass    bool     // the SPF evaluation of the HELO identity passed
	Unverified bool     // reverse DNS or SPF could not be asked: without a proof, consistency stays unknown
}

// Existence is whether the name has an address.
type Existence uint8

const (
	NotAsked   Existence = iota // the argument is no FQDN
	Exists                      // it has an A or AAAA record
	NoAddress                   // the name exists, without A or AAAA
	NoName                      // the name does not exist
	CannotTell                  // DNS failed
)

// String gives the existence as words.
func (e Existence) String() string {
	return [...]string{"not asked", "exists", "no address", "no such name", "could not verify"}[min(e, CannotTell)]
}

// Proof is what ties the argument to the client.
type Proof uint8

const (
	Unproven      Proof = iota // everything was asked, and nothing ties them
	Unknown                    // nothing found ties them, but something could not be asked
	ByReverse                  // it is one of the client's confirmed names
	ByAddress                  // it resolves to the client's address
	BySPF                      // its SPF record lets the client use it
	ByLiteral                  // it is a literal of the client's address
	ByMX                       // it is an exchanger of the sender's domain: see WithMX
	NotApplicable              // the argument has no form that could be tied: see Class.Shape
)

// String gives the proof as words.
func (p Proof) String() string {
	return [...]string{"unproven", "could not verify", "reverse DNS", "address", "SPF", "address literal", "MX of the sender", "not applicable"}[min(p, NotApplicable)]
}

// Tied tells whether the argument was shown to be the client's own, or at least a name that fits the sender.
func (p Proof) Tied() bool { return p >= ByReverse && p <= ByMX }

// WithMX gives the result once the exchangers of the sender's domain are known: a name among them fits the sender, as servers
// behind one address for all, or behind NAT, use it (S7). It is the weakest of proofs, for anyone can say the name; so it
// counts only where there is no other.
func (res Result) WithMX(exchangers []string) Result {
	if res.Shape == FQDN && (res.Proof == Unproven || res.Proof == Unknown) &&
		slices.ContainsFunc(exchangers, func(mx string) bool { return normal(mx) == res.Name }) {
		res.Proof = ByMX
	}
	return res
}

// WithProof gives the result once reverse DNS and the SPF of the name have answered, for a caller who asked them beside Check
// and not before it. f is as Check was given it, with Confirmed, SPFPass and Unverified filled.
func (res Result) WithProof(f Facts) Result {
	if res.Shape == FQDN {
		res.Proof = res.prove(f, f.Client.Unmap().WithZone(""))
	}
	return res
}

// Result is the outcome and its evidence.
type Result struct {
	Class
	Existence Existence
	Proof     Proof
	Addrs     []netip.Addr // that the name was seen to have; both families only when both were asked
	Alias     []string     // the name is an alias (CNAME): what it leads to, in order. RFC 5321 §2.3.5 wants a primary name
	Err       error        // the DNS failure behind CannotTell or Unknown
}

// Check classifies the argument and, for an FQDN, asks whether it exists and is the client's. It asks for the client's
// family first and for the other only when existence is still open. It blocks on the resolver.
func Check(ctx context.Context, r Resolver, f Facts) Result {
	client := f.Client.Unmap().WithZone("")
	res := Result{Class: Classify(f.Arg, client, f.Own), Proof: NotApplicable}
	switch res.Shape {
	case LiteralOwn:
		res.Proof = ByLiteral
	case LiteralOther:
		res.Proof = Unproven
	case FQDN:
		first, second := r.LookupA, r.LookupAAAA
		if client.Is6() {
			first, second = second, first
		}
		res.exists(ctx, first, second)
		res.Proof = res.prove(f, client)
	}
	return res
}

type ask = func(ctx context.Context, name string) (resolver.Result[netip.Addr], error)

// exists asks one family, then the other unless the first has an address.
func (res *Result) exists(ctx context.Context, first, second ask) {
	res.Existence = NoName
	for _, ask := range []ask{first, second} {
		ans, err := ask(ctx, res.Name)
		switch {
		case err != nil:
			res.Err = fmt.Errorf("look-up of %s: %w", res.Name, err)
		case ans.State == resolver.Found:
			res.Addrs, res.Alias, res.Existence = ans.Records, ans.Chain, Exists
			return
		case ans.State == resolver.NXDomain && res.Err == nil:
			res.Existence = NoName
			return // it holds for every type (RFC 8020)
		case ans.State == resolver.NoData:
			res.Existence = NoAddress
		}
	}
	if res.Err != nil {
		res.Existence = CannotTell
	}
}

func (res *Result) prove(f Facts, client netip.Addr) Proof {
	switch {
	case slices.Contains(f.Confirmed, res.Name):
		return ByReverse
	case slices.Contains(res.Addrs, client):
		return ByAddress
	case f.SPFPass:
		return BySPF
	case f.Unverified || res.Err != nil:
		return Unknown
	}
	return Unproven
}
