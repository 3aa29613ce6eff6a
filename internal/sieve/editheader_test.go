package sieve_test

import (
	"io"
	"strings"
	"testing"

	"posta/internal/message"
	"posta/internal/sieve"
	"posta/internal/words"
)

// edited runs a script and gives the message that its keep takes, as text with LF.
func edited(t *testing.T, script, text string) string {
	t.Helper()
	s, err := sieve.Compile([]byte(script), sieve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := letter(text)
	r := s.Run(m, &newWorld().env)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, a := range r.Actions {
		if a.Kind == sieve.Keep && a.Edited != nil {
			m = a.Edited
		}
	}
	b, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if m.Tree != nil { // it describes exactly these octets
		want := message.ParseBytes(b, message.Budget{})
		if m.Tree.Body != want.Body || m.Tree.End != want.End || m.Tree.Envelope.Subject != want.Envelope.Subject {
			t.Errorf("the tree has body %d to %d, %q; the message %d to %d, %q", m.Tree.Body, m.Tree.End, m.Tree.Envelope.Subject, want.Body, want.End, want.Envelope.Subject)
		}
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

const plain = "Received: from x\nFrom: a@b.example\nSubject: one\nSubject: two\nSubject: three\n\nbody\n"

// RFC 5293 §4 and §5, and what scripts may not touch.
func TestEditHeader(t *testing.T) {
	for _, c := range []struct{ name, script, old, becomes string }{
		{"addheader goes to the top", `addheader "X-Sieve" "yes";`, "Received:", "X-Sieve: yes\nReceived:"},
		{"addheader :last", `addheader :last "X-Sieve" "yes";`, "three\n", "three\nX-Sieve: yes\n"},
		{"text beyond ASCII becomes encoded words", `addheader "X-Ä" "año"; `, "", "!"},
		{"encoded", `addheader "X-A" "año";`, "Received:", "X-A: =?utf-8?q?a=C3=B1o?=\nReceived:"},
		{"deleteheader, all", `deleteheader "subject";`, "Subject: one\nSubject: two\nSubject: three\n", ""},
		{"deleteheader :index", `deleteheader :index 2 "Subject";`, "Subject: two\n", ""},
		{"deleteheader :index :last", `deleteheader :index 1 :last "Subject";`, "Subject: three\n", ""},
		{"deleteheader with a value", `deleteheader :contains "Subject" ["thr", "zz"];`, "Subject: three\n", ""},
		{"deleteheader with an index and a value that is not there", `deleteheader :index 1 :is "Subject" "two";`, "", ""},
		{"Received stays", `deleteheader "Received"; addheader "Received" "forged";`, "", ""},
		{"MIME stays", `deleteheader "Content-Type"; addheader "MIME-Version" "2.0";`, "", ""},
		{"later tests see it", `addheader "X-A" "1"; if header :is "x-a" "1" { addheader "X-B" "2"; }`, "Received:", "X-B: 2\nX-A: 1\nReceived:"},
		{"what is deleted is no more", `deleteheader "from"; if exists "from" { addheader "X-B" "2"; }`, "From: a@b.example\n", ""},
	} {
		if c.becomes == "!" { // no name
			if _, err := sieve.Compile([]byte("require \"editheader\";\n"+c.script), sieve.Options{}); err == nil {
				t.Errorf("%s: compiled", c.name)
			}
			continue
		}
		got := edited(t, "require \"editheader\";\n"+c.script, plain)
		want := plain
		if c.old != "" {
			want = strings.Replace(plain, c.old, c.becomes, 1)
		}
		if got != want {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, want)
		}
	}
}

// Every recipe compiles, and label does what the guide wants (S92–S95): a label before the
// subject, the old one kept, encoded words read and written, only for that sender, once.
func TestRecipes(t *testing.T) {
	label := ""
	for _, r := range sieve.Recipes() {
		if _, err := sieve.Compile([]byte(r.Text), sieve.Options{}); err != nil || r.What == "" {
			t.Errorf("%s: %v", r.Name, err)
		}
		if !words.Has("sieve.recipe." + r.Name) {
			t.Errorf("%s has no words", r.Name)
		}
		if r.Name == "label" {
			label = r.Text
		}
	}
	for _, c := range []struct{ name, from, subject, want string }{
		{"plain", "notificacion@correos.es", "Su paquete", "Subject: [CORREOS] Su paquete\nOld-Subject: Su paquete\n"},
		{"encoded words in, encoded words out", "notificaciones@aviso.correos.es", "=?iso-8859-1?Q?Env=EDo_a_Espa=F1a?=",
			"Subject: =?utf-8?q?=5BCORREOS=5D_Env=C3=ADo_a_Espa=C3=B1a?=\nOld-Subject: =?utf-8?q?Env=C3=ADo_a_Espa=C3=B1a?=\n"},
		{"somebody else", "notificacion@correos.es.malo.example", "Su paquete", ""},
		{"labelled already", "notificacion@correos.es", "Re: [CORREOS] Su paquete", ""},
	} {
		text := "Received: from x\nFrom: Correos <" + c.from + ">\nSubject: " + c.subject + "\n\nbody\n"
		want := text
		if c.want != "" {
			want = c.want + strings.Replace(text, "Subject: "+c.subject+"\n", "", 1)
		}
		if got := edited(t, label, text); got != want {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, want)
		}
	}
}
