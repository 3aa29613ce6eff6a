package directory

import (
	"errors"
	"testing"

	"posta/internal/addr"
	"posta/internal/store"
)

// check-auth@ is there in every domain of ours, before a catch-all, and nobody
// reads it; what an administrator made comes before it.
func TestReflects(t *testing.T) {
	raw := &store.DirectoryView{
		Domains:  []store.Domain{{ID: 1, Name: "empresa.test"}, {ID: 2, Name: "otra.test"}, {ID: 3, Name: "propia.test"}},
		Accounts: []store.Account{{ID: 1, Domain: 1, Login: "ana@empresa.test", Role: store.Owner}},
		Addresses: []store.Address{
			{Domain: 1, Local: "ana", Account: 1},
			{Domain: 1, Local: "prueba", Kind: store.ToTargets, Targets: []string{"check-auth@empresa.test"}},
			{Domain: 2, Local: "", Account: 1},
			{Domain: 3, Local: "check-auth", Account: 1},
		},
		Settings: map[string]string{},
	}
	for _, c := range []struct {
		setting, address string
		reflects         bool
		err              error // of Resolve
	}{
		{"", "check-auth@empresa.test", true, ErrLoop},
		{"", "CHECK-Auth@empresa.test", true, ErrLoop},
		{"", "check-auth@otra.test", true, ErrLoop},
		{"", "prueba@empresa.test", false, ErrLoop},
		{"", "check-auth@propia.test", false, nil},
		{"", "check-auth@example.net", false, ErrNotLocal},
		{"", "check-auth+x@empresa.test", false, ErrUnknown},
		{"off", "check-auth@empresa.test", false, ErrUnknown},
		{"off", "check-auth@otra.test", false, nil}, // the catch-all
	} {
		raw.Settings[ReflectorSetting] = c.setting
		v := newView(raw)
		a, err := addr.ParseAddress(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Reflects(a); got != c.reflects {
			t.Errorf("%s, %q: reflects: %v", c.address, c.setting, got)
		}
		if _, err := v.Resolve(a); !errors.Is(err, c.err) {
			t.Errorf("%s, %q: %v, want %v", c.address, c.setting, err, c.err)
		}
	}
}
