package directory

import (
	"encoding/json"
	"strings"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// ArchiveSetting is the key, with an account's login, a domain or "*" behind it, of where
// copies of its mail go.
const ArchiveSetting = "archive."

// Archive says where copies of mail go: into a mailbox of an account of ours.
type Archive struct {
	To      string `json:"to"`                // login
	Mailbox string `json:"mailbox,omitempty"` // by name; "" is the one for archives
	In      bool   `json:"in,omitempty"`      // of mail that comes to it
	Out     bool   `json:"out,omitempty"`     // of mail that it sends
}

// archivesOf reads the rules among the settings; nil if there are none.
func archivesOf(settings map[string]string) map[string]Archive {
	var out map[string]Archive
	for k, v := range settings {
		of, ok := strings.CutPrefix(k, ArchiveSetting)
		if !ok {
			continue
		}
		var a Archive
		if json.Unmarshal([]byte(v), &a) != nil {
			continue // a later version's
		}
		if out == nil {
			out = map[string]Archive{}
		}
		out[of] = a
	}
	return out
}

// Archives lists the rules by whose mail is copied; nil if there are none.
func (v *View) Archives() map[string]Archive { return v.archives }

// Copies are where copies of an account's mail go, as its own rule, that of its domain
// and that of the house say; out for mail that it sends. The same place is there once.
func (v *View) Copies(id mailbox.AccountID, out bool) []Archive {
	acc := v.accounts[id]
	if len(v.archives) == 0 || acc == nil {
		return nil
	}
	names := []string{acc.Login, "*"}
	if d := v.byDomain[acc.Domain]; d != nil {
		names = append(names, d.Name)
	}
	var all []Archive
	for _, n := range names {
		a, ok := v.archives[n]
		if !ok || out && !a.Out || !out && !a.In || v.logins[a.To] == nil {
			continue
		}
		same := false
		for _, b := range all {
			same = same || a.To == b.To && a.Mailbox == b.Mailbox
		}
		if !same {
			all = append(all, a)
		}
	}
	return all
}

// AccountOf is the account with exactly this login; nil if there is none.
func (v *View) AccountOf(login string) *store.Account { return v.logins[login] }
