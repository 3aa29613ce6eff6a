package policy

import (
	"embed"
	"sync"

	"posta/internal/words"
)

//go:embed texts/*.json
var texts embed.FS

// Profile is a level with the values that go with it beside the table: what `posta
// policy level` sets in one command.
func Profile(l Level) *Policy {
	p := &Policy{Changes: Changes{Level: l}}
	if l == Guia {
		p.Accounts = Accounts{PasswordDays: 30, MessagesPerDay: 500} // S79, S80, S84
	}
	return p
}

// Guide says where a value of the profile guia comes from.
type Guide struct {
	Lines   string `json:"guide"`   // "S14, S57": lines of docs/PRACTICES.md
	Reason  string `json:"reason"`  // why the guides want it
	Differs string `json:"differs"` // why strict, the default, has another value; "" if it has none
}

var guides = sync.OnceValues(func() (map[string]map[string]Guide, error) { return words.Catalogue[map[string]Guide](texts) })

// GuideOf is the guide's word on a check or on a value ("quarantine.digest"), in a
// language; where the guides are silent, it says so.
func GuideOf(key, lang string) Guide {
	all, err := guides()
	if err != nil {
		return Guide{} // the tests read them
	}
	m, ok := all[lang]
	if !ok {
		m = all["en"]
	}
	if as, ok := sameAs[key]; ok {
		key = as
	}
	if g, ok := m[key]; ok {
		return g
	}
	return m[""]
}

// sameAs are checks of which a guide's word on another one holds.
var sameAs = map[string]string{
	"spf.lookups": "spf.invalid", "spf.multiple": "spf.invalid",
	"dkim.key": "dkim.fail", "dkim.expired": "dkim.fail", "dkim.sha1": "dkim.fail",
	"dkim.length": "dkim.fail", "dkim.clock": "dkim.fail",
}
