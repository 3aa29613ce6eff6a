package directory

import "posta/internal/addr"

// ReflectorSetting is the live setting of the reflector: "off", or "" for on.
const ReflectorSetting = "reflector"

// reflector is the local part that every domain of ours has of itself, unless it is
// switched off: mail to it is answered with what was found about it (S42).
const reflector = "check-auth"

// reflector reports whether a folded local part is the reflector's.
func (v *View) reflector(local addr.Localpart) bool {
	return local == reflector && v.settings[ReflectorSetting] != "off"
}

// Reflects reports whether mail to an address is answered and kept nowhere:
// check-auth@ each domain of ours, where no account or alias has that address. An
// alias that leads there leads to nobody.
func (v *View) Reflects(a addr.Address) bool {
	local := a.Local.Fold()
	if !v.reflector(local) {
		return false
	}
	a.Domain = v.nameOf(a.Domain)
	d := v.domains[string(a.Domain)]
	return d != nil && v.address[key{d.ID, string(local)}] == nil && v.ruleOf(addr.Address{Local: local, Domain: a.Domain}).Value == ""
}
