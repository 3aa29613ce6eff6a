package rewrite

import (
	"bytes"
	"strings"
	"testing"

	"posta/internal/addr"
	"posta/internal/message"
)

func renamed(a addr.Address) addr.Address {
	if a.Domain == "oldname.test" {
		a.Domain = "newname.test"
	}
	return a
}

func public(a addr.Address) addr.Address {
	if a.Local.Fold() == "joe" {
		return addr.Address{Local: "joe.bloggs", Domain: "corp.test"}
	}
	return a
}

// domaintable in all fields, generics in those of senders; nothing else moves.
func TestHeader(t *testing.T) {
	const in = "Received: from oldname.test by x (envelope joe@oldname.test)\r\n" +
		"From: \"Joe <joe@oldname.test>\" (joe@oldname.test)\r\n <JOE@OldName.test>\r\n" +
		"To: ana@oldname.test, \"odd one\"@oldname.test,\r\n\tgroup: x@oldname.test;, luis@other.test, joe@other.test\r\n" +
		"Subject: joe@oldname.test\r\n" +
		"Cc: @route.test:ana@oldname.test, user @ oldname.test, bare, x@[192.0.2.1]\r\n" +
		"\r\n"
	const want = "Received: from oldname.test by x (envelope joe@oldname.test)\r\n" +
		"From: \"Joe <joe@oldname.test>\" (joe@oldname.test)\r\n <joe.bloggs@corp.test>\r\n" +
		"To: ana@newname.test, \"odd one\"@newname.test,\r\n\tgroup: x@newname.test;, luis@other.test, joe@other.test\r\n" +
		"Subject: joe@oldname.test\r\n" +
		"Cc: @route.test:ana@newname.test, user @ oldname.test, bare, x@[192.0.2.1]\r\n" +
		"\r\n"
	got, changed := Header(message.Header(in), Rules{Sender: public, All: renamed})
	if string(got) != want || !changed {
		t.Errorf("changed %v:\n%s", changed, got)
	}
	if _, changed := Header(message.Header(want), Rules{All: renamed}); changed {
		t.Error("what was changed is changed again")
	}
	if _, changed := Header(message.Header(in+strings.Repeat("X-Y: z\r\n", MaxHeader/8)), Rules{All: renamed}); changed {
		t.Error("a header above the budget is changed")
	}
}

// A function that changes nothing changes no octet; one that changes leaves the rest.
func FuzzValue(f *testing.F) {
	f.Add([]byte(` "a\"b" (c (d) \) e) <joe@oldname.test>, x@y.test`))
	f.Add([]byte("a@oldname.test@oldname.test(\\"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		same, changed := Value(raw, func(a addr.Address) addr.Address { return a })
		if changed || !bytes.Equal(same, raw) {
			t.Fatalf("%q became %q", raw, same)
		}
		n, lost := 0, 0
		out, _ := Value(raw, func(a addr.Address) addr.Address {
			to := renamed(a)
			if to != a {
				n++
				lost += len("@oldname.test")
			}
			return to
		})
		if n == 0 && !bytes.Equal(out, raw) || n > 0 && bytes.Count(out, []byte("@newname.test")) < n || len(raw)-len(out) > lost+4*len(raw)*min(n, 1) {
			t.Fatalf("%q became %q by %d changes", raw, out, n)
		}
	})
}
