package imap

import (
	"bytes"
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzCommand reads any octets as the arguments of every command. Each ends with
// a value or with an error of the kinds promised, and within the budget.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		" RETURN (MIN) CHARSET UTF-8 OR (SEEN) NOT 1:*,$ TEXT {3}\r\nabc\r\n",
		" 1:* (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (A \"b\")]<0.9> PREVIEW (LAZY)) (CHANGEDSINCE 9 VANISHED)",
		" INBOX (CONDSTORE QRESYNC (1 2 3:4 (5 6)))", " (SUBSCRIBED) \"\" (% *) RETURN (STATUS (MESSAGES))",
		" a (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {3+}\r\nabc\r\n", " 1 (UNCHANGEDSINCE 3) +FLAGS (\\Seen x)",
		" (\"name\" NIL)", " {1}\r\na {2+}\r\nbc\r\n", " PLAIN =", " &ZeVnLIqe- &-", " 1 RETURN NOT \"\\\"\"",
	} {
		f.Add([]byte(s))
	}
	commands := []func(*Decoder) error{
		func(d *Decoder) error { _, err := d.Search(); return err },
		func(d *Decoder) error { _, err := d.Fetch(); return err },
		func(d *Decoder) error { _, err := d.Select(); return err },
		func(d *Decoder) error { _, err := d.ListArgs(); return err },
		func(d *Decoder) error { _, err := d.Append(); return err },
		func(d *Decoder) error { _, err := d.Store(); return err },
		func(d *Decoder) error { _, _, err := d.Copy(); return err },
		func(d *Decoder) error { _, _, err := d.Create(); return err },
		func(d *Decoder) error { _, _, err := d.Status(); return err },
		func(d *Decoder) error { _, _, err := d.Login(); return err },
		func(d *Decoder) error { _, _, err := d.Authenticate(); return err },
		func(d *Decoder) error { _, err := d.ID(); return err },
		func(d *Decoder) error { _, err := d.Enable(); return err },
		func(d *Decoder) error { _, _, err := d.Lsub(); return err },
		func(d *Decoder) error { _, _, err := d.Rename(); return err },
		func(d *Decoder) error { _, err := d.UIDSet(); return err },
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line, rest, _ := bytes.Cut(text, []byte("\r\n"))
		for _, run := range commands {
			src := &textSource{rest: rest}
			err := run(NewDecoder(line, src, BeforeLogin))
			if _, ok := errors.AsType[*Reply](err); err != nil && !ok && !errors.Is(err, ErrSource) {
				t.Fatalf("error of no promised kind: %v", err)
			}
			if max := BeforeLogin.Bytes; err == nil && len(line)+src.read > max {
				t.Fatalf("%d octets taken, the budget is %d", len(line)+src.read, max)
			}
		}
	})
}

// FuzzString: what the encoder writes the decoder reads back.
func FuzzString(f *testing.F) {
	f.Add("plain", true)
	f.Add("with \"quotes\" \\ and gr\u00fcn", true)
	f.Add("two\r\nlines\x00", false)
	f.Add("NIL", false)
	f.Add("~/mail", true) // an atom, although "~{" begins a literal8
	f.Fuzz(func(t *testing.T, s string, utf8ok bool) {
		if len(s) > 8000 {
			return
		}
		for _, wire := range [][]byte{AppendString(nil, s, utf8ok), AppendAstring(nil, s, utf8ok), AppendNString(nil, s, true, utf8ok)} {
			d := decode(string(wire) + "\r\n")
			if got := d.Astring("text"); got != s || d.End() != nil {
				t.Fatalf("%q was written %q and read %q (%v)", s, wire, got, d.Err())
			}
		}
	})
}

// FuzzUTF7: a name has one spelling, and decoding it gives the name back.
func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "&-", "a&AOQ-b", "&2D3eAA-", "&\r-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := DecodeUTF7(s); err == nil {
			if !utf8.ValidString(name) || EncodeUTF7(name) != s {
				t.Fatalf("%q is %q, which is written %q", s, name, EncodeUTF7(name))
			}
		}
		if utf8.ValidString(s) {
			if got, err := DecodeUTF7(EncodeUTF7(s)); err != nil || got != s {
				t.Fatalf("%q was written %q and read %q (%v)", s, EncodeUTF7(s), got, err)
			}
		}
	})
}

// FuzzSet: a resolved set is sorted, disjoint and holds what its text says.
func FuzzSet(f *testing.F) {
	f.Add("2,4:7,9,12:*", uint32(15))
	f.Add("*:4294967295", uint32(0))
	f.Fuzz(func(t *testing.T, s string, greatest uint32) {
		d := decode(s)
		set := d.Set("set")
		if d.End() != nil || set.Saved {
			return
		}
		rs := set.Resolve(greatest)
		for i, r := range rs {
			if r.First == 0 || r.First > r.Last || i > 0 && r.First <= rs[i-1].Last+1 {
				t.Fatalf("%s of %d: %v", s, greatest, rs)
			}
		}
		for _, r := range set.Ranges {
			if r.First != Star && r.Last != Star && (!Contains(rs, r.First) || !Contains(rs, r.Last)) {
				t.Fatalf("%s: %v lacks %v", s, rs, r)
			}
		}
		again := decode(set.String())
		if got := again.Set("set"); got.String() != set.String() || again.End() != nil {
			t.Fatalf("%s was written %s and read %s", s, set, got)
		}
	})
}

// FuzzDate: a date-time that was read and written is read as the same moment.
func FuzzDate(f *testing.F) {
	f.Add(`"17-Jul-1996 02:44:25 -0700"`)
	f.Add(`" 7-feb-1994 21:52:25 +0000"`)
	f.Fuzz(func(t *testing.T, s string) {
		d := decode(s)
		at := d.DateTime("date")
		if d.End() != nil {
			return
		}
		again := decode(string(AppendDateTime(nil, at)))
		if got := again.DateTime("date"); !got.Equal(at) || again.End() != nil {
			t.Fatalf("%q is %v, read again %v (%v)", s, at, got, again.Err())
		}
		if at.Before(time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("%q is before every date", s)
		}
	})
}

func BenchmarkFetchArgs(b *testing.B) {
	line := []byte(" 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT TO CC MESSAGE-ID)])")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewDecoder(line, nil, AfterLogin).Fetch(); err != nil {
			b.Fatal(err)
		}
	}
}
