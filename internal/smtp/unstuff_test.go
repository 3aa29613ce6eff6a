package smtp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// unstuffAll feeds data in pieces of the sizes that next gives.
func unstuffAll(u *Unstuffer, data []byte, next func() int) (content []byte, used int, done bool) {
	for used < len(data) && !done {
		n := min(max(next(), 1), len(data)-used)
		var k int
		content, k, done = u.Append(content, data[used:used+n])
		used += k
		if !done && k != n {
			panic("octets left over without an end")
		}
	}
	return content, used, done
}

func TestUnstuff(t *testing.T) {
	tests := []struct {
		name, in, out string
		done, bare    bool
		rest          string
	}{
		{name: "a message", in: "Hi\r\n.\r\n", out: "Hi\r\n", done: true},
		{name: "what follows is not read", in: "Hi\r\n.\r\nQUIT\r\n", out: "Hi\r\n", done: true, rest: "QUIT\r\n"},
		{name: "an empty message", in: ".\r\n", done: true},
		{name: "stuffed dots, RFC 5321 §4.5.2", in: "..\r\n..a\r\n.b\r\na.\r\n.\r\n", out: ".\r\n.a\r\nb\r\na.\r\n", done: true},
		{name: "a dot behind CR LF at the end of a block", in: "a\r\n..", out: "a\r\n."},
		{name: "lone LF", in: "a\nb\r\n.\r\n", out: "a\nb\r\n", done: true, bare: true},
		{name: "lone CR", in: "a\rb\r\n.\r\n", out: "a\rb\r\n", done: true, bare: true},
		{name: "CR at the end of a dot line", in: ".\rb\r\n.\r\n", out: ".\rb\r\n", done: true, bare: true},
		{name: "8-bit and NUL are content", in: "\x00\xff\r\n.\r\n", out: "\x00\xff\r\n", done: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in); size++ {
				var u Unstuffer
				out, used, done := unstuffAll(&u, []byte(tt.in), func() int { return size })
				if string(out) != tt.out || done != tt.done || u.Bare != tt.bare || tt.in[used:] != tt.rest {
					t.Errorf("blocks of %d: %q done=%v bare=%v rest %q", size, out, done, u.Bare, tt.in[used:])
				}
			}
		})
	}
}

// smuggling are the false ends of CVE-2023-51764 and its kin, each between two
// halves of a message; none may end it.
var smuggling = []string{
	"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\r\n", "\r\n.\r\x00\n", "\r\r.\r\r", "\n\n.\n\n", "\r\n .\r\n", "\r\n.\t\r\n",
}

func TestNoSmuggling(t *testing.T) {
	for _, end := range smuggling {
		for _, normalise := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q normalise=%v", end, normalise), func(t *testing.T) {
				data := "Subject: outer\r\n\r\nbody" + end + "MAIL FROM:<evil@example.net>\r\n.\r\nQUIT\r\n"
				trueEnd := len(data) - len("QUIT\r\n")
				for size := 1; size <= len(data); size++ {
					u := Unstuffer{Normalise: normalise}
					out, used, done := unstuffAll(&u, []byte(data), func() int { return size })
					if !done || used != trueEnd {
						t.Fatalf("blocks of %d: ended at %d of %d", size, used, trueEnd)
					}
					if !bytes.Contains(out, []byte("MAIL FROM:<evil@example.net>")) {
						t.Fatalf("the smuggled command is not content: %q", out)
					}
					if normalise && loneNewline(out) {
						t.Fatalf("a CR or LF stands alone in %q", out)
					}
					if !normalise && loneNewline([]byte(data)) != u.Bare {
						t.Fatalf("bare is %v", u.Bare)
					}
				}
			})
		}
	}
}

func TestNormalise(t *testing.T) {
	tests := []struct{ in, out string }{
		{"a\nb\n\r\n.\r\n", "a\r\nb\r\n\r\n"},
		{"a\rb\r\n.\r\n", "a\r\nb\r\n"},
		{"a\r\r\nb\r\n.\r\n", "a\r\nb\r\n"},
		{"a\r\rb\r\n.\r\n", "a\r\n\r\nb\r\n"},
		{"a\n..b\n.c\r\n.\r\n", "a\r\n..b\r\n.c\r\n"}, // to the client no line began at the dots
		{"a\r..b\r\n..c\r\n.\r\n", "a\r\n..b\r\n.c\r\n"},
		{"a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
	}
	for _, tt := range tests {
		u := Unstuffer{Normalise: true}
		out, _, done := unstuffAll(&u, []byte(tt.in), func() int { return 1 })
		if string(out) != tt.out || !done {
			t.Errorf("%q became %q, wanted %q (done %v)", tt.in, out, tt.out, done)
		}
	}
}

func TestPlain(t *testing.T) {
	u := Unstuffer{Plain: true}
	out, _, done := unstuffAll(&u, []byte(".\r\n..\r\n.\r\na"), func() int { return 3 })
	out = u.Finish(out)
	if string(out) != ".\r\n..\r\n.\r\na" || done || u.Bare {
		t.Errorf("%q done=%v bare=%v", out, done, u.Bare)
	}
	u = Unstuffer{Plain: true}
	out, _, _ = u.Append(nil, []byte("a\r"))
	if out = u.Finish(out); string(out) != "a\r" || !u.Bare {
		t.Errorf("%q bare=%v", out, u.Bare)
	}
}

func loneNewline(b []byte) bool {
	s := strings.ReplaceAll(string(b), "\r\n", "")
	return strings.ContainsAny(s, "\r\n")
}

// FuzzUnstuff: the end is exactly the first CRLF.CRLF, however the data is cut,
// in each mode; normalised content has no lone CR or LF; strict content is what
// the plain definition says.
func FuzzUnstuff(f *testing.F) {
	for i, s := range smuggling {
		f.Add([]byte("a"+s+"b\r\n.\r\n"), uint64(i))
	}
	f.Add([]byte("..a\r\n.\r\n"), uint64(3))
	f.Add([]byte("\r\r\n.\r\n.\r\n"), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		end := bytes.Index(append([]byte("\r\n"), data...), []byte("\r\n.\r\n"))
		rng := rand.New(rand.NewPCG(seed, 1))
		cut := func() int { return rng.IntN(9) }
		for _, normalise := range []bool{false, true} {
			u := Unstuffer{Normalise: normalise}
			out, used, done := unstuffAll(&u, data, cut)
			if done != (end >= 0) || done && used != end+len(".\r\n") {
				t.Fatalf("normalise %v: done %v at %d, wanted %d", normalise, done, used, end)
			}
			if !done {
				continue
			}
			if normalise && loneNewline(out) {
				t.Fatalf("lone CR or LF in %q", out)
			}
			body := data[:end]
			if u.Bare != loneNewline(body) {
				t.Fatalf("bare is %v of %q", u.Bare, body)
			}
			// Only a dot behind CR LF was stuffed, unless a lone CR or LF follows
			// it; newlines apart nothing else changes.
			want := strings.TrimPrefix(stuffed.ReplaceAllString("\r\n"+string(body), "\r\n$1"), "\r\n")
			got := string(out)
			if u.Bare {
				got, want = withoutNewlines(got), withoutNewlines(want)
			}
			if got != want {
				t.Fatalf("content %q, wanted %q", got, want)
			}
		}
	})
}

var stuffed = regexp.MustCompile(`\r\n\.([^\r\n])`)

func withoutNewlines(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }

// FuzzStuff: what the client stuffs the server unstuffs to the same message,
// however both are cut, with lone CRs and LFs made CR LF.
func FuzzStuff(f *testing.F) {
	f.Add([]byte(".\r\n..\r\na.b\r\n"), uint64(1))
	f.Add([]byte("a\n.\nb\r.\r"), uint64(2))
	f.Add([]byte("no newline"), uint64(3))
	f.Fuzz(func(t *testing.T, message []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var s Stuffer
		var wire []byte
		for rest := message; len(rest) > 0; {
			n := min(1+rng.IntN(9), len(rest))
			wire = s.Append(wire, rest[:n])
			rest = rest[n:]
		}
		wire = s.Finish(wire)
		if loneNewline(wire) {
			t.Fatalf("a lone CR or LF goes over the wire: %q", wire)
		}
		var u Unstuffer
		out, used, done := unstuffAll(&u, wire, func() int { return 1 + rng.IntN(9) })
		if !done || used != len(wire) || u.Bare {
			t.Fatalf("done %v at %d of %d, bare %v: %q", done, used, len(wire), u.Bare, wire)
		}
		if want := canonical(message); !bytes.Equal(out, want) {
			t.Fatalf("%q came back as %q", want, out)
		}
	})
}

// canonical makes each of CR LF, CR and LF a CR LF, and ends the last line.
func canonical(m []byte) []byte {
	s := strings.ReplaceAll(string(m), "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return []byte(strings.ReplaceAll(s, "\n", "\r\n"))
}

func BenchmarkUnstuff(b *testing.B) {
	message := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 162) + ".\r\n")
	dst := make([]byte, 0, 2*len(message))
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		var u Unstuffer
		if _, _, done := u.Append(dst, message); !done {
			b.Fatal("no end")
		}
	}
}

func BenchmarkStuff(b *testing.B) {
	message := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 162))
	dst := make([]byte, 0, 2*len(message))
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		var s Stuffer
		s.Finish(s.Append(dst, message))
	}
}
