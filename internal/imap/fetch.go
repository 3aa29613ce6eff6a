package imap

import (
	"strconv"
	"strings"
)

// Attr is a data item that FETCH can ask for (RFC 9051 §6.4.5).
type Attr uint8

// The data items. Body and Binary have a Section.
const (
	AttrUID Attr = iota + 1
	AttrFlags
	AttrInternalDate
	AttrSize
	AttrEnvelope
	AttrBodyStructure
	AttrBodyPlain // BODY: the structure without extensions
	AttrBody      // BODY[…], BODY.PEEK[…]
	AttrRFC822
	AttrRFC822Header
	AttrRFC822Text
	AttrBinary     // BINARY[…], BINARY.PEEK[…]
	AttrBinarySize // BINARY.SIZE[…]
	AttrModSeq
	AttrEmailID
	AttrThreadID
	AttrSaveDate
	AttrPreview
)

var attrNames = [...]string{"", "UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY",
	"RFC822", "RFC822.HEADER", "RFC822.TEXT", "BINARY", "BINARY.SIZE", "MODSEQ", "EMAILID", "THREADID", "SAVEDATE", "PREVIEW"}

// String is the item's name in responses, without its section.
func (a Attr) String() string {
	if int(a) < len(attrNames) {
		return attrNames[a]
	}
	return ""
}

// plainAttrs are the items that are one word.
var plainAttrs = map[string]Attr{
	"UID": AttrUID, "FLAGS": AttrFlags, "INTERNALDATE": AttrInternalDate, "RFC822.SIZE": AttrSize, "ENVELOPE": AttrEnvelope,
	"BODYSTRUCTURE": AttrBodyStructure, "RFC822": AttrRFC822, "RFC822.HEADER": AttrRFC822Header, "RFC822.TEXT": AttrRFC822Text,
	"MODSEQ": AttrModSeq, "EMAILID": AttrEmailID, "THREADID": AttrThreadID, "SAVEDATE": AttrSaveDate, "PREVIEW": AttrPreview,
}

// macros are the three of RFC 9051 §6.4.5.
var macros = map[string][]Item{
	"FAST": {{Attr: AttrFlags}, {Attr: AttrInternalDate}, {Attr: AttrSize}},
	"ALL":  {{Attr: AttrFlags}, {Attr: AttrInternalDate}, {Attr: AttrSize}, {Attr: AttrEnvelope}},
	"FULL": {{Attr: AttrFlags}, {Attr: AttrInternalDate}, {Attr: AttrSize}, {Attr: AttrEnvelope}, {Attr: AttrBodyPlain}},
}

// Text says which text of a part a section means (section-text).
type Text uint8

// The kinds of section-text.
const (
	TextAll Text = iota // BODY[] or BODY[1.2]: the whole of the message or part
	TextHeader
	TextFields    // HEADER.FIELDS
	TextFieldsNot // HEADER.FIELDS.NOT
	TextBody      // TEXT
	TextMIME
)

var textNames = [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}

// Section is section with its partial range.
type Section struct {
	Part    []uint32 // part numbers from 1; nil is the message itself
	Text    Text
	Fields  []string // of TextFields and TextFieldsNot, as written
	Partial bool
	Offset  uint32 // with Partial: first octet wanted
	Length  uint32 // with Partial: at most so many octets, at least 1
}

// MaxPartDepth bounds the part numbers of one section.
const MaxPartDepth = 32

// Item is one data item asked for.
type Item struct {
	Attr    Attr
	Peek    bool // does not set \Seen
	Lazy    bool // PREVIEW (LAZY)
	Section Section
}

// Fetch is what stands after FETCH.
type Fetch struct {
	Set          Set
	Items        []Item
	ChangedSince uint64 // CHANGEDSINCE, 0 for none (RFC 7162 §3.1.4)
	Vanished     bool   // VANISHED, only with ChangedSince and UID FETCH
}

// Fetch reads the arguments of FETCH and UID FETCH.
func (d *Decoder) Fetch() (f Fetch, err error) {
	d.SP("message set")
	f.Set = d.Set("message set")
	d.SP("data items")
	if d.peek() == '(' {
		d.List("data items", false, func() { f.Items = append(f.Items, d.item()) })
	} else if m, ok := macros[d.PeekWord()]; ok {
		d.Word("data items")
		f.Items = m
	} else {
		f.Items = []Item{d.item()}
	}
	if d.Accept(' ') {
		d.List("FETCH modifiers", false, func() {
			switch w := d.Word("FETCH modifier"); w {
			case "CHANGEDSINCE":
				d.SP(w)
				if f.ChangedSince = d.Number64(w); f.ChangedSince == 0 {
					d.Fail(Bad("CHANGEDSINCE: 0 is not allowed here"))
				}
			case "VANISHED":
				f.Vanished = true
			default:
				d.Fail(Bad("FETCH modifier: %q is unknown", w))
			}
		})
	}
	if f.Vanished && f.ChangedSince == 0 {
		d.Fail(Bad("VANISHED: CHANGEDSINCE must stand beside it"))
	}
	return f, d.End()
}

// item reads fetch-att.
func (d *Decoder) item() (it Item) {
	w := strings.ToUpper(string(d.run(itemChar)))
	if a, ok := plainAttrs[w]; ok {
		it.Attr = a
		if a == AttrPreview && d.acceptText(" (LAZY)") {
			it.Lazy = true
		}
		return it
	}
	it.Peek = strings.HasSuffix(w, ".PEEK")
	switch strings.TrimSuffix(w, ".PEEK") {
	case "BODY":
		if d.peek() != '[' && !it.Peek {
			it.Attr = AttrBodyPlain
			return it
		}
		it.Attr = AttrBody
		d.section(&it.Section)
		d.partial(&it.Section)
	case "BINARY":
		it.Attr = AttrBinary
		d.binarySection(&it.Section)
		d.partial(&it.Section)
	case "BINARY.SIZE":
		it.Attr = AttrBinarySize
		d.binarySection(&it.Section)
	default:
		d.Fail(Bad("data items: %.32q is unknown", w))
	}
	return it
}

// acceptText takes a fixed text in any case if it is next.
func (d *Decoder) acceptText(s string) bool {
	if d.err != nil || len(d.line)-d.pos < len(s) || !strings.EqualFold(string(d.line[d.pos:d.pos+len(s)]), s) {
		return false
	}
	d.pos += len(s)
	return true
}

// section reads "[" [section-spec] "]".
func (d *Decoder) section(s *Section) {
	const arg = "section"
	d.Expect('[', arg)
	if d.parts(s) {
		switch w := strings.ToUpper(string(d.run(itemChar))); w {
		case "":
			if s.Part != nil {
				d.fail(arg, "a part number, HEADER, TEXT or MIME")
			}
		case "HEADER":
			s.Text = TextHeader
		case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
			s.Text = TextFields
			if w == "HEADER.FIELDS.NOT" {
				s.Text = TextFieldsNot
			}
			d.SP("header fields")
			d.List("header fields", false, func() { s.Fields = append(s.Fields, d.fieldName()) })
		case "TEXT":
			s.Text = TextBody
		case "MIME":
			s.Text = TextMIME
			if s.Part == nil {
				d.Fail(Bad("section: MIME wants a part number"))
			}
		default:
			d.Fail(Bad("section: %.32q is unknown", w))
		}
	}
	d.Expect(']', arg)
}

func (d *Decoder) fieldName() string {
	s := d.Astring("header field")
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			d.Fail(Bad("header field: %.32q is no field name", s))
		}
	}
	if s == "" {
		d.Fail(Bad("header field: empty name"))
	}
	return s
}

// parts reads section-part with the dot after it; true when section-text may
// follow.
func (d *Decoder) parts(s *Section) bool {
	for classes[d.peek()]&digit != 0 {
		if len(s.Part) == MaxPartDepth {
			d.Fail(Bad("section: more than %d levels", MaxPartDepth))
			return false
		}
		s.Part = append(s.Part, d.NzNumber("part number"))
		if !d.Accept('.') {
			return false
		}
	}
	return d.err == nil
}

func (d *Decoder) binarySection(s *Section) {
	d.Expect('[', "section")
	if d.parts(s) && s.Part != nil {
		d.fail("section", "a part number")
	}
	d.Expect(']', "section")
}

// partial reads ["<" number "." nz-number ">"].
func (d *Decoder) partial(s *Section) {
	if !d.Accept('<') {
		return
	}
	s.Partial = true
	s.Offset = d.Number("partial offset")
	d.Expect('.', "partial range")
	s.Length = d.NzNumber("partial length")
	d.Expect('>', "partial range")
}

// AppendItem writes an item as responses name it: with its section and origin
// octet, but no length and no .PEEK.
func AppendItem(b []byte, it Item) []byte {
	b = append(b, it.Attr.String()...)
	switch it.Attr {
	case AttrBody, AttrBinary, AttrBinarySize:
		b = AppendSection(b, it.Section)
		if it.Section.Partial {
			b = append(b, '<')
			b = strconv.AppendUint(b, uint64(it.Section.Offset), 10)
			b = append(b, '>')
		}
	}
	return b
}

// AppendSection writes "[" section-spec "]".
func AppendSection(b []byte, s Section) []byte {
	b = append(b, '[')
	for i, p := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(p), 10)
	}
	if s.Text != TextAll {
		if s.Part != nil {
			b = append(b, '.')
		}
		b = append(b, textNames[s.Text]...)
	}
	if s.Text == TextFields || s.Text == TextFieldsNot {
		b = append(b, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				b = append(b, ' ')
			}
			b = AppendAstring(b, f, false)
		}
		b = append(b, ')')
	}
	return append(b, ']')
}
