package message

// Budget bounds what parsing one message may cost in memory. A zero field
// means its default. The bytes scanned are not bounded here: time is linear in
// the size of the message.
type Budget struct {
	Parts       int // parts in the tree, 1,000; the rest of the message is one opaque part
	Depth       int // nesting of multiparts and messages, 32; deeper ones are opaque leaves
	HeaderBytes int // octets of one header that are looked at, 256 KiB
	Fields      int // fields of one header that are looked at, 1,000
	Params      int // parameters of one field, 64
	Text        int // octets of values kept in the whole tree, 512 KiB; others are left out
}

func (b Budget) withDefaults() Budget {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&b.Parts, 1000)
	set(&b.Depth, 32)
	set(&b.HeaderBytes, 256<<10)
	set(&b.Fields, 1000)
	set(&b.Params, 64)
	set(&b.Text, 512<<10)
	return b
}
