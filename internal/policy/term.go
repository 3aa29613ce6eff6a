package policy

import (
	"fmt"
	"time"

	"posta/internal/store"
)

// TermSetting is the directory's setting that says since when passwords may be only so
// old. It stands apart from the policy's text: a text that is applied a second time
// must not begin a new grace, and one of posta.toml cannot say when it began to hold.
const TermSetting = "policy.password-term"

// Began says since when passwords may be only so many days old.
type Began struct {
	Days  int // 0: any age
	Since time.Time
}

// ParseBegan reads a setting; of an empty or an unreadable one the zero value.
func ParseBegan(setting string) (b Began) {
	var since string
	if n, _ := fmt.Sscan(setting, &b.Days, &since); n < 2 {
		return Began{}
	}
	at, err := time.Parse(time.RFC3339, since)
	if err != nil || b.Days <= 0 {
		return Began{}
	}
	b.Since = at
	return b
}

// String is the setting.
func (b Began) String() string {
	if b.Days <= 0 {
		return ""
	}
	return fmt.Sprint(b.Days, " ", b.Since.UTC().Format(time.RFC3339))
}

// Next is what holds when a policy lets passwords be days old from now on: a grace
// begins where it lets them be less old than before, or for the first time asks.
func (b Began) Next(days int, now time.Time) Began {
	switch {
	case days <= 0:
		return Began{}
	case b.Days <= 0 || days < b.Days:
		return Began{days, now.UTC().Truncate(time.Second)}
	}
	return Began{days, b.Since}
}

// Term is how long passwords may be used, since what TermSetting says.
func (a Accounts) Term(setting string) store.PasswordTerm {
	if a.PasswordDays <= 0 {
		return store.PasswordTerm{}
	}
	return store.PasswordTerm{Age: time.Duration(a.PasswordDays) * day, Since: ParseBegan(setting).Since, Grace: a.Grace()}
}
