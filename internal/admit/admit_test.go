package admit

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/directory"
	"posta/internal/store"
)

// oneAccount is a directory source with ana, whose password is "correcta", and a
// disabled account.
type oneAccount struct {
	store.Directory
	hash string
	set  time.Time
}

func (o oneAccount) DirectoryVersion(context.Context) (int64, error) { return 1, nil }
func (o oneAccount) LoadDirectory(context.Context) (*store.DirectoryView, error) {
	return &store.DirectoryView{
		Version: 1,
		Domains: []store.Domain{{ID: 1, Name: "empresa.test"}},
		Accounts: []store.Account{
			{ID: 1, Domain: 1, Login: "ana@empresa.test", Password: o.hash, PasswordSet: o.set},
			{ID: 2, Domain: 1, Login: "baja@empresa.test", Password: o.hash, Disabled: true},
			{ID: 3, Domain: 1, Login: "sin@empresa.test"},
		},
	}, nil
}

func TestLogin(t *testing.T) {
	hash := HashPassword("correcta")
	synctest.Test(t, func(t *testing.T) {
		dir, err := directory.Open(t.Context(), oneAccount{hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		a := New(dir, Config{Failure: 2 * time.Second})
		for _, c := range []struct {
			name, login, password string
			want                  error
		}{
			{"right", "ana@empresa.test", "correcta", nil},
			{"right again, from memory", "ANA@empresa.test", "correcta", nil},
			{"wrong password", "ana@empresa.test", "otra", ErrRefused},
			{"unknown account", "nadie@empresa.test", "correcta", ErrRefused},
			{"disabled account", "baja@empresa.test", "correcta", ErrRefused},
			{"account without password", "sin@empresa.test", "", ErrRefused},
			{"empty password", "ana@empresa.test", "", ErrRefused},
		} {
			began := time.Now()
			id, err := a.Login(t.Context(), netip.Addr{}, c.login, c.password)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			took := time.Since(began)
			if c.want == nil && (id.Account != 1 || took != 0) {
				t.Errorf("%s: account %d after %v", c.name, id.Account, took)
			}
			if c.want != nil && took != 2*time.Second {
				t.Errorf("%s: answered after %v, want the same 2 s for every failure", c.name, took)
			}
		}
	})
}

// Thirty-one days with one password. When it is too old, only who has it is told so,
// and whoever has not reads and waits as ever.
func TestPasswordAge(t *testing.T) {
	hash := HashPassword("correcta")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		dir, err := directory.Open(t.Context(), oneAccount{hash: hash, set: began})
		if err != nil {
			t.Fatal(err)
		}
		maxAge := 30 * 24 * time.Hour
		a := New(dir, Config{Term: func() store.PasswordTerm { return store.PasswordTerm{Age: maxAge} }})
		login := func(day float64, who, password string, want error) {
			t.Helper()
			time.Sleep(time.Until(began.Add(time.Duration(day * 24 * float64(time.Hour)))))
			asked := time.Now()
			id, err := a.Login(t.Context(), netip.Addr{}, who, password)
			if !errors.Is(err, want) {
				t.Errorf("day %v, %s: %v, want %v", day, who, err, want)
			}
			if took := time.Since(asked); want != nil && took != time.Second {
				t.Errorf("day %v, %s: answered after %v, want the same second for every failure", day, who, took)
			}
			if known := want == nil || want == ErrExpired; known != (id.Login == "ana@empresa.test") {
				t.Errorf("day %v, %s: %v tells %q", day, who, err, id.Login)
			}
		}
		for day := range 30 {
			login(float64(day), "ana@empresa.test", "correcta", nil)
		}
		login(29.999, "ana@empresa.test", "correcta", nil)
		// From memory: it was verified two minutes ago.
		login(30, "ana@empresa.test", "correcta", ErrExpired)
		login(30.5, "ana@empresa.test", "otra", ErrRefused)
		login(30.6, "nadie@empresa.test", "correcta", ErrRefused)
		login(31, "ana@empresa.test", "correcta", ErrExpired)
		maxAge = 0 // the policy is changed
		login(31.1, "ana@empresa.test", "correcta", nil)
	})
}

// A rule that is new lets in whose password is older, until its grace is over.
func TestGrace(t *testing.T) {
	hash := HashPassword("correcta")
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		began := time.Now()
		dir, err := directory.Open(t.Context(), oneAccount{hash: hash, set: began.Add(-100 * day)})
		if err != nil {
			t.Fatal(err)
		}
		a := New(dir, Config{Term: func() store.PasswordTerm {
			return store.PasswordTerm{Age: 30 * day, Since: began, Grace: 14 * day}
		}})
		for _, after := range []time.Duration{0, 14*day - time.Second} {
			time.Sleep(time.Until(began.Add(after)))
			id, err := a.Login(t.Context(), netip.Addr{}, "ana@empresa.test", "correcta")
			if err != nil || id.Account != 1 || !id.PasswordSet.Equal(began.Add(-100*day)) {
				t.Errorf("after %v: %+v, %v", after, id, err)
			}
		}
		time.Sleep(time.Second)
		if id, err := a.Login(t.Context(), netip.Addr{}, "ana@empresa.test", "correcta"); !errors.Is(err, ErrExpired) || id.Account != 1 {
			t.Errorf("when the grace is over: %+v, %v", id, err)
		}
	})
}

// A stored hash with absurd parameters is refused before it costs anything.
func TestVerifyBounds(t *testing.T) {
	for _, phc := range []string{"", "x", "$argon2id$v=19$m=99999999,t=2,p=1$AAAA$AAAA", "$argon2i$v=19$m=64,t=2,p=1$AAAA$AAAA"} {
		if ok, err := verify(phc, "x"); ok || !errors.Is(err, ErrHash) {
			t.Errorf("%q: %v %v", phc, ok, err)
		}
	}
	if ok, err := verify(HashPassword("ñandú"), "ñandú"); !ok || err != nil {
		t.Errorf("own hash: %v %v", ok, err)
	}
}
