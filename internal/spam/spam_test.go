package spam

import (
	"bytes"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/message"
	"posta/internal/spam/learn"
	"posta/internal/spam/spamtest"
	"posta/internal/spam/tally"
)

func examine(t testing.TB, raw []byte) *Examination {
	t.Helper()
	e, err := Examine(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sinister has what phishing has.
var sinister = strings.ReplaceAll(`From: a@example.org
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html

<p>Dear customer</p><a href="http://www.bank.example@192.0.2.1/">https://www.bank.example</a>
<div style="display:none">`+strings.Repeat("quiet words of a novel ", 40)+`</div>
--b
Content-Type: application/octet-stream; name="invoice.pdf.exe"

MZ
--b--
`, "\n", "\r\n")

// A message with what phishing has fails the checks that it should, and passes the
// others that apply.
func TestExamine(t *testing.T) {
	e := examine(t, []byte(sinister))
	var set finding.Set
	for _, f := range e.Findings {
		set.Add(f)
	}
	for id, want := range map[finding.ID]finding.Outcome{
		finding.URLAddress: fail, finding.URLCredential: fail, finding.URLMismatch: fail, finding.URLScript: pass,
		finding.URLMany: pass, finding.ContentExecutable: fail, finding.ContentName: fail, finding.ContentMacro: pass,
		finding.ContentEncrypted: pass, finding.ContentArchive: pass,
	} {
		if got := set.Outcome(id); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
		if f, ok := set.Find(id); ok && len(f.Evidence) < 2 {
			t.Errorf("%s has no evidence: %+v", id, f)
		}
	}
	s := Judge(&set, learn.Outcome{}, e.Facts)
	if f := s.Findings(5, 12); f[0].Outcome != fail || f[1].Outcome != fail || len(f[0].Evidence) < 5 || f[0].Evidence[1].What != "content.executable" {
		t.Errorf("%+v: %v", s, f)
	}
	if !e.Facts.Hidden || e.Facts.Shortener {
		t.Errorf("facts: %+v", e.Facts)
	}
}

// Checks do not apply to what a message has not.
func TestNothingToSee(t *testing.T) {
	if e := examine(t, []byte("From: a@example.org\r\n\r\nHello\r\n")); len(e.Findings) != 0 || e.Over {
		t.Errorf("%+v", e)
	}
}

func setOf(outcomes map[finding.ID]finding.Outcome) *finding.Set {
	var s finding.Set
	for id, o := range outcomes {
		s.Add(finding.Of(id, o, "example.org", "seen", "something"))
	}
	return &s
}

func TestJudge(t *testing.T) {
	good := map[finding.ID]finding.Outcome{finding.SPFFail: pass, finding.DMARCFail: pass}
	bad := map[finding.ID]finding.Outcome{finding.SPFFail: fail, finding.DMARCFail: fail, finding.PTRMissing: fail}
	spam := learn.Outcome{Verdict: learn.Spam, Evidence: 3, Threshold: 3}
	sure := learn.Outcome{Verdict: learn.Spam, Evidence: 30, Threshold: 3}
	ham := learn.Outcome{Verdict: learn.Ham, Evidence: -9, Threshold: 3}
	for _, c := range []struct {
		name   string
		set    map[finding.ID]finding.Outcome
		o      learn.Outcome
		facts  Facts
		points float64
		junk   bool
	}{
		{"nothing known", nil, learn.Outcome{}, Facts{}, 0, false},
		{"untrained", nil, learn.Outcome{Threshold: math.Inf(1), Score: 0.5}, Facts{}, 0, false},
		{"well sent", good, learn.Outcome{}, Facts{}, -0.7, false},
		{"well sent by a correspondent", good, learn.Outcome{}, Facts{Known: true}, -4.7, false},
		{"a correspondent's name, forged", bad, learn.Outcome{}, Facts{Known: true}, 7.5, true},
		{"learned", nil, spam, Facts{}, 6, true},
		{"learned, well sent", good, spam, Facts{}, 5.3, true},
		{"learned, but a correspondent", good, spam, Facts{Known: true}, 1.3, false},
		{"learned, quite sure", nil, sure, Facts{}, 9, true},
		{"learned as ham", nil, ham, Facts{}, -3, false},
		{"unsure", nil, learn.Outcome{Evidence: 1.5, Threshold: 3}, Facts{}, 1.3, false},
		{"could not verify counts for nothing", map[finding.ID]finding.Outcome{finding.SPFFail: finding.Unverified, finding.DNSBLListed: finding.Unverified}, learn.Outcome{}, Facts{}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Judge(setOf(c.set), c.o, c.facts)
			junk := s.Findings(5, 12)[0].Outcome == fail
			if s.Points != c.points || junk != c.junk {
				t.Errorf("%.1f, junk %v, want %.1f, %v: %+v", s.Points, junk, c.points, c.junk, s.Reasons)
			}
			sum := 0.0
			for _, r := range s.Reasons {
				sum += r.Points
			}
			if math.Abs(sum-s.Points) > 0.01 {
				t.Errorf("the reasons add up to %.1f, the score is %.1f", sum, s.Points)
			}
		})
	}
	if f := Judge(setOf(bad), learn.Outcome{}, Facts{}).Findings(8, 12); f[0].Outcome != pass || f[1].Outcome != pass {
		t.Errorf("with a threshold of 8: %v", f)
	}
}

// Every row is a check of the catalogue, once for each outcome; the text of the
// table names all.
func TestTable(t *testing.T) {
	printed := PrintTable("es")
	var seen []Row
	for _, r := range Table() {
		if _, ok := finding.Lookup(r.Check); !ok {
			t.Errorf("%s is not in the catalogue", r.Check)
		}
		if (r.Outcome == fail) != (r.Points > 0) || r.Outcome != fail && r.Outcome != pass {
			t.Errorf("%+v: fails count above zero, passes below", r)
		}
		key := Row{Check: r.Check, Outcome: r.Outcome}
		if slices.Contains(seen, key) {
			t.Errorf("%+v stands twice", r)
		}
		seen = append(seen, key)
		if !strings.Contains(printed, string(r.Check)) {
			t.Errorf("%s is not printed", r.Check)
		}
	}
}

// Both languages have a text for each fact, and a reason is a sentence.
func TestTexts(t *testing.T) {
	all, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	for lang, m := range all {
		for _, fact := range []string{Learned, Unsure, Known, History, Shortener, Hidden} {
			if m[fact] == "" {
				t.Errorf("%s: %s has no text", lang, fact)
			}
		}
		if len(m) != 6 {
			t.Errorf("%s: %d texts", lang, len(m))
		}
	}
	r := Reason{Check: finding.SPFFail, Points: 2.5, Detail: "x"}
	if got, want := r.Text("es"), "+2.5 "+finding.TextOf(finding.SPFFail, "es").Title+" (x)"; got != want {
		t.Errorf("%s", got)
	}
	if got := (Reason{Fact: Known, Points: -4}).Text("fr"); got != "-4.0 "+all["en"][Known] {
		t.Errorf("%s", got)
	}
}

// From mail to a score: what was learned tells, in words, why.
func TestLearned(t *testing.T) {
	l := learn.New(new(tally.Memory))
	for i, raw := range spamtest.Mail(1, 200) {
		if err := l.Learn(t.Context(), tally.Shared, examine(t, raw).Features, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, raw := range spamtest.Mail(2, 3) {
		e := examine(t, raw)
		o, err := l.Judge(t.Context(), tally.Shared, e.Features)
		if err != nil {
			t.Fatal(err)
		}
		s := Judge(setOf(nil), o, e.Facts)
		if junk := s.Findings(5, 12)[0].Outcome == fail; junk != (i%2 == 0) {
			t.Errorf("message %d: %+v", i, s)
		}
		if len(s.Reasons) == 0 || s.Reasons[0].Fact != Learned || !strings.Contains(s.Reasons[0].Detail, " spam, ") {
			t.Errorf("message %d: %+v", i, s.Reasons)
		}
	}
}

// A file that is not looked into could not be verified; a bomb fails.
func TestUnopened(t *testing.T) {
	for data, want := range map[string]finding.Outcome{"7z\xbc\xaf\x27\x1c": finding.Unverified, "PK\x03\x04 broken": fail} {
		e := examine(t, []byte("Content-Type: application/octet-stream; name=a\r\n\r\n"+data))
		i := slices.IndexFunc(e.Findings, func(f finding.Finding) bool { return f.Check == finding.ContentArchive })
		if i < 0 || e.Findings[i].Outcome != want {
			t.Errorf("%q: %v", data, e.Findings)
		}
	}
}

// Look finds what Examine finds.
func TestLook(t *testing.T) {
	for i, raw := range append(spamtest.Mail(7, 50), []byte(sinister)) {
		root := message.ParseBytes(raw, message.Budget{})
		want := examine(t, raw)
		got, err := Look(bytes.NewReader(raw), root)
		if err != nil || !reflect.DeepEqual(got.Findings, want.Findings) || !reflect.DeepEqual(got.Links, want.Links) || got.Facts != want.Facts {
			t.Errorf("message %d: %+v, %v\nwant %+v", i, got, err, want)
		}
	}
}

// Reading a message whose tree is parsed already: without what the learner needs,
// and with it.
func BenchmarkExamine(b *testing.B) {
	for _, c := range []struct {
		name string
		html bool
		size int
	}{{"plain-4KiB", false, 4 << 10}, {"plain-12KiB", false, 12 << 10}, {"html-12KiB", true, 12 << 10}} {
		raw := spamtest.Sized(1, c.html, c.size)
		root := message.ParseBytes(raw, message.Budget{})
		for name, read := range map[string]func(io.ReaderAt, *message.Part) (*Examination, error){"look": Look, "features": Examine} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := read(bytes.NewReader(raw), root); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
