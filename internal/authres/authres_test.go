package authres

import (
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"
	"github.com/google/go-cmp/cmp"
)

func TestAppend(t *testing.T) {
	h := Header{ServerID: "mx.example.org", Results: []Result{
		SPF("pass", "bounce+x=y@news.example.com", ""),
		SPF("none", "", "mail.example.com"),
		{Method: "dkim", Value: "pass", Comment: `2048-bit key (good) \o/`, Props: DKIM("", "example.com", "sel", "rsa-sha256", "@mail.example.com", "a/b+c=d8").Props},
		{Method: "dmarc", Value: "fail", Comment: "p=reject", Reason: "no aligned \"pass\"", Props: DMARC("", "example.com").Props},
		IPRev("pass", "2001:db8::1"),
		Auth("pass", "ana@example.org"),
		ARC("pass", "192.0.2.1", "2"),
	}}
	want := strings.ReplaceAll(`Authentication-Results: mx.example.org;
 spf=pass smtp.mailfrom="bounce+x=y@news.example.com";
 spf=none smtp.helo=mail.example.com;
 dkim=pass (2048-bit key \(good\) \\o/) header.d=example.com
 header.i=@mail.example.com header.s=sel header.a=rsa-sha256
 header.b="a/b+c=d8";
 dmarc=fail (p=reject) reason="no aligned \"pass\"" header.from=example.com;
 iprev=pass policy.iprev="2001:db8::1";
 auth=pass smtp.auth=ana@example.org;
 arc=pass smtp.remote-ip=192.0.2.1 header.oldest-pass=2
`, "\n", "\r\n")
	got := string(h.Append(nil))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	back, err := Parse(strings.TrimPrefix(got, FieldName+":"))
	if diff := cmp.Diff(h, back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, theirs, err := authres.Parse(strings.TrimPrefix(strings.ReplaceAll(got, "\r\n", ""), FieldName+": ")); err != nil || len(theirs) != 7 {
		t.Errorf("another implementation reads %v, %v", theirs, err)
	}
}

func TestNone(t *testing.T) {
	if got := (Header{ServerID: "mx.example.org"}).String(); got != "Authentication-Results: mx.example.org; none" {
		t.Error(got)
	}
}

// What comes from the message or the client cannot break out of its place.
func TestAppendHostile(t *testing.T) {
	h := Header{ServerID: "mx.example.org", Results: []Result{{
		Method: "spf", Value: "fail", Comment: "x\r\nEvil: 1) ; dkim=pass (", Reason: "a\"; dmarc=pass \\",
		Props: []Property{
			{"smtp", "mailfrom", "a b\r\n; dkim=pass header.d=bank.example"},
			{"smtp", "helo", "\x00\xff(" + strings.Repeat("ñ", 600)},
			{"smtp; dkim=pass", "x", "y"},
		}}, {Method: "dkim=pass", Value: "fail"}, {Method: "dkim", Value: "pass;"}}}
	field := string(h.Append(nil))
	for line := range strings.SplitSeq(strings.TrimSuffix(field, "\r\n"), "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 || !strings.HasPrefix(line, FieldName) && (line == "" || line[0] != ' ') {
			t.Errorf("line %q", line)
		}
	}
	got, err := Parse(field[len(FieldName)+1:])
	if err != nil || len(got.Results) != 1 || got.Results[0].Method != "spf" || len(got.Results[0].Props) != 2 {
		t.Errorf("%+v, %v\n%s", got, err, field)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, value string
		want        string // as Append writes it, without folds; or an error
	}{
		// RFC 8601 Appendix B.
		{"B.2: no authentication", " example.org 1; none", "example.org; none"},
		{"B.3: service provided", " example.com;\r\n spf=pass smtp.mailfrom=example.net", "example.com; spf=pass smtp.mailfrom=example.net"},
		{"B.4: several", " example.com;\r\n  auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n  spf=pass smtp.mailfrom=example.net",
			"example.com; auth=pass (cram-md5) smtp.auth=sender@example.net; spf=pass smtp.mailfrom=example.net"},
		{"B.6: reason", " example.com;\r\n  dkim=pass reason=\"good signature\"\r\n   header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n header.i=@newyork.example.com",
			`example.com; dkim=pass reason="good signature" header.i=@mail-router.example.net; dkim=fail reason="bad signature" header.i=@newyork.example.com`},
		{"B.7: comments everywhere", " foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n  policy (A dot can go here) . (like that) expired\r\n  (this surprised me) = (as I wasn't expecting it) 1362471462",
			"foo.example.net; dkim=fail policy.expired=1362471462"},
		{"unquoted base64", "a; dkim=pass header.b=ab/c+d=", `a; dkim=pass header.b="ab/c+d="`},
		{"quoted local part", `a; spf=pass smtp.mailfrom="x y"@example.com`, `a; spf=pass smtp.mailfrom="\"x y\"@example.com"`},
		{"empty value", `a; spf=pass smtp.mailfrom=`, `a; spf=pass smtp.mailfrom=""`},
		{"final semicolon", "a; spf=pass;", "a; spf=pass"},
		{"nothing after the name", "a", "a; none"},
		{"quoted name", `"a b" 1; none`, `"a b"; none`},
		{"upper case", "A; SPF=Pass SMTP.MailFrom=X", "A; spf=pass smtp.mailfrom=X"},
		{"version 2", "a 2; none", ErrVersion.Error()},
		{"no name", "; spf=pass", ErrSyntax.Error()},
		{"empty", "", ErrSyntax.Error()},
		{"two names", "a b; none", ErrSyntax.Error()},
		{"no result", "a; spf", ErrSyntax.Error()},
		{"open comment", "a; spf=pass (", ErrSyntax.Error()},
		{"open quote", `a; spf=pass x.y="`, ErrSyntax.Error()},
		{"no property", "a; spf=pass smtp", ErrSyntax.Error()},
		{"what no property is", "a 1; dmarc=pass action=none header.from=example.com;spf=pass x=\"y\"", "a; dmarc=pass header.from=example.com; spf=pass"},
		{"long comment", "a; spf=pass (" + strings.Repeat("c", 600) + ")", "a; spf=pass (" + strings.Repeat("c", 512) + ")"},
		{"deep comment", "a; spf=pass " + strings.Repeat("(", 20) + strings.Repeat(")", 20), ErrBudget.Error()},
		{"many results", "a" + strings.Repeat("; spf=pass", 65), ErrBudget.Error()},
		{"many properties", "a; spf=pass" + strings.Repeat(" a.b=c", 33), ErrBudget.Error()},
		{"long value", "a; spf=pass a.b=" + strings.Repeat("c", 513), ErrBudget.Error()},
		{"long field", strings.Repeat(" ", maxField+1), ErrBudget.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Parse(tt.value)
			got := strings.TrimPrefix(strings.ReplaceAll(h.String(), "\r\n", ""), FieldName+": ")
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// RFC 8617 Appendix B, and what the three largest sealers write.
func TestParseARC(t *testing.T) {
	tests := []struct {
		value string
		want  int // instance
		dmarc string
		err   error
	}{
		{" i=1; lists.example.org;\r\n spf=pass smtp.mfrom=jqd@d1.example;\r\n dkim=pass (512-bit key) header.i=@d1.example;\r\n dmarc=pass", 1, "pass", nil},
		{"i=2; mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=\"AbC/d+ef\";\r\n       arc=pass (i=1 spf=pass spfdomain=example.com dkim=pass dkdomain=example.com dmarc=pass fromdomain=example.com);\r\n       spf=pass (google.com: domain of x@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=x@example.com;\r\n       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.com", 2, "pass", nil},
		{"i=1; mx.microsoft.com 1; spf=pass smtp.mailfrom=example.com; dmarc=pass action=none header.from=example.com; dkim=pass header.d=example.com; arc=none", 1, "pass", nil},
		{"i=1; mail.protonmail.ch; dmarc=fail (p=none dis=none) header.from=example.com; spf=none smtp.helo=x", 1, "fail", nil},
		{"(c) I (c) = (c) 50 (c) ; a; none", 50, "", nil},
		{"i=1; ;; rubbish", 1, "", ErrSyntax},
		{"i=51; a; none", 0, "", ErrInstance},
		{"i=0; a; none", 0, "", ErrInstance},
		{"i=; a; none", 0, "", ErrInstance},
		{"i=+1; a; none", 0, "", ErrInstance},
		{"i=001; a; none", 0, "", ErrInstance},
		{"i=1 a; none", 0, "", ErrInstance},
		{"a; i=1; none", 0, "", ErrInstance},
		{"a; none", 0, "", ErrInstance},
		{"", 0, "", ErrInstance},
	}
	for _, tt := range tests {
		n, h, err := ParseARC(tt.value)
		dmarc := ""
		for _, r := range h.Results {
			if r.Method == "dmarc" {
				dmarc = r.Value
			}
		}
		if n != tt.want || err != tt.err || dmarc != tt.dmarc {
			t.Errorf("%q: instance %d, dmarc %q, %v", tt.value, n, dmarc, err)
		}
	}
}

func TestClaims(t *testing.T) {
	tests := []struct {
		value string
		want  bool
	}{
		{" mx.example.org; spf=pass", true},
		{" MX.Example.ORG", true},
		{"\r\n\tmx.example.org 1;none", true},
		{" (hi) \"mx.example.org\" (ho); rubbish", true},
		{" mx.example.org 7; none", true},
		{" mx.example.com; spf=pass", false},
		{" mx.example.com; rubbish ((", false},
		{" mx.example.org.evil.example; none", false},
		{" other 2; none", false},
		{"", true},                           // nobody can tell
		{" (mx.example.org; spf=pass", true}, // nobody can tell
		{" evil mx.example.org; none", true}, // nobody can tell
		{strings.Repeat(" ", 20000) + "evil", true},
	}
	for _, tt := range tests {
		if got := Claims(tt.value, "mx.example.org", "example.org"); got != tt.want {
			t.Errorf("%.40q: %v, want %v", tt.value, got, tt.want)
		}
	}
}

func TestSignaturePrefixes(t *testing.T) {
	got := SignaturePrefixes([]string{"AAAAAAAAAAxx", "AAAAAAAAAAyy", "BBBBBBBBBBBB", "short", "BBBBBBBBBBBB"})
	want := []string{"AAAAAAAAAAx", "AAAAAAAAAAy", "BBBBBBBB", "short", "BBBBBBBB"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What parses is written as a field of safe lines that parses to the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		" example.com 1;\r\n dkim=pass (good) reason=\"ok\" header.i=@x.example; spf=none", "a; none", `"a b"; x/1=y (c (d)) p.q="r\"s"@t`,
		"a; spf=fail ( two  spaces ) x.y=ñ", "a;dmarc=fail (" + strings.Repeat("word ", 90) + ")",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		Claims(value, "a")
		h, err := Parse(value)
		if err != nil {
			return
		}
		field := string(h.Append(nil))
		for line := range strings.SplitSeq(strings.TrimSuffix(field, "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n") || strings.Trim(line, " ") == "" || !strings.HasPrefix(line, FieldName) && line[0] != ' ' {
				t.Errorf("%q writes line %q", value, line)
			}
		}
		again, err := Parse(field[len(FieldName)+1:])
		if diff := cmp.Diff(h, again); err != nil || diff != "" {
			t.Errorf("%q writes %q: %v\n%s", value, field, err, diff)
		}
		sealed := string(h.AppendARC(nil, 7))
		if n, again, err := ParseARC(sealed[len(ARCFieldName)+1:]); n != 7 || err != nil || !cmp.Equal(h, again) {
			t.Errorf("%q seals as %q: %d, %v", value, sealed, n, err)
		}
		if !Claims(field[len(FieldName)+1:], h.ServerID) {
			t.Errorf("%q does not claim its own name", field)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	h := Header{ServerID: "mx.example.org", Results: []Result{
		SPF("pass", "a@example.com", ""), DKIM("pass", "example.com", "sel", "rsa-sha256", "@example.com", "abcdefgh"), DMARC("pass", "example.com"), IPRev("pass", "192.0.2.1")}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = h.Append(buf[:0])
	}
}
