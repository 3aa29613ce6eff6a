package message

import (
	"slices"
	"strings"
)

// Part is one node of a message's MIME tree. All offsets count octets from the
// start of the bytes that were parsed:
//
//	Start ≤ Body ≤ End    [Start,Body) header with its empty line, [Body,End) body
//
// The body does not include the line ending before a boundary delimiter.
// Children lie inside their parent's body, in order, without overlap.
type Part struct {
	Start, Body, End int64
	// Lines counts the line endings in the body (RFC 9051 §7.5.2).
	Lines int64

	// Type and Subtype are in lower case and never empty. An opaque part has
	// application/octet-stream whatever its header says.
	Type, Subtype string
	// Params are the parameters of Content-Type, as written; see Params.Get.
	Params Params
	// Disposition is in lower case, empty when the field is missing.
	Disposition       string
	DispositionParams Params
	// Encoding is the transfer encoding in lower case, "7bit" when missing.
	Encoding string

	// ID, Description, Location and MD5 are unfolded values as written.
	ID, Description, Location, MD5 string
	Languages                      []string

	// Children are the parts of a multipart; never empty for one, as a
	// multipart without parts is opaque.
	Children []*Part
	// Message is the message inside a message/rfc822 or message/global part.
	// Its Start is this part's Body and its End this part's End.
	Message *Part
	// Envelope is set in the root and in every Message.
	Envelope *Envelope

	// Opaque tells that the part was not looked into: over budget, or no
	// usable boundary, or an encoding that its type does not allow.
	Opaque bool
	// Defects is what parsing noticed; set in the root, for the whole message.
	Defects Defects
}

// Size returns the octets of the body as they stand, encoded.
func (p *Part) Size() int64 { return p.End - p.Body }

// Is reports whether the part has the type, in lower case, e.g. "text/plain".
func (p *Part) Is(mediaType string) bool {
	t, s, _ := strings.Cut(mediaType, "/")
	return p.Type == t && p.Subtype == s
}

// Multipart reports whether the part has children.
func (p *Part) Multipart() bool { return len(p.Children) > 0 }

// Filename returns the name the sender gave to the part, decoded, from
// Content-Disposition or else from Content-Type. It may hold any characters,
// slashes too.
func (p *Part) Filename() string {
	if name := p.DispositionParams.Get("filename"); name != "" {
		return name
	}
	return p.Params.Get("name")
}

// Charset returns the charset parameter as written; "us-ascii" for a text part
// without one.
func (p *Part) Charset() string {
	if c := p.Params.Get("charset"); c != "" {
		return c
	}
	if p.Type == "text" {
		return "us-ascii"
	}
	return ""
}

// Attachment reports whether a mail reader lists the part as attachment.
func (p *Part) Attachment() bool {
	switch {
	case p.Multipart():
		return false
	case p.Disposition == "attachment":
		return true
	case p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html"):
		return p.Filename() != "" && p.Disposition != "inline"
	default:
		return p.Disposition != "inline" || p.ID == ""
	}
}

// Walk calls visit for the part and everything inside it, in order, until
// visit returns false; it reports whether it came to the end. A Message is
// visited after the part that holds it.
func (p *Part) Walk(visit func(*Part) bool) bool {
	if !visit(p) {
		return false
	}
	if p.Message != nil {
		return p.Message.Walk(visit)
	}
	for _, c := range p.Children {
		if !c.Walk(visit) {
			return false
		}
	}
	return true
}

// Shift moves every offset by n, except the root's Start: the tree of a
// message to which a prefix of n octets of header fields was added.
func (p *Part) Shift(n int64) {
	root := p
	p.Walk(func(p *Part) bool {
		p.Start += n
		p.Body += n
		p.End += n
		return true
	})
	root.Start -= n
}

// Range is the octets [Start,End).
type Range struct{ Start, End int64 }

// Len returns the number of octets.
func (r Range) Len() int64 { return r.End - r.Start }

// Section tells which piece of a part is meant (RFC 9051 §6.4.5).
type Section uint8

const (
	SectionAll    Section = iota // BODY[], BODY[1.2]: whole message, or a part's body
	SectionHeader                // HEADER: of the message, or of the message in the part
	SectionText                  // TEXT: its body
	SectionMIME                  // MIME: the part's own header; needs a path
)

// Lookup finds a part by IMAP's numbers, counted from 1: nil is p itself. In a
// message that is not multipart, 1 is its only part. Numbers after a
// message/rfc822 part count inside its message.
func (p *Part) Lookup(path []int) (*Part, bool) {
	for i, n := range path {
		if i > 0 && p.Message != nil {
			p = p.Message
			if len(p.Children) == 0 {
				if n != 1 {
					return nil, false
				}
				continue
			}
		}
		switch {
		case n >= 1 && n <= len(p.Children):
			p = p.Children[n-1]
		case n == 1 && len(p.Children) == 0 && i == 0:
			// the single part of a plain message
		default:
			return nil, false
		}
	}
	return p, true
}

// Section returns the range of BODY[path.section]; false if the message has no
// such section (a server then answers NIL or an empty string).
func (p *Part) Section(path []int, s Section) (Range, bool) {
	part, ok := p.Lookup(path)
	if !ok {
		return Range{}, false
	}
	switch s {
	case SectionAll:
		if len(path) == 0 {
			return Range{part.Start, part.End}, true
		}
		return Range{part.Body, part.End}, true
	case SectionMIME:
		return Range{part.Start, part.Body}, len(path) > 0
	}
	if len(path) > 0 {
		if part = part.Message; part == nil {
			return Range{}, false
		}
	}
	if s == SectionHeader {
		return Range{part.Start, part.Body}, true
	}
	return Range{part.Body, part.End}, true
}

// Equal reports whether two trees are the same in everything that the binary
// form keeps.
func (p *Part) Equal(q *Part) bool {
	if p == nil || q == nil {
		return p == q
	}
	same := p.Start == q.Start && p.Body == q.Body && p.End == q.End && p.Lines == q.Lines &&
		p.Type == q.Type && p.Subtype == q.Subtype && slices.Equal(p.Params, q.Params) &&
		p.Disposition == q.Disposition && slices.Equal(p.DispositionParams, q.DispositionParams) &&
		p.Encoding == q.Encoding && p.ID == q.ID && p.Description == q.Description &&
		p.Location == q.Location && p.MD5 == q.MD5 && slices.Equal(p.Languages, q.Languages) &&
		p.Opaque == q.Opaque && p.Defects == q.Defects
	return same && p.Message.Equal(q.Message) && slices.EqualFunc(p.Children, q.Children, (*Part).Equal)
}
