package directory

import (
	"errors"
	"fmt"
	"testing"

	"posta/internal/addr"
	"posta/internal/store"
)

// testView is two domains: empresa.test with ana (owner) and luis, and
// otra.test without anybody.
func testView() *View {
	return newView(&store.DirectoryView{
		Version: 1,
		Domains: []store.Domain{{ID: 1, Name: "empresa.test"}, {ID: 2, Name: "otra.test"}},
		Accounts: []store.Account{
			{ID: 1, Domain: 1, Login: "ana@empresa.test", Role: store.Owner},
			{ID: 2, Domain: 1, Login: "luis@empresa.test"},
		},
		Addresses: []store.Address{
			{Domain: 1, Local: "ana", Account: 1},
			{Domain: 1, Local: "luis", Account: 2},
			{Domain: 1, Local: "ventas", Kind: store.ToTargets, Targets: []string{"ana@empresa.test", "luis@empresa.test", "fuera@example.net"}},
			{Domain: 1, Local: "a", Kind: store.ToTargets, Targets: []string{"b@empresa.test"}},
			{Domain: 1, Local: "b", Kind: store.ToTargets, Targets: []string{"a@empresa.test"}},
			{Domain: 1, Local: "todos", Kind: store.ToTargets, Targets: []string{"ventas@empresa.test", "ana@empresa.test", "todos@empresa.test"}},
			{Domain: 2, Local: "", Kind: store.ToTargets, Targets: []string{"luis@empresa.test"}},
		},
	})
}

func TestResolve(t *testing.T) {
	v := testView()
	for _, c := range []struct {
		name, address string
		accounts      []int64
		remotes       []string
		err           error
	}{
		{"an account", "ana@empresa.test", []int64{1}, nil, nil},
		{"case does not matter", "ANA@Empresa.Test", []int64{1}, nil, nil},
		{"detail leads to the account", "luis+listas@empresa.test", []int64{2}, nil, nil},
		{"unknown", "nadie@empresa.test", nil, nil, ErrUnknown},
		{"not ours", "x@example.net", nil, nil, ErrNotLocal},
		{"an alias with a remote member", "ventas@empresa.test", []int64{1, 2}, []string{"fuera@example.net"}, nil},
		{"members once, loops ended", "todos@empresa.test", []int64{1, 2}, []string{"fuera@example.net"}, nil},
		{"a loop that leads nowhere", "a@empresa.test", nil, nil, ErrLoop},
		{"catch-all", "cualquiera@otra.test", []int64{2}, nil, nil},
		{"roles reach the owner by themselves", "abuse@empresa.test", []int64{1}, nil, nil},
		{"roles come before a catch-all", "postmaster@otra.test", []int64{1}, nil, nil},
	} {
		a, err := addr.ParseAddress(c.address)
		if err != nil {
			t.Fatal(c.address, err)
		}
		got, err := v.Resolve(a)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.err)
		}
		var accounts []int64
		var remotes []string
		for _, g := range got {
			if g.Account != 0 {
				accounts = append(accounts, int64(g.Account))
			} else {
				remotes = append(remotes, g.Remote.String())
			}
		}
		if !equal(accounts, c.accounts) || !equal(remotes, c.remotes) {
			t.Errorf("%s: accounts %v remotes %v, want %v %v", c.name, accounts, remotes, c.accounts, c.remotes)
		}
	}
	if got, err := v.Resolve(addr.Address{Local: "Postmaster"}); err != nil || len(got) != 1 || got[0].Account != 1 {
		t.Errorf("<Postmaster>: %v %v", got, err)
	}
}

// An alias leads to all of its targets or, above the bound, to nobody.
func TestLargeAlias(t *testing.T) {
	for n, want := range map[int]error{MaxTargets: nil, MaxTargets + 1: ErrTooMany} {
		targets := make([]string, n)
		for i := range targets {
			targets[i] = fmt.Sprintf("u%d@example.net", i)
		}
		v := newView(&store.DirectoryView{
			Domains:   []store.Domain{{ID: 1, Name: "empresa.test"}},
			Addresses: []store.Address{{Domain: 1, Local: "todos", Kind: store.ToTargets, Targets: append(targets, targets...)}},
		})
		got, err := v.Resolve(addr.Address{Local: "todos", Domain: "empresa.test"})
		if !errors.Is(err, want) || want == nil && len(got) != n {
			t.Errorf("%d targets: %d, %v", n, len(got), err)
		}
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestMayUse(t *testing.T) {
	v := testView()
	for address, want := range map[string]bool{
		"luis@empresa.test": true, "ventas@empresa.test": true,
		"ana@empresa.test": false, "luis@example.net": false,
	} {
		a, _ := addr.ParseAddress(address)
		if got := v.MayUse(2, a); got != want {
			t.Errorf("luis as %s: %v", address, got)
		}
	}
	if v.ByLogin("Luis@empresa.test") == nil || v.ByLogin("nadie@empresa.test") != nil {
		t.Error("ByLogin")
	}
}
