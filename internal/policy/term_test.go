package policy

import (
	"testing"
	"time"

	"posta/internal/store"
)

// A grace begins when passwords may be less old than before, and only then.
func TestBegan(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 12, day, 10, 0, 0, 0, time.UTC) }
	b := Began{}
	for _, step := range []struct {
		day, days int
		want      string
	}{
		{1, 0, ""},
		{2, 30, "30 2026-12-02T10:00:00Z"},
		{3, 30, "30 2026-12-02T10:00:00Z"},
		{4, 60, "60 2026-12-02T10:00:00Z"},
		{5, 45, "45 2026-12-05T10:00:00Z"},
		{6, 0, ""},
		{7, 45, "45 2026-12-07T10:00:00Z"},
	} {
		b = b.Next(step.days, at(step.day))
		if got := b.String(); got != step.want {
			t.Errorf("day %d, %d days: %q, want %q", step.day, step.days, got, step.want)
		}
		if again := ParseBegan(b.String()); again != b {
			t.Errorf("day %d: %+v is read back as %+v", step.day, b, again)
		}
	}
	for _, s := range []string{"30", "x 2026-12-02T10:00:00Z", "30 yesterday", "-1 2026-12-02T10:00:00Z"} {
		if got := ParseBegan(s); got != (Began{}) {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
}

// When a password ends: at its age, and not before the grace is over.
func TestTerm(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 12, day, 10, 0, 0, 0, time.UTC) }
	const began = "30 2026-12-02T10:00:00Z"
	for name, c := range map[string]struct {
		accounts Accounts
		began    string
		set, end time.Time
	}{
		"any age":                        {Accounts{}, "", at(-100), time.Time{}},
		"older when the rule began":      {Accounts{PasswordDays: 30}, began, at(-100), at(16)},
		"of age within the grace":        {Accounts{PasswordDays: 30}, began, at(-20), at(16)},
		"of age later":                   {Accounts{PasswordDays: 30}, began, at(1), at(31)},
		"a grace of three days":          {Accounts{PasswordDays: 30, PasswordGrace: 3 * day}, began, at(-100), at(5)},
		"no grace":                       {Accounts{PasswordDays: 30, PasswordGrace: NoGrace}, began, at(-100), at(2)},
		"a rule without a beginning":     {Accounts{PasswordDays: 30}, "", at(-100), at(-70)},
		"a beginning that is not a date": {Accounts{PasswordDays: 30}, "30 soon", at(-100), at(-70)},
	} {
		a := store.Account{Password: "x", PasswordSet: c.set}
		if got := a.PasswordEnds(c.accounts.Term(c.began)); !got.Equal(c.end) {
			t.Errorf("%s: ends %v, want %v", name, got, c.end)
		}
	}
	none := store.Account{PasswordSet: at(-100)}
	if end := none.PasswordEnds(Accounts{PasswordDays: 30}.Term(began)); !end.IsZero() {
		t.Errorf("who has no password has one that ends %v", end)
	}
}

// The grace stands in the policy's text.
func TestGraceText(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "password_grace = \"3d\"": 3 * day, "password_grace = \"none\"": NoGrace,
	} {
		p, err := Parse("[accounts]\npassword_days = 30\n" + text)
		if err != nil || p.Accounts.PasswordGrace != want {
			t.Errorf("%q: %v, %v", text, p, err)
			continue
		}
		again, err := Parse(p.String())
		if err != nil || again.Accounts != p.Accounts {
			t.Errorf("%q is written as\n%s", text, p)
		}
	}
	if _, err := Parse("[accounts]\npassword_grace = \"soon\""); err == nil {
		t.Error("a grace that is no age")
	}
}
