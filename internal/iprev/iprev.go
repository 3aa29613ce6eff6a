// Package iprev verifies the reverse DNS of a client and tells generic names from chosen ones.
//
// [Check] is the "iprev" method of RFC 8601 §2.7.3, also called forward-confirmed reverse DNS: the address has names (PTR),
// and one of them leads back to the address. [Generic] looks at a name alone: does it spell the address, or speak of
// dial-up, cable and pools, as names do that a provider gives to all its customers?
//
// Limits: the first 10 names are looked at, as SPF does (RFC 7208 §5.5). A DNS failure is "temperror", never "no name"; a
// name that could not be looked up does not count against the others.
package iprev

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"posta/internal/resolver"
)

// Resolver is the part of [resolver.Resolver] that is asked.
type Resolver interface {
	LookupPTR(ctx context.Context, ip netip.Addr) (resolver.Result[string], error)
	LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
	LookupAAAA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
}

// Status is the result of a check, by the names of RFC 8601 §2.7.3. The zero value is no result.
type Status uint8

const (
	// Pass: a name of the address leads back to it.
	Pass Status = 1 + iota
	// Fail: the address has names, and none leads back to it.
	Fail
	// TempError: DNS failed, so that neither can be said.
	TempError
	// PermError: the address has no name.
	PermError
)

var statusNames = [...]string{"none", "pass", "fail", "temperror", "permerror"}

// String gives the word for Authentication-Results.
func (s Status) String() string { return statusNames[min(int(s), len(statusNames)-1)] }

// MaxNames is how many reverse names are looked at.
const MaxNames = 10

// Result is the outcome and its evidence.
type Result struct {
	Status    Status
	IP        netip.Addr     // as checked: IPv4-mapped became IPv4
	State     resolver.State // of the reverse answer; 0 when that failed
	Names     []Name         // the first MaxNames names, in the order of the answer
	Total     int            // how many names there were
	Confirmed []string       // the names that lead back; the first is the one to show. nil when none
	Authentic bool           // all answers used were authentic
	Err       error          // why TempError
}

// Name is one reverse name and what it leads to.
type Name struct {
	Name      string
	State     resolver.State // of the forward answer; 0 when that failed
	Addrs     []netip.Addr   // of the client's family; do not modify
	Confirmed bool           // Addrs has the client's address
	Err       error          // why it could not be looked up
}

// Check asks for the names of ip and for their addresses, the latter side by side. It blocks on the resolver; a context that
// ends gives TempError. The zero Addr gives PermError.
func Check(ctx context.Context, r Resolver, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	res := Result{IP: ip, Status: PermError}
	if !ip.IsValid() {
		return res
	}
	ptr, err := r.LookupPTR(ctx, ip)
	if err != nil {
		res.Status, res.Err = TempError, fmt.Errorf("reverse look-up of %v: %w", ip, err)
		return res
	}
	res.State, res.Authentic, res.Total = ptr.State, ptr.Authentic, len(ptr.Records)
	if ptr.State != resolver.Found {
		return res
	}
	res.Names = make([]Name, min(res.Total, MaxNames))
	if len(res.Names) == 1 { // nearly always; it costs no goroutine
		res.Authentic = res.Names[0].confirm(ctx, r, ip, ptr.Records[0]) && res.Authentic
		return res.conclude()
	}
	authentic := make([]bool, len(res.Names))
	var wg sync.WaitGroup
	for i := range res.Names {
		wg.Go(func() { authentic[i] = res.Names[i].confirm(ctx, r, ip, ptr.Records[i]) })
	}
	wg.Wait()
	res.Authentic = res.Authentic && !slices.Contains(authentic, false)
	return res.conclude()
}

// confirm looks the name up and reports whether the answer was authentic.
func (n *Name) confirm(ctx context.Context, r Resolver, ip netip.Addr, name string) (authentic bool) {
	ask := r.LookupA
	if ip.Is6() {
		ask = r.LookupAAAA
	}
	ans, err := ask(ctx, name)
	*n = Name{Name: name, State: ans.State, Addrs: ans.Records, Confirmed: slices.Contains(ans.Records, ip), Err: err}
	return err == nil && ans.Authentic
}

// conclude draws the status from the names.
func (res Result) conclude() Result {
	res.Status = Fail
	for _, n := range res.Names {
		switch {
		case n.Confirmed:
			res.Confirmed = append(res.Confirmed, n.Name)
		case resolver.Temporary(n.Err): // an impossible name (permanent) is just not confirmed
			res.Status, res.Err = TempError, fmt.Errorf("look-up of %s: %w", n.Name, n.Err)
		}
	}
	if len(res.Confirmed) > 0 {
		res.Status, res.Err = Pass, nil
	}
	return res
}
