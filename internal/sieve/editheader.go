package sieve

import (
	"posta/internal/message"
	"posta/internal/message/edit"
)

// editors are RFC 5293. What is edited is seen by the tests that follow, and is what
// keep, fileinto and redirect take. Fields in which servers say what they found or did
// cannot be changed, nor those of MIME, by which the body is read: the attempt is passed
// over (§6).
func editors() []spec {
	caps := []string{"editheader"}
	return []spec{
		{name: "addheader", caps: caps, tags: []tag{{name: "last"}}, args: []kind{str, str}, check: checkAddHeader, run: runAddHeader},
		{
			name: "deleteheader", caps: caps, args: []kind{strs, strs}, opt: 1, match: true, check: checkDeleteHeader, run: runDeleteHeader,
			tags: []tag{{name: "index", args: []kind{num}}, {name: "last", with: "index"}},
		},
	}
}

// protected reports whether scripts may not touch a field; name is in lower case.
func protected(name string) bool {
	switch name {
	case "received", "return-path", "auto-submitted", "authentication-results", "x-sieve-redirected-from",
		"arc-seal", "arc-message-signature", "arc-authentication-results":
		return true
	}
	return name == "mime-version" || len(name) > 8 && name[:8] == "content-"
}

func checkAddHeader(c *compiler, k *call) {
	if name, ok := k.args[0].constant(); ok && !edit.ValidName(name) {
		c.fail(k.args[0].pos, "addheader: %s is no name of a header field", shown(name))
	}
}

// checkDeleteHeader puts the arguments in their places: the values may be missing, and
// are the last.
func checkDeleteHeader(c *compiler, k *call) {
	if !k.args[0].given {
		k.args[0], k.args[1] = k.args[1], value{}
		k.match = nil
	}
	if len(k.args[0].strs) != 1 {
		c.fail(k.pos, "deleteheader takes the name of one field, then a list of values")
		return
	}
	if name, ok := k.args[0].constant(); ok && !fieldName(name) {
		c.fail(k.args[0].pos, "deleteheader: %s is no name of a header field", shown(name))
	}
	checkIndex(c, k)
}

func runAddHeader(r *run, k *call) {
	name, text := r.text(k.args[0]), r.text(k.args[1])
	if !edit.ValidName(name) {
		r.fail(k.pos, nil, "addheader: %s is no name of a header field", shown(name))
		return
	}
	if protected(fold(name)) {
		r.tracef(k.pos, "addheader %s: scripts do not touch this field", shown(name))
		return
	}
	r.edit(k, func(h *edit.Header) error {
		at := 0
		if k.has("last") {
			at = h.Len()
		}
		return h.Insert(at, name, text)
	})
}

func runDeleteHeader(r *run, k *call) {
	name := fold(r.text(k.args[0]))
	if protected(name) {
		r.tracef(k.pos, "deleteheader %s: scripts do not touch this field", shown(name))
		return
	}
	r.headers(k)
	gone := map[int]bool{} // of the fields of this name, which
	fields := r.view.sets[0]
	n, of := 0, 0
	for i := range fields {
		if fields[i].name == name {
			of++
		}
	}
	want, indexed := r.optionalNumber(k, "index")
	if indexed && k.has("last") {
		want = int64(of) - want + 1
	}
	for i := range fields {
		if fields[i].name != name {
			continue
		}
		n++
		if indexed && int64(n) != want {
			continue
		}
		if k.match == nil {
			gone[n] = true
			continue
		}
		t := r.begin(k)
		if t.field(&fields[i]) || t.end() {
			gone[n] = true
		}
	}
	if len(gone) == 0 || r.flow != goOn {
		return
	}
	r.edit(k, func(h *edit.Header) error {
		h.DeleteFunc(name, func(n, _ int, _ message.Field) bool { return gone[n] })
		return nil
	})
}

// optionalNumber is the argument of a tag that takes a number.
func (r *run) optionalNumber(k *call, tag string) (int64, bool) {
	args, ok := k.tag(tag)
	if !ok {
		return 0, false
	}
	return args[0].num, true
}

// edit changes the header of the message at hand.
func (r *run) edit(k *call, change func(*edit.Header) error) {
	size := r.view.root().Body
	if !r.readable(r.view.err) || !r.spend(int(min(size, maxHeader))) {
		return
	}
	before := make([]byte, min(size, maxHeader+1))
	if n, err := r.msg.ReadAt(before, 0); n < len(before) {
		r.readable(err)
		return
	}
	h, err := edit.NewHeader(before)
	if err == nil {
		err = change(h)
	}
	if err != nil {
		r.fail(k.pos, nil, "%s: %v", k.spec.name, err)
		return
	}
	if !h.Changed() {
		return
	}
	header := message.Header(h.Bytes())
	old := r.view.root()
	r.replace(&Message{
		Header: header, Skip: r.msg.Skip + size - int64(len(r.msg.Header)), Body: r.msg.Body, Tree: edit.Rehead(old, before, header),
	})
	r.tracef(k.pos, "%s: the header is edited", k.spec.name)
}
