package message

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/textproto"
	"strings"
	"testing"

	"github.com/jhillyerd/enmime/v2"
)

// generate writes a well-formed random MIME entity: fields, then body.
func generate(rnd *rand.Rand, b *strings.Builder, depth int) {
	if depth < 3 && rnd.IntN(3) > 0 {
		boundary := fmt.Sprintf("b%d-%d", depth, rnd.IntN(1000))
		fmt.Fprintf(b, "Content-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n\r\npreamble\r\n", boundary)
		for range 1 + rnd.IntN(3) {
			fmt.Fprintf(b, "--%s\r\n", boundary)
			generate(rnd, b, depth+1)
		}
		fmt.Fprintf(b, "--%s--\r\n", boundary)
		return
	}
	text := []byte(strings.Repeat("línea de texto\r\n", rnd.IntN(4)) + "end.")
	if rnd.IntN(2) == 0 {
		fmt.Fprintf(b, "Content-Type: application/x-test; name=\"f%d.bin\"\r\nContent-Disposition: attachment; filename=\"f%[1]d.bin\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <id%[1]d@x>\r\n\r\n", rnd.IntN(100))
		b.Write(AppendBase64(nil, text))
		return
	}
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	b.Write(AppendQuotedPrintable(nil, text))
	b.WriteString("\r\n")
}

// TestAgainstEnmime: on well-formed messages another parser sees the same tree
// with the same decoded contents.
func TestAgainstEnmime(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		var sb strings.Builder
		sb.WriteString("From: a@example.org\r\nTo: b@example.org\r\nSubject: generated\r\nMIME-Version: 1.0\r\n")
		generate(rnd, &sb, 0)
		msg := sb.String()
		theirs, err := enmime.ReadParts(strings.NewReader(msg))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, msg, theirs, ParseBytes([]byte(msg), Budget{}))
	}
}

func compare(t *testing.T, msg string, theirs *enmime.Part, ours *Part) {
	t.Helper()
	if theirs.ContentType != ours.Type+"/"+ours.Subtype || theirs.FileName != ours.Filename() {
		t.Fatalf("%s %q, theirs %s %q in\n%s", ours.Type+"/"+ours.Subtype, ours.Filename(), theirs.ContentType, theirs.FileName, msg)
	}
	if want := textproto.MIMEHeader(theirs.Header).Get("Content-Id"); want != ours.ID {
		t.Fatalf("id %q, theirs %q", ours.ID, want)
	}
	child := theirs.FirstChild
	for _, c := range ours.Children {
		if child == nil {
			t.Fatalf("they see fewer parts in\n%s", msg)
		}
		compare(t, msg, child, c)
		child = child.NextSibling
	}
	if child != nil {
		t.Fatalf("they see more parts in\n%s", msg)
	}
	if ours.Multipart() {
		return
	}
	r, err := Open(strings.NewReader(msg), ours)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(bytes.TrimSpace(body), bytes.TrimSpace(theirs.Content)) {
		t.Fatalf("body %q, theirs %q, %v", body, theirs.Content, err)
	}
}
