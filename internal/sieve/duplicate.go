package sieve

// duplicates is the test of RFC 7352. What it notes is remembered by the caller once
// the script came to its end and its actions are done.
func duplicates() []spec {
	return []spec{{name: "duplicate", test: true, caps: []string{"duplicate"}, check: checkDuplicate, eval: evalDuplicate, tags: []tag{
		{name: "handle", args: []kind{str}},
		{name: "header", args: []kind{str}, group: "identity"},
		{name: "uniqueid", args: []kind{str}, group: "identity"},
		{name: "seconds", args: []kind{num}},
		{name: "last"},
	}}}
}

// Times of duplicate: RFC 7352 §3.1 proposes the default.
const (
	duplicateDefault = 7 * day
	maxDuplicate     = 90 * day
)

func checkDuplicate(c *compiler, k *call) {
	if args, ok := k.tag("header"); ok {
		if name, ok := args[0].constant(); ok && !fieldName(name) {
			c.fail(args[0].pos, "duplicate: %s is no name of a header field", shown(name))
		}
	}
}

func evalDuplicate(r *run, k *call) bool {
	id := ""
	if args, ok := k.tag("uniqueid"); ok {
		id = r.text(args[0])
	} else {
		name := "message-id"
		if args, ok := k.tag("header"); ok {
			name = fold(r.text(args[0]))
		}
		if f := r.named(k, r.headers(k)[0], name); len(f) > 0 {
			id = f[0].raw()
		}
	}
	if id == "" || !r.spend(len(id)+askCost) {
		return false
	}
	id = digest("id", r.optional(k, "handle"), id)
	seconds := int64(duplicateDefault)
	if args, ok := k.tag("seconds"); ok {
		seconds = min(args[0].num, maxDuplicate)
	}
	seen := r.env.Seen != nil && r.env.Seen(id)
	if !seen || k.has("last") {
		r.note(Note{ID: id, Seconds: seconds})
	}
	return seen
}

// note keeps an id to be remembered, each one once and with its longest time.
func (r *run) note(n Note) {
	for i := range r.result.Note {
		if old := &r.result.Note[i]; old.ID == n.ID {
			old.Seconds = max(old.Seconds, n.Seconds)
			return
		}
	}
	if len(r.result.Note) < r.limits.Actions {
		r.result.Note = append(r.result.Note, n)
	}
}
