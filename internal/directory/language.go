package directory

import "posta/internal/addr"

// LanguageSetting is the key, with an account's login or a domain behind it, of the
// language in which we write to it.
const LanguageSetting = "language."

// Language is the language in which we write to an address: that of the account that it
// leads to, or of its domain; "" is the node's. Where it leads to several accounts, it
// is the domain's.
func (v *View) Language(a addr.Address) string {
	if targets, err := v.Resolve(a); err == nil && len(targets) == 1 {
		if acc := v.Account(targets[0].Account); acc != nil {
			if lang := v.Setting(LanguageSetting + acc.Login); lang != "" {
				return lang
			}
			if own, err := addr.ParseAddress(acc.Login); err == nil {
				a = own
			}
		}
	}
	return v.Setting(LanguageSetting + string(a.Domain))
}
