package sieve

// environments is the test of RFC 5183. The items are the caller's; one that it does
// not know matches nothing, as one whose value is not known (§4).
func environments() []spec {
	return []spec{{name: "environment", test: true, caps: []string{"environment"}, match: true, args: []kind{str, strs}, eval: evalEnvironment}}
}

func evalEnvironment(r *run, k *call) bool {
	t := r.begin(k)
	name := fold(r.text(k.args[0]))
	v, ok := r.env.Items[name]
	switch name {
	case "imap.user", "imap.email", "imap.cause", "imap.mailbox", "imap.changedflags":
		ok = true // RFC 6785 §4: empty when the script runs at delivery
	}
	if ok && t.try(v, "") {
		return true
	}
	return t.end()
}
