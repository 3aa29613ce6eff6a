package imap

import (
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// Op is the kind of a search key (RFC 9051 §6.4.4, RFC 5032, RFC 7162 §3.1.5,
// RFC 8474 §5.2, RFC 8514 §4.3).
type Op uint8

// The search keys. The comment says which field of Key they use.
const (
	OpAnd         Op = iota // Keys: all of them; none means every message
	OpOr                    // Keys: two
	OpNot                   // Keys: one
	OpSeq                   // Set: message numbers
	OpUID                   // Set: UIDs
	OpFlag                  // Text: a system flag such as \Seen
	OpKeyword               // Text
	OpRecent                // no message has \Recent (RFC 9051 §2.3.2)
	OpHeader                // Name, Text; Text "" asks whether the field is there
	OpBody                  // Text
	OpText                  // Text: header or body
	OpLarger                // Number: octets
	OpSmaller               // Number: octets
	OpBefore                // Date: internal date
	OpOn                    // Date
	OpSince                 // Date
	OpSentBefore            // Date: Date field
	OpSentOn                // Date
	OpSentSince             // Date
	OpSavedBefore           // Date
	OpSavedOn               // Date
	OpSavedSince            // Date
	OpOlder                 // Number: seconds
	OpYounger               // Number: seconds
	OpModSeq                // Number: at least this
	OpEmailID               // Text
	OpThreadID              // Text
)

// Key is one search key with its children. The zero Key is ALL.
type Key struct {
	Op     Op
	Keys   []Key
	Set    Set
	Name   string
	Text   string // UTF-8
	Date   time.Time
	Number uint64
}

// Uses reports whether the key or a child of it has the operation.
func (k *Key) Uses(op Op) bool {
	if k.Op == op {
		return true
	}
	for i := range k.Keys {
		if k.Keys[i].Uses(op) {
			return true
		}
	}
	return false
}

// SearchReturn is a set of result options (RFC 9051 §6.4.4, RFC 5182).
type SearchReturn uint8

// The result options.
const (
	ReturnMin SearchReturn = 1 << iota
	ReturnMax
	ReturnAll
	ReturnCount
	ReturnSave
)

var returnNames = map[string]SearchReturn{
	"MIN": ReturnMin, "MAX": ReturnMax, "ALL": ReturnAll, "COUNT": ReturnCount, "SAVE": ReturnSave,
}

// Search is what stands after SEARCH.
type Search struct {
	Extended bool         // RETURN was given: the answer is ESEARCH
	Return   SearchReturn // ReturnAll when RETURN was given empty
	Key      Key
}

// Search reads the arguments of SEARCH and UID SEARCH. An unknown charset is
// NO [BADCHARSET].
func (d *Decoder) Search() (s Search, err error) {
	d.SP("search keys")
	if d.PeekWord() == "RETURN" {
		d.Word("RETURN")
		s.Extended = true
		d.SP("RETURN")
		d.List("RETURN options", true, func() {
			w := d.Word("RETURN option")
			o, ok := returnNames[w]
			if !ok {
				d.Fail(Bad("RETURN option: %.32q is unknown", w))
			}
			s.Return |= o
		})
		if s.Return == 0 {
			s.Return = ReturnAll
		}
		d.SP("search keys")
	}
	var charset encoding.Encoding
	if d.PeekWord() == "CHARSET" {
		d.Word("CHARSET")
		d.SP("CHARSET")
		charset = d.charset()
		d.SP("search keys")
	}
	n := 0
	s.Key = d.keys(charset, &n)
	return s, d.End()
}

// charset reads a charset's name; nil means that texts are UTF-8 already.
func (d *Decoder) charset() encoding.Encoding {
	name := d.Astring("CHARSET")
	switch strings.ToUpper(name) {
	case "UTF-8", "US-ASCII":
		return nil
	}
	e, err := htmlindex.Get(name)
	if err != nil && d.err == nil {
		d.err = No("BADCHARSET (US-ASCII UTF-8)", "CHARSET: unknown; UTF-8 is best")
	}
	return e
}

// keys reads search-key *(SP search-key) up to ")" or the end.
func (d *Decoder) keys(e encoding.Encoding, n *int) (and Key) {
	for {
		k := d.key(e, n)
		if d.err != nil {
			return Key{}
		}
		and.Keys = append(and.Keys, k)
		if d.peek() != ' ' || d.pos+1 == len(d.line) {
			break
		}
		d.pos++
	}
	if len(and.Keys) == 1 {
		return and.Keys[0]
	}
	return and
}

// dateOps, textOps, numberOps and headerOps are the keys of one argument.
var (
	dateOps = map[string]Op{"BEFORE": OpBefore, "ON": OpOn, "SINCE": OpSince, "SENTBEFORE": OpSentBefore, "SENTON": OpSentOn,
		"SENTSINCE": OpSentSince, "SAVEDBEFORE": OpSavedBefore, "SAVEDON": OpSavedOn, "SAVEDSINCE": OpSavedSince}
	textOps   = map[string]Op{"BODY": OpBody, "TEXT": OpText}
	numberOps = map[string]Op{"LARGER": OpLarger, "SMALLER": OpSmaller, "OLDER": OpOlder, "YOUNGER": OpYounger}
	headerOps = map[string]string{"BCC": "Bcc", "CC": "Cc", "FROM": "From", "SUBJECT": "Subject", "TO": "To"}
	flagOps   = map[string]string{"ANSWERED": `\Answered`, "DELETED": `\Deleted`, "DRAFT": `\Draft`, "FLAGGED": `\Flagged`, "SEEN": `\Seen`}
)

// key reads search-key.
func (d *Decoder) key(e encoding.Encoding, n *int) (k Key) {
	const arg = "search key"
	if *n++; *n > d.limits.Items {
		d.Fail(Bad("search keys: more than %d", d.limits.Items))
		return k
	}
	if c := d.peek(); c == '*' || c == '$' || classes[c]&digit != 0 {
		return Key{Op: OpSeq, Set: d.Set("message set")}
	}
	if !d.enter("search keys") {
		return k
	}
	defer d.leave()
	if d.Accept('(') {
		k = d.keys(e, n)
		d.Expect(')', arg)
		return k
	}
	w := d.Word(arg)
	if f, ok := flagOps[strings.TrimPrefix(w, "UN")]; ok {
		return negate(Key{Op: OpFlag, Text: f}, strings.HasPrefix(w, "UN"))
	}
	if op, ok := dateOps[w]; ok {
		d.SP(w)
		return Key{Op: op, Date: d.Date(w)}
	}
	if op, ok := textOps[w]; ok {
		return Key{Op: op, Text: d.searchText(e, w)}
	}
	if op, ok := numberOps[w]; ok {
		d.SP(w)
		k = Key{Op: op, Number: d.Number64(w)}
		if (op == OpOlder || op == OpYounger) && k.Number == 0 {
			d.Fail(Bad("%s: 0 is not allowed here", w))
		}
		return k
	}
	if h, ok := headerOps[w]; ok {
		return Key{Op: OpHeader, Name: h, Text: d.searchText(e, w)}
	}
	return d.otherKey(w, e, n)
}

func negate(k Key, not bool) Key {
	if not {
		return Key{Op: OpNot, Keys: []Key{k}}
	}
	return k
}

// otherKey reads the keys that share their form with no other.
func (d *Decoder) otherKey(w string, e encoding.Encoding, n *int) (k Key) {
	switch w {
	case "ALL", "SAVEDATESUPPORTED", "OLD":
		return Key{}
	case "RECENT":
		return Key{Op: OpRecent}
	case "NEW": // RECENT UNSEEN
		return Key{Op: OpRecent}
	case "NOT":
		d.SP(w)
		return Key{Op: OpNot, Keys: []Key{d.key(e, n)}}
	case "OR":
		d.SP(w)
		a := d.key(e, n)
		d.SP(w)
		return Key{Op: OpOr, Keys: []Key{a, d.key(e, n)}}
	case "KEYWORD", "UNKEYWORD":
		d.SP(w)
		return negate(Key{Op: OpKeyword, Text: d.Flag(w)}, w == "UNKEYWORD")
	case "HEADER":
		d.SP(w)
		name := d.Astring("HEADER field name")
		return Key{Op: OpHeader, Name: name, Text: d.searchText(e, w)}
	case "UID":
		d.SP(w)
		return Key{Op: OpUID, Set: d.Set("UID set")}
	case "EMAILID", "THREADID":
		d.SP(w)
		k = Key{Op: OpEmailID, Text: d.Astring(w)}
		if w == "THREADID" {
			k.Op = OpThreadID
		}
		return k
	case "MODSEQ":
		return d.modSeqKey()
	}
	d.Fail(Bad("search key: %.32q is unknown", w))
	return k
}

// modSeqKey reads [SP entry-name SP entry-type-req] SP number. Posta keeps one
// MODSEQ for all metadata of a message, so the entry does not narrow it
// (RFC 7162 §3.1.5 allows that).
func (d *Decoder) modSeqKey() Key {
	d.SP("MODSEQ")
	if d.peek() == '"' {
		d.String("MODSEQ entry")
		d.SP("MODSEQ entry type")
		if t := d.Word("MODSEQ entry type"); t != "ALL" && t != "PRIV" && t != "SHARED" {
			d.Fail(Bad("MODSEQ entry type: all, priv or shared expected"))
		}
		d.SP("MODSEQ")
	}
	return Key{Op: OpModSeq, Number: d.Number64("MODSEQ")}
}

// searchText reads SP astring and gives it in UTF-8.
func (d *Decoder) searchText(e encoding.Encoding, arg string) string {
	d.SP(arg)
	s := d.Astring(arg)
	if e == nil || d.err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	t, err := e.NewDecoder().String(s)
	if err != nil {
		d.Fail(Bad("%s: text is not in the CHARSET that was named", arg))
	}
	return t
}
