package smtp

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestReplyAppend(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 150))
	tests := []struct {
		name  string
		reply Reply
		want  string
	}{
		{"plain", New(250, "2.0.0", "ok"), "250 2.0.0 ok\r\n"},
		{"no enhanced code", New(354, "", "go on"), "354 go on\r\n"},
		{"lines", New(250, "", "mx.example.org\nSIZE 10"), "250-mx.example.org\r\n250 SIZE 10\r\n"},
		{"a check and its link", New(550, "5.7.1", "No reverse DNS").WithCheck("ptr.missing", "https://mx.example.org/why/ptr.missing"),
			"550 5.7.1 No reverse DNS [ptr.missing] https://mx.example.org/why/ptr.missing\r\n"},
		{"a check alone", New(550, "5.7.1", "No").WithCheck("a.b", ""), "550 5.7.1 No [a.b]\r\n"},
		{"nothing of a peer's text breaks the line", New(550, "5.1.1", "x\r 250 ok\x00 é\tend"), "550 5.1.1 x? 250 ok? ???end\r\n"},
		{"an empty text", New(250, "2.0.0", ""), "250 2.0.0 \r\n"},
	}
	for _, tt := range tests {
		if got := string(tt.reply.Append(nil)); got != tt.want {
			t.Errorf("%s: %q, wanted %q", tt.name, got, tt.want)
		}
	}
	wire := New(550, "5.7.1", long).WithCheck("a.b", "https://mx.example.org/why/a.b").Append(nil)
	for line := range strings.Lines(string(wire)) {
		if len(line) > maxReplyLine {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	back := parseWire(t, wire)
	if got := strings.ReplaceAll(back.Text, "\n", " "); got != long+" [a.b] https://mx.example.org/why/a.b" {
		t.Errorf("wrapped text came back as %q", got)
	}
}

func parseWire(t *testing.T, wire []byte) Reply {
	t.Helper()
	var p ReplyParser
	for line := range strings.SplitSeq(strings.TrimSuffix(string(wire), "\r\n"), "\r\n") {
		r, done, err := p.Line([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return r
		}
	}
	t.Fatalf("no end in %q", wire)
	return Reply{}
}

func TestReplyClasses(t *testing.T) {
	for _, tt := range []struct {
		code                   int
		ok, temp, perm, closes bool
	}{
		{220, true, false, false, false}, {221, true, false, false, true}, {421, false, true, false, true},
		{451, false, true, false, false}, {550, false, false, true, false}, {521, false, false, true, true},
	} {
		r := Reply{Code: tt.code}
		if r.OK() != tt.ok || r.Temporary() != tt.temp || r.Permanent() != tt.perm || r.Closes() != tt.closes {
			t.Errorf("%d: %v %v %v %v", tt.code, r.OK(), r.Temporary(), r.Permanent(), r.Closes())
		}
	}
	err := fmt.Errorf("relay: %w", New(550, "5.1.1", "No"))
	if r, ok := errors.AsType[Reply](err); !ok || r.Code != 550 || err.Error() != "relay: 550 5.1.1 No" {
		t.Error(err)
	}
}

func TestReplyParser(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  Reply
		err   error
	}{
		{"one line", []string{"250 ok"}, New(250, "", "ok"), nil},
		{"a code alone, RFC 5321 §4.2", []string{"250"}, New(250, "", ""), nil},
		{"enhanced", []string{"550 5.1.1 No such user"}, New(550, "5.1.1", "No such user"), nil},
		{"enhanced in each line, RFC 2034 §4", []string{"550-5.7.1 a", "550-b", "550 5.7.1 c"}, New(550, "5.7.1", "a\nb\nc"), nil},
		{"four figures are text", []string{"250 127.0.0.1 ok"}, New(250, "", "127.0.0.1 ok"), nil},
		{"a class that contradicts is text", []string{"450 5.1.1 later"}, New(450, "", "5.1.1 later"), nil},
		{"three digits of Microsoft", []string{"550 5.7.515 Access denied"}, New(550, "5.7.515", "Access denied"), nil},
		{"control characters", []string{"550 a\x1b[2Jb\x00"}, New(550, "", "a [2Jb "), nil},
		{"no code", []string{"hello"}, Reply{}, ErrReplySyntax},
		{"code 199", []string{"199 x"}, Reply{}, ErrReplySyntax},
		{"two codes", []string{"250-a", "550 b"}, Reply{}, ErrReplyTwoCodes},
		{"a long line", []string{"250 " + strings.Repeat("x", 2048)}, Reply{}, ErrReplyTooLong},
		{"no end", slicesRepeat("250-x", 101), Reply{}, ErrReplyTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p ReplyParser
			var got Reply
			var err error
			done := false
			for _, line := range tt.lines {
				if got, done, err = p.Line([]byte(line)); done || err != nil {
					break
				}
			}
			if got != tt.want || err != tt.err || done != (tt.err == nil) {
				t.Errorf("%#v %v %v", got, done, err)
			}
		})
	}
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func TestParseExtensions(t *testing.T) {
	r := parseWire(t, []byte("250-mx.example.org greets you\r\n250-SIZE 52428800\r\n250-8bitmime\r\n250-LIMITS MAILMAX=5 RCPTMAX=100 FOO=1\r\n"+
		"250-AUTH PLAIN LOGIN\r\n250-STARTTLS\r\n250-XFOO\r\n250 PIPELINING\r\n"))
	x := ParseExtensions(r)
	if x.Domain != "mx.example.org" || !x.Size || x.MaxSize != 52428800 || !x.EightBit || x.MaxMail != 5 || x.MaxRcpt != 100 ||
		!x.StartTLS || !x.Pipelining || x.UTF8 || x.Chunking || fmt.Sprint(x.Auth) != "[PLAIN LOGIN]" {
		t.Errorf("%+v", x)
	}
}

// FuzzReply: a reply that was read is written so that it reads the same, in
// lines of ASCII of at most 512 octets, each with the code.
func FuzzReply(f *testing.F) {
	f.Add([]byte("250-5.7.1 a\n250-b\n250 c"))
	f.Add([]byte("550 5.1.1 \xff\x00\r x"))
	f.Add([]byte("250-" + strings.Repeat("long ", 200) + "\n250 x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var p ReplyParser
		for line := range bytes.SplitSeq(in, []byte{'\n'}) {
			r, done, err := p.Line(line)
			if err != nil {
				return
			}
			if !done {
				continue
			}
			wire := r.Append(nil)
			for line := range strings.Lines(string(wire)) {
				if len(line) > maxReplyLine || !strings.HasSuffix(line, "\r\n") || !strings.HasPrefix(line, fmt.Sprint(r.Code)) {
					t.Fatalf("line %q", line)
				}
				for _, c := range line[:len(line)-2] {
					if c < ' ' || c > '~' {
						t.Fatalf("octet %q in %q", c, line)
					}
				}
			}
			if bytes.Count(wire, []byte("\r\n")) > MaxReplyLines {
				return // more lines than we would read ourselves
			}
			back := parseWire(t, wire)
			again := back.Append(nil)
			if back.Code != r.Code || !bytes.Equal(again, wire) {
				t.Fatalf("%q\n%q", wire, again)
			}
			return
		}
	})
}

// TestCatalogue prints all that the server can say.
func TestCatalogue(t *testing.T) {
	var out bytes.Buffer
	for p := range NumPhrases {
		e := p.Entry()
		if e.Name == "" || e.Code == 0 || e.Rule == "" || e.When == "" {
			t.Errorf("phrase %d is not complete: %+v", p, e)
		}
		r := p.Reply()
		if e.Enhanced != r.Enhanced.String() {
			t.Errorf("%s: enhanced code %q", e.Name, e.Enhanced)
		}
		if r.Enhanced != (Enhanced{}) && int(r.Enhanced[0]) != e.Code/100 {
			t.Errorf("%s: %d and %s", e.Name, e.Code, e.Enhanced)
		}
		fmt.Fprintf(&out, "%-20s %s\n%20s %s: %s\n", e.Name, r, "", e.Rule, e.When)
	}
	const name = "testdata/replies.golden"
	if *update {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(want, out.Bytes()) {
		t.Errorf("%s differs (go test -update writes it): %v\n%s", name, err, out.Bytes())
	}
}

func BenchmarkReplyAppend(b *testing.B) {
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = RcptOK.Reply().Append(dst[:0])
	}
}
