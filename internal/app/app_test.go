package app

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"posta/internal/admit"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/imapserver"
	"posta/internal/policy"
	"posta/internal/pop3server"
	"posta/internal/smtp"
	"posta/internal/store"
)

// Every check that the SMTP engine speaks of by itself is in the catalogue, so
// that its page exists.
func TestEngineSpeaksOfKnownChecks(t *testing.T) {
	n := 0
	for p := range smtp.NumPhrases {
		e := p.Entry()
		if e.Check == "" {
			continue
		}
		n++
		if _, ok := finding.Lookup(finding.ID(e.Check)); !ok {
			t.Errorf("%s speaks of %s, which is not in the catalogue", e.Name, e.Check)
		}
	}
	if n == 0 {
		t.Error("the engine speaks of no check at all")
	}
}

// oldPassword is a directory with ana, whose password is older than guia lets it be.
type oldPassword struct {
	store.Directory
	hash string
}

func (oldPassword) DirectoryVersion(context.Context) (int64, error) { return 1, nil }
func (o oldPassword) LoadDirectory(context.Context) (*store.DirectoryView, error) {
	return &store.DirectoryView{
		Version: 1, Domains: []store.Domain{{ID: 1, Name: "empresa.test"}},
		Accounts: []store.Account{{ID: 1, Domain: 1, Login: "ana@empresa.test", Password: o.hash, PasswordSet: time.Now().Add(-31 * 24 * time.Hour)}},
	}, nil
}

// The reading doors hear in their own words what came of a login.
func TestLoginsInTheWordsOfTheDoors(t *testing.T) {
	dir, err := directory.Open(t.Context(), oldPassword{hash: admit.HashPassword("correcta")})
	if err != nil {
		t.Fatal(err)
	}
	a := admit.New(dir, admit.Config{Failure: time.Millisecond, Term: func() store.PasswordTerm { return policy.Profile(policy.Guia).Accounts.Term("") }})
	for _, door := range []struct{ refused, later, expired error }{
		{imapserver.ErrRefused, imapserver.ErrTryLater, imapserver.ErrExpired},
		{pop3server.ErrRefused, pop3server.ErrTryLater, pop3server.ErrExpired},
	} {
		l := logins{a, door.refused, door.later, door.expired}
		for password, want := range map[string]error{"correcta": door.expired, "otra": door.refused} {
			if id, err := l.Authenticate(t.Context(), netip.Addr{}, "ana@empresa.test", password); !errors.Is(err, want) || id != 0 {
				t.Errorf("%s: %d, %v, want %v", password, id, err, want)
			}
		}
	}
}
