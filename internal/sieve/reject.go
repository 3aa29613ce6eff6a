package sieve

// rejects are RFC 5429. Whether the refusal is a reply of SMTP or a message of its own
// is the caller's to decide; ereject prefers the reply.
func rejects() []spec {
	refuse := func(kind Kind) func(*run, *call) {
		return func(r *run, k *call) {
			r.implicit = false
			r.add(k, Action{Kind: kind, Text: r.text(k.args[0])})
		}
	}
	return []spec{
		{name: "reject", caps: []string{"reject"}, args: []kind{str}, run: refuse(Reject)},
		{name: "ereject", caps: []string{"ereject"}, args: []kind{str}, run: refuse(EReject)},
	}
}
