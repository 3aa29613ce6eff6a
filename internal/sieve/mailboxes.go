package sieve

// mailboxTests are the tests of RFC 5490 (mailbox, mboxmetadata, servermetadata), RFC
// 8579 (special-use) and RFC 9042 (mailboxid). Their tags of fileinto stand with it.
func mailboxTests() []spec {
	return []spec{
		{name: "mailboxexists", test: true, caps: []string{"mailbox"}, args: []kind{strs}, eval: evalMailboxExists},
		{name: "mailboxidexists", test: true, caps: []string{"mailboxid"}, args: []kind{strs}, eval: evalMailboxIDExists},
		{name: "specialuse_exists", test: true, caps: []string{"special-use"}, args: []kind{str, strs}, opt: 1, eval: evalSpecialUseExists},
		{name: "metadata", test: true, caps: []string{"mboxmetadata"}, match: true, args: []kind{str, str, strs}, eval: evalMetadata},
		{name: "metadataexists", test: true, caps: []string{"mboxmetadata"}, args: []kind{str, strs}, eval: evalMetadataExists},
		{name: "servermetadata", test: true, caps: []string{"servermetadata"}, match: true, args: []kind{str, strs}, eval: evalMetadata},
		{name: "servermetadataexists", test: true, caps: []string{"servermetadata"}, args: []kind{strs}, eval: evalMetadataExists},
	}
}

// each reports whether all strings of a value fulfil a condition; none does when
// nothing is known of mailboxes.
func (r *run) each(v value, ok func(m Mailboxes, s string) bool) bool {
	if r.env.Mailboxes == nil {
		return false
	}
	for _, s := range r.texts(v) {
		if !r.spend(askCost) || !ok(r.env.Mailboxes, s) {
			return false
		}
	}
	return true
}

func evalMailboxExists(r *run, k *call) bool { return r.each(k.args[0], Mailboxes.Exists) }

func evalMailboxIDExists(r *run, k *call) bool {
	return r.each(k.args[0], func(m Mailboxes, id string) bool { _, ok := m.ByID(id); return ok })
}

// evalSpecialUseExists: with a mailbox, it must be the one of each use (RFC 8579 §3).
func evalSpecialUseExists(r *run, k *call) bool {
	return r.each(k.args[1], func(m Mailboxes, use string) bool {
		name, ok := m.SpecialUse(use)
		return ok && (!k.args[0].given || name == r.text(k.args[0]))
	})
}

// evalMetadata compares one entry: of a mailbox, or of the server.
func evalMetadata(r *run, k *call) bool {
	t := r.begin(k)
	if r.env.Mailboxes != nil && r.spend(askCost) {
		mailbox := ""
		if k.spec.name == "metadata" {
			mailbox = r.text(k.args[0])
		}
		v, ok := r.env.Mailboxes.Metadata(mailbox, r.text(k.args[len(k.args)-2]))
		if ok && t.try(v, "") {
			return true
		}
	}
	return t.end()
}

func evalMetadataExists(r *run, k *call) bool {
	mailbox := ""
	if len(k.args) == 2 {
		mailbox = r.text(k.args[0])
	}
	return r.each(k.args[len(k.args)-1], func(m Mailboxes, entry string) bool {
		_, ok := m.Metadata(mailbox, entry)
		return ok
	})
}
