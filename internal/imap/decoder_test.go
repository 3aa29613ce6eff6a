package imap

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStrings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, err string }{
		{"atom", "atom", ""},
		{"a]b", "a]b", ""}, // ASTRING-CHAR
		{`"a \"quoted\" \\ text"`, `a "quoted" \ text`, ""},
		{`""`, "", ""},
		{"\"gr\u00fcn\"", "gr\u00fcn", ""},
		{"{5}\r\na\r\nbc\r\n", "a\r\nbc", ""},
		{"{3+}\r\nabc\r\n", "abc", ""},
		{"~{3}\r\na\x00c\r\n", "a\x00c", ""},
		{"{3}\r\na\x00c\r\n", "", "NUL"},
		{"\"\xff\"", "", "UTF-8"},
		{`"open`, "", "closing quote"},
		{`"\n"`, "", `\" or \\`},
		{"", "", "the command ends"},
		{"(", "", "expected at"},
		{"{70000}", "", "70000 octets"},
		{"{99999999999999999999}", "", "expected"},
		{"{4}\r\nab", "", "could not be read"},
	} {
		d := decode(c.in)
		got := d.Astring("argument")
		err := d.End()
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: error %v; want one with %q", c.in, err, c.err)
		}
	}
}

// A refused literal must still be seen, so that the door can skip it; one that
// was read must not.
func TestTail(t *testing.T) {
	t.Parallel()
	d := decode("{70000+}\r\n")
	d.Astring("x")
	if l, ok := d.Tail(); !ok || l.Size != 70000 || !l.NonSync {
		t.Errorf("refused literal: %v, %v", l, ok)
	}
	if r, ok := errors.AsType[*Reply](d.Err()); !ok || r.Code != "TOOBIG" {
		t.Errorf("error %v", d.Err())
	}
	d = NewDecoder([]byte("{4097+}"), &textSource{rest: make([]byte, 5000)}, BeforeLogin)
	if d.Astring("x"); d.Err() == nil {
		t.Error("a literal of 4,097 octets before login is accepted")
	}
	d = decode("wrong( {4+}\r\n")
	d.Number("x")
	if l, ok := d.Tail(); !ok || l.Size != 4 {
		t.Errorf("literal behind an error: %v, %v", l, ok)
	}
	d = decode("{4+}\r\nabcd\r\n")
	d.Astring("x")
	if l, ok := d.Tail(); ok {
		t.Errorf("literal that was read: %v", l)
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"depth":    " " + strings.Repeat("(", 100) + "SEEN" + strings.Repeat(")", 100),
		"not":      " " + strings.Repeat("NOT ", 100) + "SEEN",
		"keys":     strings.Repeat(" SEEN", 2000),
		"set":      " " + strings.Repeat("1,", 9000) + "1",
		"sum":      " TEXT {40000+}\r\n" + strings.Repeat("a", 40000) + " TEXT {40000+}\r\n" + strings.Repeat("a", 40000) + "\r\n",
		"long":     " TEXT " + strings.Repeat("a", 70000),
		"charset":  " CHARSET nothing SEEN",
		"overflow": " UID 4294967296",
	} {
		if s, err := decode(line).Search(); err == nil {
			t.Errorf("%s: accepted: %v", name, s)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	flag := func(f string) Key { return Key{Op: OpFlag, Text: f} }
	not := func(k Key) Key { return Key{Op: OpNot, Keys: []Key{k}} }
	for _, c := range []struct {
		in   string
		want Search
	}{
		// RFC 9051 §6.4.4
		{` RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"`, Search{Extended: true, Return: ReturnMin | ReturnCount, Key: Key{Keys: []Key{
			flag(`\Flagged`), {Op: OpSince, Date: time.Date(1994, 2, 1, 0, 0, 0, 0, time.UTC)}, not(Key{Op: OpHeader, Name: "From", Text: "Smith"})}}}},
		{" CHARSET UTF-8 TEXT {12}\r\n\u043c\u0430\u0442\u044c\u0432\u0430\r\n", Search{Key: Key{Op: OpText, Text: "\u043c\u0430\u0442\u044c\u0432\u0430"}}},
		{" RETURN () ALL", Search{Extended: true, Return: ReturnAll}},
		{" CHARSET ISO-8859-1 SUBJECT \"caf{1}\"", Search{Key: Key{Op: OpHeader, Name: "Subject", Text: "caf{1}"}}},
		{" CHARSET ISO-8859-1 SUBJECT {4+}\r\ncaf\xe9\r\n", Search{Key: Key{Op: OpHeader, Name: "Subject", Text: "caf\u00e9"}}},
		// RFC 7162 §3.1.5
		{` MODSEQ "/flags/\\draft" all 620162338`, Search{Key: Key{Op: OpModSeq, Number: 620162338}}},
		{" MODSEQ 620162338 LARGER 50000", Search{Key: Key{Keys: []Key{{Op: OpModSeq, Number: 620162338}, {Op: OpLarger, Number: 50000}}}}},
		{" OR (UNSEEN $) 2,4:7,*", Search{Key: Key{Op: OpOr, Keys: []Key{{Keys: []Key{not(flag(`\Seen`)), {Op: OpSeq, Set: Set{Saved: true}}}},
			{Op: OpSeq, Set: Set{Ranges: []Range{{2, 2}, {4, 7}, {Star, Star}}}}}}}},
		{" OLDER 3600 UNKEYWORD $Junk", Search{Key: Key{Keys: []Key{{Op: OpOlder, Number: 3600}, not(Key{Op: OpKeyword, Text: "$Junk"})}}}},
		{" UNDELETED", Search{Key: not(flag(`\Deleted`))}},
	} {
		got, err := decode(c.in).Search()
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.in, err, diff)
		}
	}
	for _, in := range []string{"", " ", " NOT", " OR SEEN", " (SEEN", " UNALL", " SEEN)", " RETURN (ALL", " BEFORE 31-Feb-2020", " OLDER 0", " UNUNSEEN"} {
		if s, err := decode(in).Search(); err == nil {
			t.Errorf("%q accepted: %v", in, s)
		}
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
	}{
		{" 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])", []string{"FLAGS", "BODY[HEADER.FIELDS (DATE FROM)]"}},
		{" 1 BODY.PEEK[1.2.MIME]<0.100>", []string{"BODY[1.2.MIME]<0>"}},
		{" 1 BODY[3.HEADER.FIELDS.NOT (\"From\" {2+}\r\nTo)]<5.1>\r\n", []string{"BODY[3.HEADER.FIELDS.NOT (From To)]<5>"}},
		{" 1 FAST", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE"}},
		{" 1 (PREVIEW (LAZY) BODY BODYSTRUCTURE)", []string{"PREVIEW", "BODY", "BODYSTRUCTURE"}},
		{" * (binary.peek[1]<2.3> BINARY.SIZE[2] BINARY[])", []string{"BINARY[1]<2>", "BINARY.SIZE[2]", "BINARY[]"}},
		{" $ (RFC822 RFC822.HEADER RFC822.TEXT EMAILID THREADID SAVEDATE MODSEQ UID) (CHANGEDSINCE 7 VANISHED)",
			[]string{"RFC822", "RFC822.HEADER", "RFC822.TEXT", "EMAILID", "THREADID", "SAVEDATE", "MODSEQ", "UID"}},
	} {
		f, err := decode(c.in).Fetch()
		var got []string
		for _, it := range f.Items {
			got = append(got, string(AppendItem(nil, it)))
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.in, err, diff)
		}
	}
	for _, in := range []string{" 1", " 0 FLAGS", " 1 ()", " 1 BODY[MIME]", " 1 BODY[1.]", " 1 BODY[0]", " 1 BODY[1", " 1 BODY[]<0.0>", " 1 BODY[]<1>",
		" 1 FLAGS (VANISHED)", " 1 FLAGS (CHANGEDSINCE 0)", " 1 BINARY[1.TEXT]", " 1 NOSUCH", " 1 BODY.PEEK", " 1 BODY[HEADER.FIELDS ()]",
		" 1 BODY[HEADER.FIELDS (a:b)]", " 1 (FAST)", " 1:2: FLAGS", " 1,, FLAGS", " 1 BODY[" + strings.Repeat("1.", 40) + "1]"} {
		if f, err := decode(in).Fetch(); err == nil {
			t.Errorf("%q accepted: %v", in, f)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	known := Set{Ranges: []Range{{41, 41}, {43, 211}}}
	sel, err := decode(" INBOX (QRESYNC (67890007 20050715194045000 41,43:211 (5,8 9,10)))").Select()
	want := Select{Mailbox: "INBOX", QResync: &QResync{UIDValidity: 67890007, ModSeq: 20050715194045000, Known: &known,
		SeqMatch: &[2]Set{{Ranges: []Range{{5, 5}, {8, 8}}}, {Ranges: []Range{{9, 9}, {10, 10}}}}}}
	if diff := cmp.Diff(want, sel); err != nil || diff != "" {
		t.Errorf("SELECT: %v\n%s", err, diff)
	}
	l, err := decode(` (SUBSCRIBED RECURSIVEMATCH) "" ("a/%" *) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))`).ListArgs()
	wantList := List{Extended: true, Subscribed: true, RecursiveMatch: true, Patterns: []string{"a/%", "*"}, ReturnChildren: true, ReturnStatus: StatusMessages | StatusUnseen}
	if diff := cmp.Diff(wantList, l); err != nil || diff != "" {
		t.Errorf("LIST: %v\n%s", err, diff)
	}
	s, err := decode(` 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\Deleted $Junk)`).Store()
	wantStore := Store{Set: Set{Ranges: []Range{{7, 7}, {5, 5}, {9, 9}}}, Unchanged: true, UnchangedSince: 320162338, Mode: StoreAdd, Silent: true, Flags: []string{`\Deleted`, "$Junk"}}
	if diff := cmp.Diff(wantStore, s); err != nil || diff != "" {
		t.Errorf("STORE: %v\n%s", err, diff)
	}
	a, err := decode(" saved-messages (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" UTF8 (~{310+}").Append()
	if err != nil || !a.UTF8 || a.Literal.Size != 310 || !a.Literal.NonSync || !a.Literal.Binary || a.Date.Unix() != 760686745 || a.Mailbox != "saved-messages" {
		t.Errorf("APPEND: %v, %+v", err, a)
	}
	id, err := decode(` ("name" "sodr" "version" NIL)`).ID()
	if err != nil || len(id) != 2 || id[0] != [2]string{"name", "sodr"} {
		t.Errorf("ID: %v, %v", err, id)
	}
	if mech, ir, err := decode(" plain AGE=").Authenticate(); err != nil || mech != "PLAIN" || string(ir) != "AGE=" {
		t.Errorf("AUTHENTICATE: %v, %v, %v", mech, ir, err)
	}
	if names, err := decode(" CONDSTORE x-good").Enable(); err != nil || len(names) != 2 || names[1] != "X-GOOD" {
		t.Errorf("ENABLE: %v, %v", names, err)
	}
}

func TestMailboxNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		utf8 bool
		want string
	}{
		{"inbox", false, "INBOX"},
		{"Inbox/x", false, "INBOX/x"},
		{"inboxes", false, "inboxes"},
		{`"~peter/mail/&U,BTFw-/&ZeVnLIqe-"`, false, "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e"},
		{"Entw&APw-rfe", false, "Entw\u00fcrfe"},
		{"Tom&-Jerry", false, "Tom&Jerry"},
		{"Tom&Jerry", true, "Tom&Jerry"},
		{"\"Entw\u00fcrfe\"", false, "Entw\u00fcrfe"}, // a client that did not ask
	} {
		d := decode(c.in)
		d.UTF8 = c.utf8
		if got := d.Mailbox("mailbox"); got != c.want || d.End() != nil {
			t.Errorf("%s: %q, %v; want %q", c.in, got, d.End(), c.want)
		}
	}
	// Two shifts where one does, ASCII in disguise, half a surrogate, padding bits.
	for _, in := range []string{"&ZeVnLIqe-&ZeVnLIqe-", "&AGE-", "&2AA-", "&ZeV", "&ZeV-", "&AGF-", `""`, "{2+}\r\n\x01x\r\n", "\"a\u2028b\""} {
		d := decode(in)
		if got := d.Mailbox("mailbox"); d.End() == nil {
			t.Errorf("%q accepted as %q", in, got)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in       string
		greatest uint32
		want     string
	}{
		{"2,4:7,9,12:*", 15, "2,4:7,9,12:15"}, // RFC 9051 §9
		{"*:4,5:7", 10, "4:10"},
		{"559:*", 500, "500:559"}, // "*" may be less than the other bound
		{"*", 0, ""},
		{"1:*", 0, "1"},
		{"3,2,1,1:2", 3, "1:3"},
		{"4294967295,1", 3, "1,4294967295"},
	} {
		s := decode(c.in).Set("set")
		if got := string(AppendSet(nil, s.Resolve(c.greatest))); got != c.want {
			t.Errorf("%s of %d: %s, want %s", c.in, c.greatest, got, c.want)
		}
	}
	rs := []Range{{2, 2}, {4, 7}}
	for n, want := range []bool{false, false, true, false, true, true, true, true, false} {
		if Contains(rs, uint32(n)) != want {
			t.Errorf("Contains %d", n)
		}
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	r := No("TRYCREATE", "no \u00fc\r\nsuch")
	if got := string(r.Append(nil, "A1")); got != "A1 NO [TRYCREATE] no ????such\r\n" {
		t.Errorf("%q", got)
	}
	if got := string((&Reply{Status: OK}).Append(nil, "*")); got != "* OK -\r\n" {
		t.Errorf("%q", got)
	}
}
