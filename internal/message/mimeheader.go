package message

// readHeader interprets the header at hand for the part of the frame.
func (p *Parser) readHeader(f *frame) {
	part := f.part
	isMessage := len(p.stack) == 1 || p.stack[len(p.stack)-2].part.Message == part
	part.Encoding = "7bit"
	n := 0
	var seen mimeField
	for field := range p.header().Fields() {
		if n++; n > p.budget.Fields {
			p.defects |= OverBudget
			break
		}
		if isMessage {
			if i := envelopeField(field); i >= 0 {
				kept, cut := p.env.add(i, field, p.text)
				p.text -= kept
				if cut {
					p.defects |= OverBudget
				}
				continue
			}
		}
		kind := mimeFieldOf(field)
		if kind == 0 {
			continue
		}
		if seen&kind != 0 {
			p.defects |= DuplicateMIME // the first one counts
			continue
		}
		seen |= kind
		p.readMIME(part, kind, field)
	}
	p.defaultType(f, seen)
	if isMessage {
		part.Envelope = p.env.envelope()
		p.env.reset()
	}
}

type mimeField uint8

const (
	fieldType mimeField = 1 << iota
	fieldEncoding
	fieldDisposition
	fieldID
	fieldDescription
	fieldLanguage
	fieldLocation
	fieldMD5
)

// mimeFieldOf returns 0 for a field that is not one of MIME's.
func mimeFieldOf(f Field) mimeField {
	if f.name < 10 || lower(f.raw[0]) != 'c' {
		return 0
	}
	switch f.name {
	case 10:
		if f.Is("content-id") {
			return fieldID
		}
	case 11:
		if f.Is("content-md5") {
			return fieldMD5
		}
	case 12:
		if f.Is("content-type") {
			return fieldType
		}
	case 16:
		if f.Is("content-language") {
			return fieldLanguage
		} else if f.Is("content-location") {
			return fieldLocation
		}
	case 19:
		if f.Is("content-disposition") {
			return fieldDisposition
		} else if f.Is("content-description") {
			return fieldDescription
		}
	case 25:
		if f.Is("content-transfer-encoding") {
			return fieldEncoding
		}
	}
	return 0
}

func (p *Parser) readMIME(part *Part, kind mimeField, f Field) {
	s := mimeScanner{b: f.RawValue(), room: p.budget.Params, text: p.text}
	switch kind {
	case fieldType:
		var ok bool
		part.Type, part.Subtype, part.Params, ok = s.contentType()
		if !ok {
			// RFC 2045 §5.2: what cannot be read is text/plain.
			part.Type, part.Subtype, part.Params = "", "", nil
			p.defects |= BadContentType
		}
	case fieldEncoding:
		s.skipCFWS()
		if enc := s.keepLower(s.token()); enc != "" {
			part.Encoding = enc
		}
	case fieldDisposition:
		part.Disposition, part.DispositionParams = s.disposition()
	case fieldLanguage:
		for s.i < len(s.b) && len(part.Languages) < 16 {
			s.skipCFWS()
			if tag := s.keep(s.token()); tag != "" {
				part.Languages = append(part.Languages, tag)
			}
			s.skipTo(',')
			s.i++
		}
	case fieldID:
		part.ID = s.keepValue()
	case fieldDescription:
		part.Description = s.keepValue()
	case fieldLocation:
		part.Location = s.keepValue()
	case fieldMD5:
		part.MD5 = s.keepValue()
	}
	p.text = s.text
	if s.over {
		p.defects |= OverBudget
	}
}

// keepValue keeps the whole value, unfolded.
func (s *mimeScanner) keepValue() string { return s.keep(appendUnfolded(nil, trimSpace(s.b))) }

// defaultType fills in the type of a part without one (RFC 2046 §5.1.5 for digests).
func (p *Parser) defaultType(f *frame, seen mimeField) {
	part := f.part
	switch {
	case part.Type != "":
	case f.digest && seen&fieldType == 0:
		part.Type, part.Subtype = "message", "rfc822"
	default:
		part.Type, part.Subtype = "text", "plain"
	}
}
