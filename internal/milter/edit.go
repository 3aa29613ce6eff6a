package milter

import (
	"fmt"
	"strconv"
	"strings"
)

// Budget of the edits of one message.
const (
	MaxEdits     = 1000
	MaxEditBytes = 1 << 20 // of names, values and addresses together

	maxName = 256 // of a header field, as internal/message reads them
)

// EditKind says what an Edit changes.
type EditKind uint8

// The kinds of Edit. A replaced body is told by one Edit of kind ReplaceBody; its
// octets went to the writer that the caller gave.
const (
	AddHeader    EditKind = iota + 1 // Name, Value: below the other fields
	InsertHeader                     // Name, Value: so that it stands at place Index, 0 is the top
	ChangeHeader                     // Name, Value: the field of that name number Index, from 1
	DeleteHeader                     // Name: the field of that name number Index, from 1; 0 is all of them
	ReplaceBody
	AddRcpt    // Path, Params
	DelRcpt    // Path
	ChangeFrom // Path, Params
	Quarantine // Reason
)

// Edit is one change that a milter wants. Edits are carried out in their order:
// an Index counts what the edits before have left.
type Edit struct {
	Kind  EditKind
	Index int
	Name  string
	// Value is all that stands after the colon, leading white space included, in
	// lines parted by CRLF of which each but the first begins with white space;
	// no line ending at the end.
	Value  string
	Path   string // as the milter wrote it, usually in angle brackets
	Params string // ESMTP parameters
	Reason string
}

// String is the edit in words, for a trace.
func (e Edit) String() string {
	switch e.Kind {
	case AddHeader:
		return "add " + e.field()
	case InsertHeader:
		return "insert at " + strconv.Itoa(e.Index) + " " + e.field()
	case ChangeHeader:
		return "change " + strconv.Itoa(e.Index) + " to " + e.field()
	case DeleteHeader:
		return "delete " + strconv.Itoa(e.Index) + " " + e.Name
	case ReplaceBody:
		return "replace the body"
	case AddRcpt:
		return "add recipient " + e.Path
	case DelRcpt:
		return "delete recipient " + e.Path
	case ChangeFrom:
		return "change reverse-path to " + e.Path
	case Quarantine:
		return "quarantine: " + e.Reason
	}
	return "nothing"
}

func (e Edit) field() string {
	return e.Name + ":" + strings.ReplaceAll(e.Value, "\r\n", "")
}

// editActions says which right each request of a milter takes.
var editActions = map[byte]Actions{
	replyAddHeader: MayAddHeaders, replyInsertHeader: MayAddHeaders, replyChangeHeader: MayChangeHeaders,
	replyReplaceBody: MayChangeBody, replyAddRcpt: MayAddRcpt, replyAddRcptPar: MayAddRcptPar,
	replyDelRcpt: MayDelRcpt, replyChangeFrom: MayChangeFrom, replyQuarantine: MayQuarantine,
}

// parseEdit reads a request for a change, save that of the body. leading says
// that values carry the white space after the colon.
func parseEdit(code byte, data []byte, leading bool) (Edit, error) {
	f := fields{data: data}
	var e Edit
	switch code {
	case replyAddHeader:
		e = Edit{Kind: AddHeader, Name: f.string(), Value: f.string()}
	case replyInsertHeader:
		e = Edit{Kind: InsertHeader, Index: index(f.uint32()), Name: f.string(), Value: f.string()}
	case replyChangeHeader:
		// sendmail takes 0 for 1.
		e = Edit{Kind: ChangeHeader, Index: max(1, index(f.uint32())), Name: f.string(), Value: f.string()}
		if e.Value == "" {
			e.Kind = DeleteHeader
		}
	case replyAddRcpt:
		e = Edit{Kind: AddRcpt, Path: f.string()}
	case replyAddRcptPar:
		e = Edit{Kind: AddRcpt, Path: f.string(), Params: f.optional()}
	case replyDelRcpt:
		e = Edit{Kind: DelRcpt, Path: f.string()}
	case replyChangeFrom:
		e = Edit{Kind: ChangeFrom, Path: f.string(), Params: f.optional()}
	case replyQuarantine:
		e = Edit{Kind: Quarantine, Reason: printable(f.string())}
	}
	if !f.done() {
		return Edit{}, protocolError("request %q with parts missing or too many", code)
	}
	if e.Name != "" || e.Kind <= DeleteHeader {
		return checkField(e, leading)
	}
	return e, checkPath(e)
}

// index makes a place in a list of what may be any number.
func index(n uint32) int { return int(min(n, 1<<30)) }

// checkField refuses what is no field name and puts the value in form.
func checkField(e Edit, leading bool) (Edit, error) {
	if !IsFieldName(e.Name) {
		return Edit{}, protocolError("the field name %.80q", e.Name)
	}
	if e.Kind != DeleteHeader {
		e.Value = FormatValue(e.Value)
		if !leading {
			e.Value = " " + e.Value
		}
	}
	return e, nil
}

// IsFieldName reports whether s can name a header field: RFC 5322 §2.2, printable
// ASCII without colon, of at most 256 octets.
func IsFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// checkPath refuses line ends in what may come into an SMTP command.
func checkPath(e Edit) error {
	for _, s := range []string{e.Path, e.Params} {
		for i := 0; i < len(s); i++ {
			if s[i] < ' ' || s[i] == 0x7f {
				return protocolError("a control character in the path %.80q", s)
			}
		}
	}
	return nil
}

// FormatValue makes a field's value of what a milter gave: any line ending (LF,
// CR, CRLF) becomes CRLF and a line that follows one begins with white space, so
// that no value can end its field; lines of white space alone, which would look
// like the end of the header, are left out; NULs become spaces.
func FormatValue(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	var b strings.Builder
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' })
	// A value that begins on the second line keeps its empty first line.
	if s[0] == '\r' || s[0] == '\n' {
		lines = append([]string{""}, lines...)
	}
	for i, l := range lines {
		if i == 0 {
			b.WriteString(l)
			continue
		}
		if strings.Trim(l, " \t") == "" {
			continue
		}
		b.WriteString("\r\n")
		if l[0] != ' ' && l[0] != '\t' {
			b.WriteByte('\t')
		}
		b.WriteString(l)
	}
	return b.String()
}

// size is what an edit costs of the budget.
func (e Edit) size() int {
	return len(e.Name) + len(e.Value) + len(e.Path) + len(e.Params) + len(e.Reason)
}

// editList gathers edits within the budget.
type editList struct {
	edits []Edit
	bytes int
}

func (l *editList) add(e Edit) error {
	l.bytes += e.size()
	if len(l.edits) >= MaxEdits || l.bytes > MaxEditBytes {
		return fmt.Errorf("%w: more than %d edits or %d octets", ErrTooLarge, MaxEdits, MaxEditBytes)
	}
	l.edits = append(l.edits, e)
	return nil
}
