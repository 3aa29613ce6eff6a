package content

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"posta/internal/message"
)

func read(t testing.TB, msg string, b Budget) *Content {
	t.Helper()
	raw := []byte(msg)
	c, err := Read(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}), b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func htmlMessage(body string) string {
	return "Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
}

// What is shown, and what is not, of HTML as senders of spam write it.
func TestVisible(t *testing.T) {
	for _, c := range []struct{ name, html, text, hidden string }{
		{"blocks and inline", "<p>One <b>t</b>wo</p><p>three<br>four", "One two\nthree\nfour", ""},
		{"a comment splits a word", "V<!-- x -->iagra", "Viagra", ""},
		{"script, style and title", "<title>t</title><style>p{}</style><script>x()</script>seen", "seen", ""},
		{"display:none", `a<div style="display: none">b <i>c</i></div>d`, "a\nd", "b c"},
		{"hidden attribute", `a<span hidden>b</span>c`, "ac", "b"},
		{"the font of nothing", `a<span style="font-size:0px">b</span>c<span style="FONT-SIZE:1px">d</span>`, "ac", "bd"},
		{"a font may grow again", `<div style="font-size:0"><p style="font-size:12px">seen</p>not</div>`, "seen", "not"},
		{"white on white", `a<font color="#FFFFFF">b</font>c`, "ac", "b"},
		{"nearly white on white", `<span style="color:#fefefe">b</span>c`, "c", "b"},
		{"white on blue is seen", `<table bgcolor=navy><tr><td><font color=white>b</font>`, "b", ""},
		{"rgb()", `<p style="color:rgb(255, 255, 255)">b</p>c`, "c", "b"},
		{"mso-hide and !important", `<p style="mso-hide:all">a</p><p style="display:none !important">b</p>c`, "c", "a\nb"},
		{"end tags that are missing", `<p style="display:none">a<p>b`, "b", "a"},
		{"end tags that nothing opened", "</div></p>a</b></table>b", "a\nb", ""},
		{"no-break spaces", "a\u00a0\u00a0b&nbsp;c", "a b c", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, htmlMessage(c.html), Budget{})
			if got.Text != c.text || got.Hidden != c.hidden || got.Over {
				t.Errorf("text %q, hidden %q, over %v\nwant %q, %q", got.Text, got.Hidden, got.Over, c.text, c.hidden)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct{ name, msg, want string }{
		{"plain text", "Subject: x\r\n\r\nsee http://a.example/x?y=1, (www.b.example) or <HTTPS://c.example/>.\r\nnot awww.d.example\r\n",
			"|http://a.example/x?y=1| |www.b.example| |HTTPS://c.example/|"},
		{"anchor", htmlMessage(`<a href="http://a.example">www.<b>bank</b>.example </a> <a href='mailto:x@b.example'>y</a>`),
			"a|http://a.example|www.bank.example a|mailto:x@b.example|y"},
		{"anchors without end", htmlMessage(`<a href=//a.example>one<a href=//b.example>two`), "a|//a.example|one a|//b.example|two"},
		{"others", htmlMessage(`<img src=http://a.example/i.gif><form action=http://b.example><map><area href=http://c.example></map><iframe src=http://d.example></iframe>`),
			"img|http://a.example/i.gif| form|http://b.example| area|http://c.example| iframe|http://d.example|"},
		{"text of HTML", htmlMessage("go to http://a.example now"), "|http://a.example|"},
		{"quoted-printable", "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<a href=3D\"http://a.=\r\nexample\">x</a>", "a|http://a.example|x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, l := range read(t, c.msg, Budget{}).Links {
				got = append(got, l.In+"|"+l.URL+"|"+l.Text)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func TestFilesAndParts(t *testing.T) {
	c := read(t, strings.ReplaceAll(`Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

pr=E9stamo
--c
Content-Type: text/html

<html><body>pr&eacute;stamo<img src=cid:1></body></html>
--c--
--b
Content-Type: application/pdf; name="=?utf-8?q?a=C3=B1o.pdf?="
Content-Transfer-Encoding: base64

AAAA
--b
Content-Type: text/plain
Content-Disposition: attachment; filename=notes.txt

not read
--b--
`, "\n", "\r\n"), Budget{})
	if c.Text != "préstamo\npréstamo" || c.Plain != 1 || c.Markup.Parts != 1 || c.Markup.Images != 1 {
		t.Errorf("text %q, plain %d, markup %+v", c.Text, c.Plain, c.Markup)
	}
	if len(c.Files) != 2 || c.Files[0].Name != "año.pdf" || c.Files[1].Name != "notes.txt" {
		t.Errorf("files: %+v", c.Files)
	}
}

// A page of HTML that came without a type is read as HTML.
func TestDisguised(t *testing.T) {
	c := read(t, "Subject: x\r\n\r\n <HTML><body>one <b>two</b></body></html>", Budget{})
	if c.Text != "one two" || !c.Disguised {
		t.Errorf("%q %v", c.Text, c.Disguised)
	}
}

// Whatever is sent, what is kept stays within the budget, and Over tells.
func TestBudget(t *testing.T) {
	b := Budget{Part: 4000, Text: 2000, Links: 5, Files: 3, Texts: 4, Header: 500}
	var parts strings.Builder
	for range 50 {
		parts.WriteString("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: image/gif\r\n\r\nx\r\n")
	}
	for name, msg := range map[string]string{
		"one token":    "Subject: x\r\n\r\n" + strings.Repeat("x", 1<<20),
		"words":        "Subject: x\r\n\r\n" + strings.Repeat("word ", 1<<16),
		"URLs":         "Subject: x\r\n\r\n" + strings.Repeat("http://a.example/ ", 10000),
		"anchors":      htmlMessage(strings.Repeat("<a href=http://a.example>x", 10000)),
		"deep":         htmlMessage(strings.Repeat("<div style='display:none'>", 10000) + "x"),
		"hidden":       htmlMessage("<div hidden>" + strings.Repeat("word ", 1<<16)),
		"a tag":        htmlMessage("<a " + strings.Repeat("x", 1<<20)),
		"parts":        "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts.String() + "--b--\r\n",
		"header flood": strings.Repeat("X-Y: z\r\n", 10000) + "\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			c := read(t, msg, b)
			if len(c.Text) > b.Text || len(c.Hidden) > b.Text/4 || len(c.Links) > b.Links || len(c.Files) > b.Files || len(c.Header) > b.Header {
				t.Errorf("text %d, hidden %d, links %d, files %d, header %d", len(c.Text), len(c.Hidden), len(c.Links), len(c.Files), len(c.Header))
			}
			if !c.Over {
				t.Error("Over is not set")
			}
		})
	}
}

// Any bytes are read within the budget, as valid UTF-8.
func FuzzRead(f *testing.F) {
	f.Add([]byte(htmlMessage(`<p style="color:#fff;font-size:1px">a<a href="http://x@1.2.3.4/">b</a><!-- --><font color=red bgcolor=x>c`)))
	f.Add([]byte("Subject: x\r\n\r\nwww.a.example http://b://c \xff\xfe www. ://"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<a href=x>\r\n--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := Budget{Text: 500, Links: 5, Files: 2}
		c, err := Read(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}), b)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Text) > b.Text || len(c.Hidden) > b.Text/4 || len(c.Links) > b.Links || len(c.Files) > b.Files {
			t.Error("over budget")
		}
		for _, s := range append([]string{c.Text, c.Hidden}, c.Markup.Styles...) {
			if !utf8.ValidString(s) {
				t.Errorf("not UTF-8: %q", s)
			}
		}
		for _, l := range c.Links {
			if len(l.URL) > maxURL || len(l.Text) > maxAnchor || !utf8.ValidString(l.URL+l.Text) {
				t.Errorf("link %q", fmt.Sprint(l))
			}
		}
	})
}
