package learn

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"posta/internal/spam/spamtest"
	"posta/internal/spam/tally"
)

func mustRead(t testing.TB, b []byte) Features {
	t.Helper()
	f, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names are the features of a message, sorted.
func names(f Features) []string {
	var out []string
	for i := range f.set.list {
		where, what := f.set.split(i)
		if where != "text" {
			what = where + ":" + what
		}
		out = append(out, what)
	}
	slices.Sort(out)
	return out
}

// Words are folded; tricks are undone and noted.
func TestWords(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"case and accents", "Préstamo FÁCIL", "prestamo facil prestamo+facil"},
		{"punctuation", `"Hello," (world)... it's e-mail`, "hello world it's e-mail hello+world world+it's it's+e-mail"},
		{"exclamation", "Free!!", "free free!"},
		{"money and per cent", "$500 100% 12345", "$500 100% 00000 $500+100% 100%+00000"},
		{"digits for letters", "v1agr4x pr0fit", "v1agr4x (digits)viagrax pr0fit (digits)profit v1agr4x+pr0fit"},
		{"digits that are no letters", "mp3 win2k", "mp3 win2k mp3+win2k"},
		{"spaced letters", "F R E E money", "(spaced)free money"},
		{"Cyrillic in a Latin word", "p\u0430yp\u0430l", "(lookalikes) paypal"},
		{"a Cyrillic word is itself", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439", "\u0440\u0443\u0441\u0441\u043a\u0438\u0438"},
		{"zero width", "vi\u200bag\u200bra", "(invisible+characters) viagra"},
		{"full width", "ＦＲＥＥ", "free"},
		{"URLs are links", "see http://a.example/x now", "see (url) now see+(url) (url)+now"},
		{"one letter", "a b c", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSet()
			takeWords(s, "", c.text, true)
			var got []string
			for i := range s.list {
				_, what := s.split(i)
				got = append(got, strings.ReplaceAll(what, " ", "+"))
			}
			want := strings.Fields(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// What is taken of each place of a message.
func TestFeatures(t *testing.T) {
	f := mustRead(t, []byte(strings.ReplaceAll(`Received: from dyn-1-2.isp.example ([192.0.2.7]) by mx.example.org with SMTP id ABCDEF123; Mon, 5 Jan 2026 10:00:00 +0000
From: "Tu Banco" <aviso@bank.example>
Subject: =?utf-8?q?Cr=C3=A9dito?=
Message-ID: <12ab$34@mail.example>
Date: Mon, 5 Jan 2026 10:00:00 -0300
X-Spam-Flag: YES
Delivery-date: Mon, 5 Jan 2026 10:00:00 +0000
DKIM-Signature: v=1; b=abcdefg
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="xx99"

--xx99
Content-Type: text/html; charset=UTF-8

<p>Hola<span style="display:none">truco</span> <a href="http://u@www.shop.example:81/win.php?id=9">ya</a></p>
--xx99
Content-Type: application/zip; name="Factura.pdf.zip"

x
--xx99--
`, "\n", "\r\n")))
	got := names(f)
	for _, want := range strings.Fields(`hola hola+ya hidden:truco from:tu from:banco from:@bank.example from:@example from-local:aviso subject:credito
		subject-charset:utf-8 message-id:@mail.example message-id-shape:99aa$99 zone:-0300 has:dkim-signature boundary:"aa99"
		helo-shape:aa-9-9.aa.aa received:isp.example received:192.0.2 received:192.0.2.7 received:smtp hops:1
		link:www.shop.example link:shop.example link:user@ link::81 path:win path:php path:9
		mime:mixed(html,zip) type:application/zip charset:utf-8 file:.zip file:factura.pdf.zip html:hidden+text html:no+plain+text`) {
		if !slices.Contains(got, strings.ReplaceAll(want, "+", " ")) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, n := range got {
		if strings.Contains(n, "x-spam") || strings.Contains(n, "abcdef") || strings.Contains(n, "delivery-date") {
			t.Errorf("%q should not be learned", n)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// trained is a learner of n made messages of each kind.
func trained(t testing.TB, n int) *Learner {
	t.Helper()
	l := New(new(tally.Memory))
	for i, b := range spamtest.Mail(1, n) {
		if err := l.Learn(t.Context(), tally.Shared, mustRead(t, b), i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func judged(t testing.TB, l *Learner, m tally.Model, f Features) Outcome {
	t.Helper()
	o, err := l.Judge(t.Context(), m, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Untrained it says nothing; with nine of a kind still nothing.
func TestUntrained(t *testing.T) {
	spam := mustRead(t, spamtest.Mail(2, 1)[0])
	for _, l := range []*Learner{New(new(tally.Memory)), trained(t, fewest-1)} {
		if o := judged(t, l, tally.Shared, spam); o.Verdict != Unsure || o.Score != 0.5 || len(o.Reasons) != 0 {
			t.Errorf("after %v: %+v", o.Trained, o)
		}
	}
}

// Made mail is told apart, and the reasons are counts that were really seen.
func TestJudge(t *testing.T) {
	l := trained(t, 200)
	for i, b := range spamtest.Mail(3, 50) {
		o := judged(t, l, tally.Shared, mustRead(t, b))
		if want := [...]Verdict{Spam, Ham}[i%2]; o.Verdict != want {
			t.Errorf("message %d: %v (%.2f of %.2f), want %v: %+v", i, o.Verdict, o.Evidence, o.Threshold, want, o.Reasons)
		}
		if len(o.Reasons) != maxReasons || o.Telling < maxReasons || o.Trained != (tally.Count{Spam: 200, Ham: 200}) {
			t.Fatalf("message %d: %+v", i, o)
		}
		for j, r := range o.Reasons {
			if (r.Weight > 0) != (r.Seen.Spam > r.Seen.Ham) || (r.Probability > 0.5) != (r.Weight > 0) || r.Where == "" || r.What == "" {
				t.Errorf("reason %+v", r)
			}
			if j > 0 && max(r.Weight, -r.Weight) > max(o.Reasons[j-1].Weight, -o.Reasons[j-1].Weight)+1e-9 {
				t.Errorf("reason %d is stronger than the one before", j)
			}
		}
	}
}

// The order of learning does not matter, and unlearning leaves no trace.
func TestOrderAndUnlearn(t *testing.T) {
	mail := spamtest.Mail(4, 60)
	learn := func(order []int) *Learner {
		l := New(new(tally.Memory))
		for _, i := range order {
			if err := l.Learn(t.Context(), tally.Shared, mustRead(t, mail[i]), i%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(mail))
	a := learn(order)
	sorted := slices.SortedFunc(slices.Values(order), func(x, y int) int { return cmp.Compare(x%2, y%2) })
	b := learn(sorted)
	wrong := mustRead(t, spamtest.Mail(5, 1)[0])
	if err := b.Learn(t.Context(), tally.Shared, wrong, false); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlearn(t.Context(), tally.Shared, wrong, false); err != nil {
		t.Fatal(err)
	}
	for i, m := range spamtest.Mail(6, 20) {
		f := mustRead(t, m)
		if x, y := judged(t, a, tally.Shared, f), judged(t, b, tally.Shared, f); x.Evidence != y.Evidence || x.Threshold != y.Threshold {
			t.Errorf("message %d: %v and %v", i, x.Evidence, y.Evidence)
		}
	}
}

// An account's own training outweighs the shared model for what it has seen, and
// touches nobody else.
func TestAccount(t *testing.T) {
	l := trained(t, 100)
	mail := spamtest.Mail(7, 6)
	wanted := mustRead(t, mail[0]) // a newsletter that everybody else calls spam
	if o := judged(t, l, "ana", wanted); o.Verdict != Spam {
		t.Fatalf("before: %+v", o)
	}
	for range 3 {
		if err := l.Learn(t.Context(), "ana", wanted, false); err != nil {
			t.Fatal(err)
		}
	}
	if o := judged(t, l, "ana", wanted); o.Verdict == Spam {
		t.Errorf("after three of her own: %.2f of %.2f %+v", o.Evidence, o.Threshold, o.Reasons)
	}
	if o := judged(t, l, "luis", wanted); o.Verdict != Spam {
		t.Errorf("another account: %+v", o)
	}
	if o := judged(t, l, "ana", mustRead(t, mail[1])); o.Verdict != Ham {
		t.Errorf("her ordinary mail: %+v", o)
	}
	if c, err := l.Counts(t.Context(), "ana"); err != nil || c != (tally.Count{Ham: 3}) {
		t.Errorf("counts: %v %v", c, err)
	}
	if err := l.Reset(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	if o := judged(t, l, "ana", wanted); o.Verdict != Spam {
		t.Errorf("after a reset: %+v", o)
	}
}

// A corpus of a maildir, an mbox and files is learned as a whole.
func TestImport(t *testing.T) {
	mail := spamtest.Mail(8, 5)
	mbox := "From a@example Mon Jan  5 10:00:00 2026\n" + string(mail[1]) + "\nFrom b@example Mon Jan  5 10:00:00 2026\nSubject: x\n\n>From here on\n"
	fsys := fstest.MapFS{
		"spam/one.eml":        {Data: mail[0]},
		"spam/sub/two.eml":    {Data: mail[2]},
		"ham/old.mbox":        {Data: []byte(mbox)},
		"ham/cur/1:2,S":       {Data: mail[3]},
		"ham/new/2":           {Data: mail[5]},
		"ham/tmp/3":           {Data: mail[7]},
		"ham/.hidden":         {Data: mail[9]},
		"ham/dovecot-uidlist": {Data: []byte("3 V1")},
	}
	l := New(new(tally.Memory))
	for kind, spam := range map[string]bool{"spam": true, "ham": false} {
		n, err := l.Import(t.Context(), tally.Shared, func(yield func(Sample, error) bool) {
			for b, err := range Corpus(fsys, kind) {
				var s Sample
				if err == nil {
					s = Sample{Features: mustRead(t, b), Spam: spam}
				}
				if !yield(s, err) {
					return
				}
			}
		})
		if want := map[string]tally.Count{"spam": {Spam: 2}, "ham": {Ham: 4}}[kind]; err != nil || n != want {
			t.Errorf("%s: learned %v, %v, want %v", kind, n, err, want)
		}
	}
	if c, _ := l.Counts(t.Context(), tally.Shared); c != (tally.Count{Spam: 2, Ham: 4}) {
		t.Errorf("counts: %v", c)
	}
}

func TestMbox(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"one message", "Subject: x\n\nFrom now\n", "Subject: x\n\nFrom now\n"},
		{"two", "From a\nA: 1\n\nx\n\nFrom b\nB: 2\n", "A: 1\n\nx\n\n|B: 2\n"},
		{"From in a paragraph", "From a\nA: 1\n\nx\nFrom y\n", "A: 1\n\nx\nFrom y\n"},
		{"a long line", "From a\nA: 1\n\n" + strings.Repeat("x", 100<<10) + "From z\n", "A: 1\n\n" + strings.Repeat("x", 100<<10) + "From z\n"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for b, err := range Mbox(strings.NewReader(c.in)) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(b))
			}
			if s := strings.Join(got, "|"); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// Hostile messages have a bounded number of features.
func TestBounds(t *testing.T) {
	var words strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		words.WriteString(string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))) + " ")
	}
	for name, msg := range map[string]string{
		"words":      "Subject: x\r\n\r\n" + words.String(),
		"subject":    "Subject: " + words.String() + "\r\n\r\n",
		"fields":     strings.Repeat("X-A: b\r\n", 100_000) + "\r\n",
		"one word":   "Subject: x\r\n\r\n" + strings.Repeat("x", 4<<20),
		"received":   strings.Repeat("Received: from a.b.c.d ([1.2.3.4])\r\n", 10_000) + "\r\n",
		"long names": strings.Repeat(strings.Repeat("x", 250)+": "+words.String()[:1000]+"\r\n", 100) + "\r\n",
	} {
		f := mustRead(t, []byte(msg))
		if f.Len() > maxFeatures || len(f.set.names) > maxFeatures*maxFeature {
			t.Errorf("%s: %d features in %d octets", name, f.Len(), len(f.set.names))
		}
	}
}

// Any bytes give the same features twice, within bounds, in UTF-8 where they
// were, and learning and unlearning them leaves nothing.
func FuzzExtract(f *testing.F) {
	for _, m := range spamtest.Mail(1, 2) {
		f.Add(m)
	}
	f.Add([]byte("Received: from x (y [1.2.3.4]); z\r\nFrom: =?x?q?=ff?= <\xff@@.>\r\nContent-Type: text/html\r\n\r\n<a href='http://@:/?#'>v1\u200b\u0430</a>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, b := mustRead(t, raw), mustRead(t, bytes.Clone(raw))
		if !slices.Equal(a.Hashes(), b.Hashes()) || a.Len() > maxFeatures {
			t.Fatal("features differ, or are too many")
		}
		m := new(tally.Memory)
		l := New(m)
		for _, n := range []func() error{
			func() error { return l.Learn(t.Context(), "", a, true) },
			func() error { return l.Unlearn(t.Context(), "", b, true) },
		} {
			if err := n(); err != nil {
				t.Fatal(err)
			}
		}
		_ = m.Models(t.Context(), func(i tally.Info) bool {
			if i.Features != 0 || i.Messages.Total() != 0 {
				t.Errorf("left over: %+v", i)
			}
			return true
		})
		if utf8.Valid(raw) {
			for _, n := range names(a) {
				if len(n) > maxFeature+1 {
					t.Errorf("name of %d octets", len(n))
				}
			}
		}
	})
}

// A message of 12 KiB: parsed, read, features taken, and judged by two models in
// memory; and the judging alone.
func BenchmarkJudge(b *testing.B) {
	l := trained(b, 300)
	for name, spam := range map[string]bool{"html": true, "plain": false} {
		msg := spamtest.Sized(1, spam, 12<<10)
		run := func(what string, f func() (Outcome, error)) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("all", func() (Outcome, error) {
			f, err := Read(msg)
			if err != nil {
				return Outcome{}, err
			}
			return l.Judge(b.Context(), "ana", f)
		})
		f := mustRead(b, msg)
		run("judge", func() (Outcome, error) { return l.Judge(b.Context(), "ana", f) })
	}
}

// A message counts once, however often it is learned; as the other kind it is taken
// back first, so that in the end the counts are those of a learner that heard only
// the last word.
func TestTrainOnce(t *testing.T) {
	l, once := New(new(tally.Memory)), New(new(tally.Memory))
	for i, raw := range spamtest.Mail(3, 10) {
		s, err := SampleOf(raw, i%2 == 0)
		if err != nil {
			t.Fatal(err)
		}
		wrong := s
		wrong.Spam = !s.Spam
		for j, x := range []Sample{wrong, s, s} {
			if _, done, err := l.Train(t.Context(), "", x); err != nil || done != (j < 2) {
				t.Fatal(i, j, done, err)
			}
		}
		lf, err := SampleOf(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), s.Spam)
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := l.Train(t.Context(), "", lf); err != nil || done {
			t.Fatal("line ends make it another message", err)
		}
		if err := once.Learn(t.Context(), "", s.Features, s.Spam); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range spamtest.Mail(4, 5) {
		f, err := Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := l.Judge(t.Context(), "", f)
		b, errB := once.Judge(t.Context(), "", f)
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%+v\n%+v", a, b)
		}
	}
}

// unwritable keeps labels and no counts.
type unwritable struct{ tally.Memory }

func (*unwritable) Add(context.Context, tally.Model, tally.Delta, []tally.Delta) error {
	return io.ErrShortWrite
}

// What could not be written counts when it comes again.
func TestTrainFails(t *testing.T) {
	st := new(unwritable)
	s, err := SampleOf(spamtest.Mail(3, 1)[0], true)
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := New(st).Train(t.Context(), "", s); done || !errors.Is(err, io.ErrShortWrite) {
		t.Fatal(done, err)
	}
	if _, done, err := New(&st.Memory).Train(t.Context(), "", s); !done || err != nil {
		t.Fatal(done, err)
	}
}
