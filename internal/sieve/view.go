package sieve

import (
	"strings"

	"posta/internal/addr"
	"posta/internal/message"
	"posta/internal/message/charset"
)

// What a script sees of a header: octets and fields, as in message.Budget.
const (
	maxHeader = 256 << 10
	maxFields = 1000
)

// view is what was read of the message at hand: each thing once, and only when a test
// asks for it.
type view struct {
	msg   *Message
	tree  *message.Part
	sets  [1][]field // what headers returns
	ready bool
	text  []decoded // parts as "body" reads them
	body  bool
	err   error // of reading the message
}

// field is one header field.
type field struct {
	message.Field
	name   string // in lower case
	value  string // unfolded, as written
	text   string // value with encoded words decoded
	folded string // text in lower case
	state  uint8  // what of these is there

	addresses []addr.Entry // of raw, with the error of reading them
	err       error
	listed    bool
}

// States of a field: each has what the one before has.
const (
	fieldRead uint8 = 1 + iota
	fieldDecoded
	fieldFolded
)

// root returns the tree of the message.
func (v *view) root() *message.Part {
	if v.tree == nil {
		if v.tree = v.msg.Tree; v.tree == nil {
			t, err := message.Parse(v.msg, v.msg.Size(), message.Budget{})
			if err != nil {
				v.err = err
				t = message.ParseBytes(v.msg.Header, message.Budget{})
			}
			v.tree = t
		}
	}
	return v.tree
}

// load reads the header of the message.
func (v *view) load() {
	if v.ready {
		return
	}
	v.ready = true
	b := make([]byte, min(v.root().Body, maxHeader))
	n, err := v.msg.ReadAt(b, 0)
	if n < len(b) {
		v.err = err
	}
	v.sets[0] = fieldsOf(b[:n])
}

// fieldsOf lists the fields of a header, which they alias.
func fieldsOf(h message.Header) []field {
	out := make([]field, 0, 32)
	for f := range h.Fields() {
		if len(out) == maxFields {
			break
		}
		out = append(out, field{Field: f, name: fold(f.Name())})
	}
	return out
}

// headers returns the headers that a test looks at, as lists of fields: that of the
// message. What :mime has it look at in its place (RFC 5703 §4) is for this function.
func (r *run) headers(*call) [][]field {
	r.view.load()
	r.readable(r.view.err)
	return r.view.sets[:]
}

// readable ends the run if the message cannot be read: what would be judged then is
// not the message, and it is not to be discarded for it.
func (r *run) readable(err error) bool {
	if err != nil {
		r.fail(r.at, ErrTryLater, "the message cannot be read: %v", err)
	}
	return err == nil
}

// raw is the value unfolded and trimmed, as written.
func (f *field) raw() string {
	if f.state < fieldRead {
		f.value, f.state = f.Value(), fieldRead
	}
	return f.value
}

// decoded is the value with encoded words decoded (RFC 5228 §2.7.2).
func (f *field) decoded() string {
	if f.state < fieldDecoded {
		f.text, f.state = strings.TrimSpace(charset.DecodeHeader(f.raw())), fieldDecoded
	}
	return f.text
}

// list is the addresses in the field, read once.
func (f *field) list() ([]addr.Entry, error) {
	if !f.listed {
		f.addresses, f.err = addr.ParseList(f.raw(), 0)
		f.listed = true
	}
	return f.addresses, f.err
}

// lower is the decoded value in lower case.
func (f *field) lower() string {
	if f.state < fieldFolded {
		f.folded, f.state = fold(f.decoded()), fieldFolded
	}
	return f.folded
}

// named returns the fields with a name (in lower case) in one header, from the top;
// with the tag :index only the one it tells (RFC 5260 §6).
func (r *run) named(k *call, fields []field, name string) []*field {
	var out []*field
	for i := range fields {
		if fields[i].name == name {
			out = append(out, &fields[i])
		}
	}
	r.spend(len(fields))
	args, ok := k.tag("index")
	if !ok {
		return out
	}
	i := args[0].num - 1
	if k.has("last") {
		i = int64(len(out)) - args[0].num
	}
	if i < 0 || i >= int64(len(out)) {
		return nil
	}
	return out[i : i+1]
}

// indexTags are those of RFC 5260 §6.
func indexTags() []tag {
	return []tag{
		{name: "index", cap: "index", args: []kind{num}},
		{name: "last", cap: "index", with: "index"},
	}
}

// checkIndex: fields are counted from one.
func checkIndex(c *compiler, k *call) {
	if args, ok := k.tag("index"); ok && args[0].num < 1 {
		c.fail(args[0].pos, ":index counts from 1")
	}
}
