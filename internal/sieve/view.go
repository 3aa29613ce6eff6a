package sieve

import (
	"io"
	"strings"

	"posta/internal/message"
	"posta/internal/message/charset"
)

// maxHeader is how many octets of a header a script sees, as in message.Budget.
const maxHeader = 256 << 10

// view is what was read of the message at hand: each thing once, and only when a test
// asks for it.
type view struct {
	msg    *Message
	tree   *message.Part
	header message.Header
	fields []field
	ready  bool
	text   []decoded // parts as "body" reads them
	body   bool
}

// field is one header field.
type field struct {
	message.Field
	name   string // in lower case
	value  string // unfolded, as written
	text   string // value with encoded words decoded
	folded string // text in lower case
	state  uint8  // what of these is there
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
	if err != nil && err != io.EOF {
		n = 0
	}
	v.setHeader(b[:n])
}

func (v *view) setHeader(h message.Header) {
	v.header = h
	v.fields = make([]field, 0, 32)
	for f := range h.Fields() {
		v.fields = append(v.fields, field{Field: f, name: fold(f.Name())})
	}
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

// lower is the decoded value in lower case.
func (f *field) lower() string {
	if f.state < fieldFolded {
		f.folded, f.state = fold(f.decoded()), fieldFolded
	}
	return f.folded
}

// named returns the fields with a name (in lower case), from the top; with the tag
// :index only the one it tells (RFC 5260 §6).
func (r *run) named(k *call, name string) []*field {
	r.view.load()
	return r.index(k, namedIn(r.view.fields, name))
}

func namedIn(fields []field, name string) []*field {
	var out []*field
	for i := range fields {
		if fields[i].name == name {
			out = append(out, &fields[i])
		}
	}
	return out
}

// index narrows fields to the one that :index and :last tell.
func (r *run) index(k *call, fields []*field) []*field {
	args, ok := k.tag("index")
	if !ok {
		return fields
	}
	i := args[0].num - 1
	if k.has("last") {
		i = int64(len(fields)) - args[0].num
	}
	if i < 0 || i >= int64(len(fields)) {
		return nil
	}
	return fields[i : i+1]
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
