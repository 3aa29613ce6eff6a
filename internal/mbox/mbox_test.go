package mbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// told is what a mailbox holds, in lines that a person reads.
func told(t *testing.T, mailbox []byte, max int64) string {
	t.Helper()
	var b strings.Builder
	r := NewReader(bytes.NewReader(mailbox), max)
	for {
		m, err := r.Next()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			fmt.Fprintln(&b, err)
			if errors.Is(err, ErrTooLong) {
				continue
			}
			return b.String()
		}
		fmt.Fprintf(&b, "== line %d, %s, %s", m.Line, m.Sender, m.Date.Format("2006-01-02 15:04:05"))
		for _, f := range []struct {
			on   bool
			name string
		}{{m.Seen, "seen"}, {m.Answered, "answered"}, {m.Flagged, "flagged"}, {m.Draft, "draft"}, {m.Deleted, "deleted"}, {m.Expunged, "expunged"}, {m.Folder, "folder"}} {
			if f.on {
				b.WriteString(", " + f.name)
			}
		}
		for _, k := range m.Keywords {
			b.WriteString(", " + k)
		}
		fmt.Fprintf(&b, "\n%s", m.Data)
		if !bytes.HasSuffix(m.Data, []byte("\n")) {
			b.WriteString("(no line end)\n")
		}
	}
}

// Mailboxes as programs write them: testdata has one beside what is read of it.
func TestRead(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("%v, %d files", err, len(a.Files))
			}
			if got := told(t, a.Files[0].Data, 1<<20); got != string(a.Files[1].Data) {
				t.Errorf("got\n%s\nwant\n%s", got, a.Files[1].Data)
			}
			crlf := bytes.ReplaceAll(a.Files[0].Data, []byte("\n"), []byte("\r\n"))
			if filepath.Base(f) == "mboxcl2.txtar" {
				return // its lengths are those of LF
			}
			if got := strings.ReplaceAll(told(t, crlf, 1<<20), "\r\n", "\n"); got != string(a.Files[1].Data) {
				t.Errorf("with CRLF got\n%s\nwant\n%s", got, a.Files[1].Data)
			}
		})
	}
}

func TestTooLongIsPassedOver(t *testing.T) {
	box := "From a Mon Mar  3 10:00:00 2025\n\n" + strings.Repeat("x", 5000) + "\n\nFrom b Mon Mar  3 10:00:00 2025\nSubject: b\n\nb\n"
	want := "mbox: the message is too long: from line 1 on, more than 1000 octets\n== line 5, b, 2025-03-03 10:00:00\nSubject: b\n\nb\n"
	if got := told(t, []byte(box), 1000); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLongCountedBody(t *testing.T) {
	body := strings.Repeat(strings.Repeat("x", 70)+"\n\nFrom a Mon Mar  3 10:00:00 2025\n", 3000)
	box := fmt.Sprintf("From a Mon Mar  3 10:00:00 2025\nContent-Length: %d\n\n%s\nFrom b Mon Mar  3 10:00:00 2025\nSubject: b\n\nb\n", len(body), body)
	r := NewReader(strings.NewReader(box), 1<<20)
	first, err := r.Next()
	if err != nil || string(first.Data) != "\n"+body {
		t.Fatalf("the first: %v, %d octets of %d", err, len(first.Data), len(body))
	}
	if r.Offset() != int64(strings.LastIndex(box, "From b")) {
		t.Errorf("%d octets for the first", r.Offset())
	}
	second, err := r.Next()
	if err != nil || string(second.Data) != "Subject: b\n\nb\n" || second.Line != int64(strings.Count(box[:strings.Index(box, "From b")], "\n"))+1 {
		t.Fatalf("the second: %v, %+v", err, second)
	}
}

func TestNoMbox(t *testing.T) {
	if got := told(t, []byte("Subject: a letter\n\nFrom here on\n"), 1000); got != ErrNotMbox.Error()+"\n" {
		t.Error(got)
	}
}

// What is written is read again as it was, whatever stands in it.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("Subject: x\n\nFrom a Mon Mar  3 10:00:00 2025\n>From b\n\nFrom c Mon Mar  3 10:00:00 2025\n"), true)
	f.Add([]byte("Content-Length: 3\nStatus: RO\n\nabcdef"), false)
	f.Add([]byte("\n"), false)
	f.Fuzz(func(t *testing.T, data []byte, flag bool) {
		if len(data) > 1<<16 || bytes.IndexByte(data, '\r') >= 0 {
			t.Skip()
		}
		m := &Message{Sender: "ana@example.org", Date: time.Date(2025, 3, 3, 10, 0, 0, 0, time.UTC), Seen: flag, Flagged: !flag}
		m.Data = new(Message).takeState(data)
		if len(m.Data) > 0 && m.Data[len(m.Data)-1] != '\n' {
			m.Data = append(m.Data, '\n')
		}
		if bytes.Contains(m.Data, []byte("DON'T DELETE THIS MESSAGE")) {
			t.Skip()
		}
		var b bytes.Buffer
		w := NewWriter(&b)
		if err := errors.Join(w.Write(m), w.Write(m), w.Flush()); err != nil {
			t.Fatal(err)
		}
		r := NewReader(&b, 1<<20)
		for range 2 {
			got, err := r.Next()
			if err != nil {
				t.Fatalf("%v in %q", err, b.String())
			}
			if !bytes.Equal(got.Data, m.Data) || got.Seen != m.Seen || got.Flagged != m.Flagged || !got.Date.Equal(m.Date) || got.Sender != m.Sender {
				t.Fatalf("%q became %q", m.Data, got.Data)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("%v behind the last", err)
		}
	})
}

// Any octets are read within bounds, and each line of them is told once at most.
func FuzzRead(f *testing.F) {
	f.Add([]byte("From a Mon Mar  3 10:00:00 2025\nContent-Length: 4\n\nabc\n\nFrom b Mon Mar  3 10:00:00 2025\n\n"))
	f.Add([]byte("From a\n\nFrom b\n\n>From c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data), 4096)
		total, last := 0, int64(0)
		for {
			m, err := r.Next()
			if errors.Is(err, ErrTooLong) {
				continue
			}
			if err != nil {
				break
			}
			if m.Line < last || len(m.Data) > 4096 {
				t.Fatalf("line %d after %d, %d octets", m.Line, last, len(m.Data))
			}
			total, last = total+len(m.Data), m.Line
			if r.Offset() > int64(len(data)) {
				t.Fatalf("%d octets taken of %d", r.Offset(), len(data))
			}
		}
		if total > len(data) {
			t.Fatalf("%d octets of %d", total, len(data))
		}
	})
}

func TestKeywordsAndFlagsSurvive(t *testing.T) {
	m := &Message{Sender: "a b", Seen: true, Answered: true, Deleted: true, Draft: true, Keywords: []string{"$Work", "later"}, Data: []byte("Subject: x\r\n\r\n> From\r\nFrom \r\n")}
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := errors.Join(w.Write(m), w.Flush()); err != nil {
		t.Fatal(err)
	}
	got, err := NewReader(&b, 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	if got.Sender != "MAILER-DAEMON" || !got.Seen || !got.Answered || !got.Deleted || !got.Draft || got.Flagged || !slices.Equal(got.Keywords, m.Keywords) {
		t.Errorf("%+v", got)
	}
	if want := "Subject: x\n\n> From\nFrom \n"; string(got.Data) != want {
		t.Errorf("%q, want %q", got.Data, want)
	}
}
