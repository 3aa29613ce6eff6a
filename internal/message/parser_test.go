package message

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// crlf makes the line endings of a raw string those of a message.
func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// tree writes a part so that a person can check it: number, type, body.
func tree(b []byte, p *Part, number string, out *strings.Builder) {
	name := number
	if name == "" {
		name = "-"
	}
	fmt.Fprintf(out, "%s %s/%s", name, p.Type, p.Subtype)
	if p.Opaque {
		out.WriteString(" opaque")
	}
	if p.Message == nil && !p.Multipart() {
		fmt.Fprintf(out, " %d %q", p.Lines, b[p.Body:p.End])
	}
	out.WriteByte('\n')
	if p.Message != nil {
		tree(b, p.Message, number+"m", out)
	}
	for i, c := range p.Children {
		n := fmt.Sprint(i + 1)
		if number != "" {
			n = number + "." + n
		}
		tree(b, c, n, out)
	}
}

func checkInvariants(t *testing.T, p *Part, size int64) {
	t.Helper()
	if p.Start != 0 || p.End != size {
		t.Fatalf("root is [%d,%d) of %d", p.Start, p.End, size)
	}
	parts := 0
	p.Walk(func(p *Part) bool {
		parts++
		if p.Start > p.Body || p.Body > p.End {
			t.Fatalf("part %d %d %d", p.Start, p.Body, p.End)
		}
		if p.Lines < 0 || p.Lines > p.End-p.Body {
			t.Fatalf("%d lines in %d octets", p.Lines, p.End-p.Body)
		}
		if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
			t.Fatalf("part without type: %+v", p)
		}
		if (p.Type == "multipart") != (len(p.Children) > 0) || p.Opaque && (p.Message != nil || p.Children != nil) {
			t.Fatalf("part %+v", p)
		}
		last := p.Body
		for _, c := range p.Children {
			if c.Start < last || c.End > p.End {
				t.Fatalf("child [%d,%d) in [%d,%d) after %d", c.Start, c.End, p.Body, p.End, last)
			}
			last = c.End
		}
		if m := p.Message; m != nil && (m.Start != p.Body || m.End != p.End || m.Envelope == nil) {
			t.Fatalf("message %+v in %+v", m, p)
		}
		return true
	})
	if p.Envelope == nil || parts > 1000 {
		t.Fatalf("%d parts", parts)
	}
}

// parseWays parses in one piece, from a ReaderAt and in pieces of one octet,
// and wants the same.
func parseWays(t *testing.T, b []byte, budget Budget) *Part {
	t.Helper()
	p := ParseBytes(b, budget)
	checkInvariants(t, p, int64(len(b)))
	for _, step := range []int{1, 7} {
		q := NewParser(budget)
		for piece := range slices.Chunk(b, step) {
			q.Write(piece)
		}
		if got, _ := q.Close(); !got.Equal(p) {
			t.Fatalf("in pieces of %d: %+v, want %+v", step, got, p)
		}
	}
	q, err := Parse(bytes.NewReader(b), int64(len(b)), budget)
	if err != nil || !q.Equal(p) {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

func TestParseTree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, in, want string }{
		{"RFC 2046 §5.1.1, with preamble and epilogue", `From: Nathaniel Borenstein <nsb@bellcore.com>
Subject: Sample message
MIME-Version: 1.0
Content-type: multipart/mixed; boundary="simple boundary"

This is the preamble.

--simple boundary

This is implicitly typed plain US-ASCII text.
It does NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

This is explicitly typed plain US-ASCII text.
It DOES end with a linebreak.

--simple boundary--

This is the epilogue.
`, `- multipart/mixed
1 text/plain 1 "This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak."
2 text/plain 2 "This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n"
`},
		{"RFC 2046 §5.1.5: a digest's parts are messages", `Content-Type: multipart/digest; boundary=d

--d

From: someone
Subject: a

body
--d
Content-Type: text/plain

x
--d--
`, `- multipart/digest
1 message/rfc822
1m text/plain 0 "body"
2 text/plain 0 "x"
`},
		{"a boundary that begins with another one", `Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=aa

--aa

inner
--aa--
--a

outer
--a--
`, `- multipart/mixed
1 multipart/mixed
1.1 text/plain 0 "inner"
2 text/plain 0 "outer"
`},
		{"inner multipart not closed; outer delimiter ends it", `Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=b

--b

inner
--a

outer`, `- multipart/mixed
1 multipart/mixed
1.1 text/plain 0 "inner"
2 text/plain 0 "outer"
`},
		{"the same boundary inside: the inner one is nearer", `Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=a

--a

x
--a--
--a--
`, `- multipart/mixed
1 multipart/mixed
1.1 text/plain 0 "x"
`},
		{"message in message", `Content-Type: message/rfc822

Content-Type: message/rfc822

Subject: deep

x
`, `- message/rfc822
m message/rfc822
mm text/plain 1 "x\r\n"
`},
		{"delimiter within a header, and empty parts", `Content-Type: multipart/mixed; boundary=a

--a
--a

--a
Content-Type: text/html
--a
Content-Type: message/rfc822
--a
Content-Type: message/rfc822

--a--
`, `- multipart/mixed
1 text/plain 0 ""
2 text/plain 0 ""
3 text/html 0 ""
4 message/rfc822
4m text/plain 0 ""
5 message/rfc822
5m text/plain 0 ""
`},
		{"garbage in a part's header starts its body", `Content-Type: multipart/mixed; boundary=a

--a
Content-Type: text/html
<b>no empty line</b>

--a--
`, `- multipart/mixed
1 text/html 1 "<b>no empty line</b>\r\n"
`},
		{"no boundary parameter", "Content-Type: multipart/mixed\n\n--a\n\nx\n", "- application/octet-stream opaque 3 \"--a\\r\\n\\r\\nx\\r\\n\"\n"},
		{"no delimiter", "Content-Type: multipart/mixed; boundary=a\n\nx\n", "- application/octet-stream opaque 1 \"x\\r\\n\"\n"},
		{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nRg==\n", "- application/octet-stream opaque 1 \"Rg==\\r\\n\"\n"},
		{"unreadable type", "Content-Type: text\n\nx", "- text/plain 0 \"x\"\n"},
		{"delimiter with padding, not with garbage", "Content-Type: multipart/mixed; boundary=a\n\n--a \t\n\nx\n--a y\n--ab\n--a-\n--a--  \n", "- multipart/mixed\n1 text/plain 3 \"x\\r\\n--a y\\r\\n--ab\\r\\n--a-\"\n"},
		{"nothing after the closing delimiter counts", "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--a\n\ny\n", "- multipart/mixed\n1 text/plain 0 \"x\"\n"},
		{"empty", "", "- text/plain 0 \"\"\n"},
		{"body only", "\nx\n", "- text/plain 1 \"x\\r\\n\"\n"},
		{"NUL and 8-bit", "A: b\n\n\x00\xff\n", "- text/plain 1 \"\\x00\\xff\\r\\n\"\n"},
	} {
		b := crlf(c.in)
		var out strings.Builder
		tree(b, parseWays(t, b, Budget{}), "", &out)
		if out.String() != c.want {
			t.Errorf("%s:\n%swant\n%s", c.what, out.String(), c.want)
		}
		// With LF alone the tree is the same.
		var lf strings.Builder
		tree([]byte(c.in), parseWays(t, []byte(c.in), Budget{}), "", &lf)
		if got := strings.ReplaceAll(c.want, `\r`, ""); lf.String() != got {
			t.Errorf("%s, LF only:\n%swant\n%s", c.what, lf.String(), got)
		}
	}
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	p := parseWays(t, crlf(`Date: Fri, 21 Nov 1997 09:55:06 -0600
From: John Doe <jdoe@machine.example>
To: a@b,
 c@d
Subject: =?utf-8?q?x?=
Message-ID: <1@machine.example>
References: <0@x>
Content-Type: Text/PLAIN (a comment); Charset="us-\ascii" (x); format=flowed ;
 name*0*=utf-8'es'a%C3%B1o; name*1=" 2.txt"; file=my file.txt; junk; =x
Content-Transfer-Encoding: Quoted-Printable
Content-Disposition: ATTACHMENT; filename="=?utf-8?q?a=C3=B1o?="
Content-ID: <id@x>
Content-Description: a
 description
Content-Language: es, en-GB
Content-Location: http://x.example/
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==

x
`), Budget{})
	want := &Part{
		Start: 0, Body: p.Body, End: p.End, Lines: 1, Type: "text", Subtype: "plain",
		Params:      Params{{"charset", "us-ascii"}, {"format", "flowed"}, {"name*0*", "utf-8'es'a%C3%B1o"}, {"name*1", " 2.txt"}, {"file", "my file.txt"}},
		Disposition: "attachment", DispositionParams: Params{{"filename", "=?utf-8?q?a=C3=B1o?="}},
		Encoding: "quoted-printable", ID: "<id@x>", Description: "a description", Languages: []string{"es", "en-GB"},
		Location: "http://x.example/", MD5: "Q2hlY2sgSW50ZWdyaXR5IQ==",
	}
	if !p.Equal(want) {
		t.Errorf("got %+v\nwant %+v", p, want)
	}
	if p.Params.Get("name") != "año 2.txt" || p.Filename() != "año" || !p.Attachment() {
		t.Errorf("name %q, filename %q", p.Params.Get("name"), p.Filename())
	}
	env := Envelope{Date: "Fri, 21 Nov 1997 09:55:06 -0600", From: "John Doe <jdoe@machine.example>", To: "a@b, c@d",
		Subject: "=?utf-8?q?x?=", MessageID: "<1@machine.example>", References: "<0@x>"}
	if *p.Envelope != env {
		t.Errorf("envelope %+v", *p.Envelope)
	}
}

func TestSection(t *testing.T) {
	t.Parallel()
	b := crlf(`Subject: top
Content-Type: multipart/mixed; boundary=a

--a
Content-Type: text/plain; x=1

one
--a
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/alternative; boundary=b

--b

two.one
--b
Content-Type: text/html

two.two
--b--
--a
Content-Type: message/rfc822

Subject: plain

three
--a--
`)
	p := parseWays(t, b, Budget{})
	for _, c := range []struct {
		path []int
		s    Section
		want string // prefix…suffix; "-" for none
	}{
		{nil, SectionAll, "Subject: top…--a--\n"},
		{nil, SectionHeader, "Subject: top…boundary=a\n\n"},
		{nil, SectionText, "--a\n…--a--\n"},
		{nil, SectionMIME, "-"},
		{[]int{1}, SectionAll, "one…one"},
		{[]int{1}, SectionMIME, "Content-Type: text/plain…x=1\n\n"},
		{[]int{1}, SectionHeader, "-"},
		{[]int{1, 1}, SectionAll, "-"},
		{[]int{2}, SectionAll, "Subject: inner…--b--"},
		{[]int{2}, SectionHeader, "Subject: inner…boundary=b\n\n"},
		{[]int{2}, SectionText, "--b…--b--"},
		{[]int{2}, SectionMIME, "Content-Type: message/rfc822…\n\n"},
		{[]int{2, 1}, SectionAll, "two.one…two.one"},
		{[]int{2, 2}, SectionMIME, "Content-Type: text/html…html\n\n"},
		{[]int{2, 3}, SectionAll, "-"},
		{[]int{3, 1}, SectionAll, "three…three"},
		{[]int{3, 1}, SectionMIME, "Subject: plain…\n\n"},
		{[]int{3, 2}, SectionAll, "-"},
		{[]int{4}, SectionAll, "-"},
		{[]int{0}, SectionAll, "-"},
	} {
		r, ok := p.Section(c.path, c.s)
		if c.want == "-" {
			if ok {
				t.Errorf("%v %d: %v", c.path, c.s, r)
			}
			continue
		}
		got := strings.ReplaceAll(string(b[r.Start:r.End]), "\r", "")
		pre, post, _ := strings.Cut(c.want, "…")
		if !ok || !strings.HasPrefix(got, pre) || !strings.HasSuffix(got, post) {
			t.Errorf("%v %d: %v %q", c.path, c.s, ok, got)
		}
	}
	single := ParseBytes(crlf("A: b\n\nx"), Budget{})
	if r, ok := single.Section([]int{1}, SectionAll); !ok || r != (Range{8, 9}) {
		t.Errorf("part 1 of a plain message: %v %v", r, ok)
	}
	if r, ok := single.Section([]int{1}, SectionMIME); !ok || r != (Range{0, 8}) {
		t.Errorf("1.MIME of a plain message: %v %v", r, ok)
	}
	prefix := []byte("X-Added: 1\r\n")
	shifted := ParseBytes(append(bytes.Clone(prefix), b...), Budget{})
	p.Shift(int64(len(prefix)))
	if !p.Equal(shifted) {
		t.Error("Shift differs from parsing with the prefix")
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	var deep strings.Builder
	for i := range 100 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	many := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\n\nx\n", 2000) + "--a--\n"
	nested := strings.Repeat("Content-Type: message/rfc822\n\n", 100) + "x"
	params := "Content-Type: text/plain" + strings.Repeat("; a*1*=b", 500) + "\n\nx"
	fields := strings.Repeat("A: b\n", 2000) + "Content-Type: text/html\n\nx"
	huge := "Subject: " + strings.Repeat("x", 300<<10) + "\nContent-Type: text/html\n\nx"
	text := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\nContent-ID: "+strings.Repeat("y", 5000)+"\n\nx\n", 200)
	for what, in := range map[string]string{"deep": deep.String(), "parts": many, "nested": nested, "params": params, "fields": fields, "header": huge, "text": text} {
		p := parseWays(t, crlf(in), Budget{})
		if !p.Defects.Has(OverBudget) {
			t.Errorf("%s: defects %b", what, p.Defects)
		}
		depth, kept := 0, 0
		p.Walk(func(p *Part) bool { depth++; kept += len(p.ID); return true })
		if what == "deep" && depth != 32 || what == "nested" && depth != 32 || what == "parts" && depth != 1000 || kept > 512<<10 {
			t.Errorf("%s: %d parts, %d octets", what, depth, kept)
		}
	}
}

// TestLinear gives the inputs on which careless parsers are quadratic.
func TestLinear(t *testing.T) {
	t.Parallel()
	var stack strings.Builder
	for i := range 32 {
		fmt.Fprintf(&stack, "Content-Type: multipart/mixed; boundary=%s%d\n\n--%s%d\n", strings.Repeat("b", 60), i, strings.Repeat("b", 60), i)
	}
	start := time.Now()
	for _, in := range []string{
		stack.String() + strings.Repeat("--"+strings.Repeat("b", 60)+"x\n", 50_000),
		"Content-Type: text/plain; a=" + strings.Repeat("(", 200_000),
		"Content-Type: text/plain; a=\"" + strings.Repeat("\\", 200_000),
		strings.Repeat("Content-Type: a/b; c=d\n", 10_000),
		"A: b\n" + strings.Repeat(" \n", 200_000),
		strings.Repeat("x", 3_000_000),
		strings.Repeat("\n", 1_000_000),
		strings.Repeat("--", 500_000),
	} {
		b := []byte(in)
		checkInvariants(t, ParseBytes(b, Budget{}), int64(len(b)))
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestBodyDefects(t *testing.T) {
	t.Parallel()
	const head = "From: a@b\r\n\r\n"
	for in, want := range map[string]string{
		head + "x\r\n":                           "",
		head + "ñ\r\n":                           "8bit-body",
		"From: ñ\r\n\r\nx":                       "",
		head + "x\n":                             "bare-lf",
		head + "x\ry\r\n":                        "bare-cr",
		head + "\x00\r\n":                        "nul",
		head + strings.Repeat("x", 999) + "\r\n": "long-line",
		head + strings.Repeat("x", 998) + "\r\n": "",
		"From: a@b\r\nñ\r\n":                     "malformed-header 8bit-body",
		"From: a@b":                              "no-header-end",
		"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n":               "duplicate-mime-field",
		"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n": "unclosed-multipart",
	} {
		p := parseWays(t, []byte(in), Budget{})
		if got := strings.Join(slices.Collect(p.Defects.Names()), " "); got != want {
			t.Errorf("%.60q: %s, want %s", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n",
		"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nContent-Type: multipart/digest;boundary=b\n\n--b\n--b\n\n--a",
		"From x\nContent-Type: message/rfc822\n\n", "Content-Type: text/plain; a*0*=b'c'd%20; a*1=e\n\nñ",
		"Content-Language: a,b,,c\nContent-ID: <x>\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		p := parseWays(t, b, Budget{Parts: 20, Depth: 5, HeaderBytes: 2000, Fields: 30, Params: 5, Text: 1000})
		if h, _ := SplitHeader(b); int64(len(h)) != p.Body {
			t.Fatalf("SplitHeader ends at %d, the parser at %d", len(h), p.Body)
		}
		p.Walk(func(p *Part) bool { p.Filename(); p.Charset(); return true })
	})
}

// typical is a newsletter-like message of about 12 KiB.
func typical() []byte {
	var b strings.Builder
	for i := range 4 {
		fmt.Fprintf(&b, "Received: from mail%d.example.net (mail%d.example.net [192.0.2.%d])\n\tby mx.example.org with ESMTPS id 4f5a6b7c%d;\n\tMon, 1 Jan 2024 10:00:0%d +0000 (UTC)\n", i, i, i, i, i)
	}
	b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s1;\n\th=from:to:subject:date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n\tb=" + strings.Repeat("abcdefghijklmnopqrstuvwxyz0123456789+/AB\n\t", 8) + "\n")
	b.WriteString("From: \"Example News\" <news@example.net>\nTo: Jane Doe <jane@example.org>\nSubject: =?utf-8?q?Las_noticias_de_la_semana?=\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nMessage-ID: <20240101100000.123456@example.net>\nReply-To: <reply@example.net>\nList-Unsubscribe: <https://example.net/u/123>\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"=_b1_c5a0b2d3e4f5a6b7\"\n\n")
	b.WriteString("This is a multi-part message in MIME format.\n\n--=_b1_c5a0b2d3e4f5a6b7\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n")
	b.WriteString(strings.Repeat("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod te=\n", 50))
	b.WriteString("\n--=_b1_c5a0b2d3e4f5a6b7\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n")
	b.WriteString(strings.Repeat("<td style=3D\"color: #333333\">Lorem ipsum dolor sit amet, consectetur</td>=\n", 85))
	b.WriteString("\n--=_b1_c5a0b2d3e4f5a6b7--\n")
	return crlf(b.String())
}

func BenchmarkParse12K(b *testing.B) {
	msg := typical()
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if p := ParseBytes(msg, Budget{}); len(p.Children) != 2 {
			b.Fatal(p)
		}
	}
}

func BenchmarkInspect12K(b *testing.B) {
	h, _ := SplitHeader(typical())
	b.ReportAllocs()
	for b.Loop() {
		Inspect(h)
	}
}
