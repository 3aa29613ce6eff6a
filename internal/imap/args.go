package imap

import (
	"strings"
	"time"
)

// Select is what stands after SELECT and EXAMINE.
type Select struct {
	Mailbox   string
	CondStore bool
	QResync   *QResync
}

// QResync is what the client knows of the mailbox (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       *Set // known UIDs, nil when not given
	SeqMatch    *[2]Set
}

// Select reads the arguments of SELECT and EXAMINE.
func (d *Decoder) Select() (s Select, err error) {
	d.SP("mailbox")
	s.Mailbox = d.Mailbox("mailbox")
	if d.Accept(' ') {
		d.List("SELECT parameters", false, func() {
			switch w := d.Word("SELECT parameter"); w {
			case "CONDSTORE":
				s.CondStore = true
			case "QRESYNC":
				d.SP(w)
				s.QResync = d.qresync()
			default:
				d.Fail(Bad("SELECT parameter: %.32q is unknown", w))
			}
		})
	}
	return s, d.End()
}

func (d *Decoder) qresync() *QResync {
	const arg = "QRESYNC"
	q := &QResync{}
	d.Expect('(', arg)
	q.UIDValidity = d.NzNumber("UIDVALIDITY")
	d.SP(arg)
	q.ModSeq = d.Number64("MODSEQ")
	if d.Accept(' ') {
		if d.peek() != '(' {
			known := d.Set("known UIDs")
			q.Known = &known
		}
		if q.Known == nil || d.Accept(' ') {
			d.Expect('(', arg)
			m := [2]Set{d.Set("known message numbers")}
			d.SP(arg)
			m[1] = d.Set("known UIDs")
			q.SeqMatch = &m
			d.Expect(')', arg)
		}
	}
	d.Expect(')', arg)
	return q
}

// OneMailbox reads the arguments of the commands that take a mailbox name only:
// DELETE, SUBSCRIBE, UNSUBSCRIBE.
func (d *Decoder) OneMailbox() (string, error) {
	d.SP("mailbox")
	name := d.Mailbox("mailbox")
	return name, d.End()
}

// Create reads the arguments of CREATE: a name, which may end with the separator,
// and special uses (RFC 6154 §5.2).
func (d *Decoder) Create() (name string, use []string, err error) {
	d.SP("mailbox")
	name = d.Mailbox("mailbox")
	if d.Accept(' ') {
		d.List("CREATE parameters", false, func() {
			if w := d.Word("CREATE parameter"); w != "USE" {
				d.Fail(Bad("CREATE parameter: %.32q is unknown", w))
			}
			d.SP("USE")
			use = append(use, d.FlagList("USE")...)
		})
	}
	return name, use, d.End()
}

// Rename reads the arguments of RENAME.
func (d *Decoder) Rename() (from, to string, err error) {
	d.SP("mailbox")
	from = d.Mailbox("mailbox")
	d.SP("new name")
	to = d.Mailbox("new name")
	return from, to, d.End()
}

// StatusItem is a set of what STATUS can ask for (RFC 9051 §6.3.11).
type StatusItem uint16

// The status items.
const (
	StatusMessages StatusItem = 1 << iota
	StatusRecent
	StatusUIDNext
	StatusUIDValidity
	StatusUnseen
	StatusDeleted
	StatusSize
	StatusHighestModSeq
	StatusMailboxID
	StatusAppendLimit
	StatusDeletedStorage // RFC 9208 §4.1.4
)

// StatusNames are the items in the order in which they are answered.
var StatusNames = [...]string{"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ",
	"MAILBOXID", "APPENDLIMIT", "DELETED-STORAGE"}

func (d *Decoder) statusItems() (items StatusItem) {
	d.List("status items", false, func() {
		w := d.Word("status item")
		for i, name := range StatusNames {
			if w == name {
				items |= 1 << i
				return
			}
		}
		d.Fail(Bad("status item: %.32q is unknown", w))
	})
	return items
}

// Status reads the arguments of STATUS.
func (d *Decoder) Status() (name string, items StatusItem, err error) {
	d.SP("mailbox")
	name = d.Mailbox("mailbox")
	d.SP("status items")
	items = d.statusItems()
	return name, items, d.End()
}

// List is what stands after LIST, with RFC 5258, 5819 and 6154, or LSUB.
type List struct {
	Extended       bool // any option or several patterns: the answer may have extended data
	Subscribed     bool // selection options
	SpecialUse     bool
	Remote         bool
	RecursiveMatch bool
	Reference      string
	Patterns       []string

	ReturnSubscribed bool // return options
	ReturnChildren   bool
	ReturnSpecialUse bool
	ReturnStatus     StatusItem
}

// ListArgs reads the arguments of LIST.
func (d *Decoder) ListArgs() (l List, err error) {
	d.SP("reference")
	if d.peek() == '(' {
		l.Extended = true
		d.List("selection options", true, func() { d.selection(&l) })
		d.SP("reference")
	}
	l.Reference = d.Reference("reference")
	d.SP("mailbox pattern")
	if d.peek() == '(' {
		l.Extended = true
		d.List("mailbox patterns", false, func() { l.Patterns = append(l.Patterns, d.ListMailbox("mailbox pattern")) })
	} else {
		l.Patterns = []string{d.ListMailbox("mailbox pattern")}
	}
	if d.Accept(' ') {
		l.Extended = true
		if w := d.Word("RETURN"); w != "RETURN" {
			d.Fail(Bad("RETURN expected, not %.32q", w))
		}
		d.SP("RETURN")
		d.List("return options", true, func() { d.returns(&l) })
	}
	if l.RecursiveMatch && !l.Subscribed && !l.SpecialUse {
		d.Fail(Bad("RECURSIVEMATCH: SUBSCRIBED must stand beside it")) // RFC 5258 §3.1
	}
	return l, d.End()
}

func (d *Decoder) selection(l *List) {
	switch w := d.Word("selection option"); w {
	case "SUBSCRIBED":
		l.Subscribed = true
	case "REMOTE":
		l.Remote = true
	case "RECURSIVEMATCH":
		l.RecursiveMatch = true
	case "SPECIAL-USE":
		l.SpecialUse = true
	default:
		d.Fail(Bad("selection option: %.32q is unknown", w))
	}
}

func (d *Decoder) returns(l *List) {
	switch w := d.Word("return option"); w {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN":
		l.ReturnChildren = true
	case "SPECIAL-USE":
		l.ReturnSpecialUse = true
	case "STATUS":
		d.SP(w)
		l.ReturnStatus = d.statusItems()
	default:
		d.Fail(Bad("return option: %.32q is unknown", w))
	}
}

// Lsub reads the arguments of LSUB (RFC 3501 §6.3.9).
func (d *Decoder) Lsub() (reference, pattern string, err error) {
	d.SP("reference")
	reference = d.Reference("reference")
	d.SP("mailbox pattern")
	pattern = d.ListMailbox("mailbox pattern")
	return reference, pattern, d.End()
}

// Append is what stands before the octets of a message in APPEND.
type Append struct {
	Mailbox string
	Flags   []string
	Date    time.Time // zero when not given
	UTF8    bool      // UTF8 (~{n}, RFC 6855 §4): the line goes on with ")"
	Literal Literal
}

// Append reads the arguments of APPEND up to the octets of the message. The
// caller reads those and then calls AppendEnd.
func (d *Decoder) Append() (a Append, err error) {
	d.SP("mailbox")
	a.Mailbox = d.Mailbox("mailbox")
	d.SP("message")
	if d.peek() == '(' {
		a.Flags = d.FlagList("flags")
		d.SP("message")
	}
	if d.peek() == '"' {
		a.Date = d.DateTime("date")
		d.SP("message")
	}
	if d.acceptText("UTF8 (") {
		a.UTF8 = true
	}
	a.Literal = d.LiteralHead("message")
	return a, d.err
}

// AppendEnd reads what follows the octets of a message.
func (d *Decoder) AppendEnd(a Append) error {
	d.NextLine()
	if a.UTF8 {
		d.Expect(')', "UTF8")
	}
	return d.End()
}

// StoreMode says how STORE changes flags.
type StoreMode uint8

// FLAGS, +FLAGS and -FLAGS.
const (
	StoreReplace StoreMode = iota
	StoreAdd
	StoreRemove
)

// Store is what stands after STORE.
type Store struct {
	Set            Set
	Unchanged      bool // UNCHANGEDSINCE was given
	UnchangedSince uint64
	Mode           StoreMode
	Silent         bool
	Flags          []string
}

// Store reads the arguments of STORE and UID STORE.
func (d *Decoder) Store() (s Store, err error) {
	d.SP("message set")
	s.Set = d.Set("message set")
	d.SP("flags")
	if d.peek() == '(' {
		d.List("STORE modifiers", false, func() {
			if w := d.Word("STORE modifier"); w != "UNCHANGEDSINCE" {
				d.Fail(Bad("STORE modifier: %.32q is unknown", w))
			}
			d.SP("UNCHANGEDSINCE")
			s.Unchanged, s.UnchangedSince = true, d.Number64("UNCHANGEDSINCE")
		})
		d.SP("flags")
	}
	switch {
	case d.Accept('+'):
		s.Mode = StoreAdd
	case d.Accept('-'):
		s.Mode = StoreRemove
	}
	w := d.Word("FLAGS")
	w, s.Silent = strings.CutSuffix(w, ".SILENT")
	if w != "FLAGS" {
		d.Fail(Bad("FLAGS, +FLAGS or -FLAGS expected, not %.32q", w))
	}
	d.SP("flags")
	s.Flags = d.Flags("flags")
	return s, d.End()
}

// Copy reads the arguments of COPY, MOVE and their UID forms.
func (d *Decoder) Copy() (set Set, mailbox string, err error) {
	d.SP("message set")
	set = d.Set("message set")
	d.SP("mailbox")
	mailbox = d.Mailbox("mailbox")
	return set, mailbox, d.End()
}

// UIDSet reads the argument of UID EXPUNGE.
func (d *Decoder) UIDSet() (Set, error) {
	d.SP("UID set")
	set := d.Set("UID set")
	return set, d.End()
}

// Login reads the arguments of LOGIN.
func (d *Decoder) Login() (user, password string, err error) {
	d.SP("user name")
	user = d.Astring("user name")
	d.SP("password")
	password = d.Astring("password")
	return user, password, d.End()
}

// Authenticate reads the arguments of AUTHENTICATE: a mechanism and the initial
// response as written, nil when there is none (RFC 4959).
func (d *Decoder) Authenticate() (mechanism string, initial []byte, err error) {
	d.SP("mechanism")
	mechanism = d.Word("mechanism")
	if d.Accept(' ') {
		initial = append([]byte{}, d.run(astringChar)...)
		if len(initial) == 0 {
			d.fail("initial response", "base64 or =")
		}
	}
	return mechanism, initial, d.End()
}

// Enable reads the arguments of ENABLE, in upper case.
func (d *Decoder) Enable() (names []string, err error) {
	for len(names) == 0 || d.More() {
		d.SP("capability")
		if d.err != nil || len(names) >= d.limits.Items {
			break
		}
		names = append(names, d.Word("capability"))
	}
	return names, d.End()
}

// ID reads the argument of ID (RFC 2971): NIL or a list of at most 30 pairs.
func (d *Decoder) ID() (pairs [][2]string, err error) {
	d.SP("parameters")
	if d.peek() != '(' {
		if d.Word("parameters") != "NIL" {
			d.Fail(Bad("parameters: a list or NIL expected"))
		}
		return nil, d.End()
	}
	d.List("parameters", true, func() {
		key := d.String("parameter")
		d.SP("value")
		value, _ := d.NString("value")
		if len(pairs) == 30 || len(key) > 30 || len(value) > 1024 {
			d.Fail(Bad("parameters: at most 30, of 30 and 1024 octets"))
		}
		pairs = append(pairs, [2]string{key, value})
	})
	return pairs, d.End()
}
