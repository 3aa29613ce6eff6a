package dmarcreport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// summary tells what was read, a line for each record and each note.
func summary(r *Report) string {
	var b strings.Builder
	at := func(t time.Time) string { return t.Format(time.RFC3339) }
	m, p := r.Metadata, r.Published
	fmt.Fprintln(&b, m.Org, m.Email, m.ReportID, at(m.Begin), at(m.End))
	fmt.Fprintf(&b, "%s p=%s sp=%s np=%s adkim=%s aspf=%s testing=%s\n", p.Domain, p.Policy, p.Sub, p.Absent, p.ADKIM, p.ASPF, p.Testing)
	for _, x := range r.Records {
		ip := "?"
		if x.Source.IsValid() {
			ip = x.Source.String()
		}
		fmt.Fprintf(&b, "%s %d %s dkim=%s spf=%s from=%s", ip, x.Count, x.Disposition, x.DKIM, x.SPF, x.HeaderFrom)
		if x.EnvFrom != "" {
			fmt.Fprintf(&b, " env=%s", x.EnvFrom)
		}
		if x.EnvTo != "" {
			fmt.Fprintf(&b, " to=%s", x.EnvTo)
		}
		for _, why := range x.Reasons {
			fmt.Fprintf(&b, " %s(%s)", why.Type, why.Comment)
		}
		for _, d := range x.DKIMAuth {
			fmt.Fprintf(&b, " dkim(%s %s %s)", d.Domain, d.Selector, d.Result)
		}
		for _, s := range x.SPFAuth {
			fmt.Fprintf(&b, " spf(%s %s %s)", s.Domain, s.Scope, s.Result)
		}
		fmt.Fprintln(&b)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&b, "!", n)
	}
	return b.String()
}

func samples(t testing.TB) (names []string, xml, want map[string][]byte) {
	a, err := txtar.ParseFile("testdata/samples.txtar")
	if err != nil {
		t.Fatal(err)
	}
	xml, want = map[string][]byte{}, map[string][]byte{}
	for _, f := range a.Files {
		if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			want[name] = f.Data
		} else {
			names, xml[f.Name] = append(names, f.Name), f.Data
		}
	}
	return names, xml, want
}

// What reporters send is read; what we write of it is read as the same.
func TestSamples(t *testing.T) {
	names, xml, want := samples(t)
	for _, name := range names {
		r, err := Parse(bytes.NewReader(xml[name]), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(r); got != string(want[name]) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want[name])
		}
		roundTrip(t, r)
	}
}

// roundTrip holds that what is written is read as the same.
func roundTrip(t testing.TB, r *Report) {
	t.Helper()
	again, err := Parse(bytes.NewReader(r.AppendXML(nil)), Limits{})
	if err != nil {
		t.Fatalf("what we wrote: %v\n%s", err, r.AppendXML(nil))
	}
	a, b := *r, *again
	a.Notes, b.Notes, a.Namespace, b.Namespace, a.Published.Percent = nil, nil, "", "", ""
	if a.Version == "" {
		a.Version = "1.0"
	}
	if a.Metadata.Begin.IsZero() { // no second since 1970 says so
		b.Metadata.Begin, b.Metadata.End = time.Time{}, time.Time{}
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("written and read again:\n%+v\nwas\n%+v", b, a)
	}
}

// Charsets that are not what they say.
func TestCharsets(t *testing.T) {
	const form = `<?xml version="1.0" encoding="%s"?><feedback><report_metadata><org_name>%s</org_name></report_metadata></feedback>`
	utf16 := func(s string) string {
		out := []byte{0xff, 0xfe}
		for _, r := range s {
			out = append(out, byte(r), byte(r>>8))
		}
		return string(out)
	}
	for _, c := range []struct{ what, in, org string }{
		{"a byte order mark", "\xef\xbb\xbf" + fmt.Sprintf(form, "UTF-8", "Ñandú"), "Ñandú"},
		{"windows-1252, and said so", fmt.Sprintf(form, "windows-1252", "Correo Se\xf1or \x80"), "Correo Señor €"},
		{"latin-1 that claims to be UTF-8", fmt.Sprintf(form, "utf-8", "Se\xf1or"), "Señor"},
		{"UTF-8 that claims to be latin-1", fmt.Sprintf(form, "ISO-8859-1", "Señor"), "Señor"},
		{"no charset that anybody knows", fmt.Sprintf(form, "x-unknown", "A"), "A"},
		{"UTF-16", utf16(fmt.Sprintf(form, "UTF-16", "Señor")), "Señor"},
		{"control characters", fmt.Sprintf(form, "UTF-8", "a\x00b\x1fc\xef\xbf\xbf"), "a b c\uFFFD"},
	} {
		r, err := Parse(strings.NewReader(c.in), Limits{})
		if err != nil || r.Metadata.Org != c.org {
			t.Errorf("%s: %v %+v", c.what, err, r)
		}
	}
}

// endless repeats its text until n octets were read.
type endless struct {
	text string
	n    int64
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.n > 0 {
		m := copy(p[n:], e.text[e.at:])
		n, e.at, e.n = n+m, (e.at+m)%len(e.text), e.n-int64(m)
	}
	return n, nil
}

// Hostile reports end at a limit.
func TestHostile(t *testing.T) {
	const many = 100 << 20
	for _, c := range []struct {
		what string
		in   io.Reader
		lim  Limits
		want error
	}{
		{"nothing", strings.NewReader(""), Limits{}, ErrNotReport},
		{"no XML", strings.NewReader("PK\x03\x04 not really"), Limits{}, ErrNotReport},
		{"a web page", strings.NewReader("<!DOCTYPE html><html><body>hello</body></html>"), Limits{}, ErrNotReport},
		{"tags that cross", strings.NewReader("<feedback><record></feedback></record>"), Limits{}, ErrSyntax},
		{"cut off before a record", strings.NewReader("<feedback><report_metadata>"), Limits{}, ErrSyntax},
		{"100 MB in one text", io.MultiReader(strings.NewReader("<feedback><version>"), &endless{text: "a", n: many}), Limits{}, ErrLimit},
		{"100 MB in one attribute", io.MultiReader(strings.NewReader("<feedback x='"), &endless{text: "a", n: many}), Limits{}, ErrLimit},
		{"100 MB in a comment", io.MultiReader(strings.NewReader("<feedback><!-- "), &endless{text: "a", n: many}), Limits{}, ErrLimit},
		{"100 MB of declarations", io.MultiReader(strings.NewReader("<!DOCTYPE feedback ["), &endless{text: "<!ENTITY a 'b'>", n: many}), Limits{}, ErrLimit},
		{"deep", io.MultiReader(strings.NewReader("<feedback>"), &endless{text: "<a>", n: many}), Limits{}, ErrLimit},
		{"tags without end", io.MultiReader(strings.NewReader("<feedback>"), &endless{text: "<a/>", n: many}), Limits{Tags: 10000}, ErrLimit},
		{"records without end", io.MultiReader(strings.NewReader("<feedback>"), &endless{text: "<record/>", n: many}), Limits{Records: 1000}, ErrLimit},
		{"octets without end", io.MultiReader(strings.NewReader("<feedback>"), &endless{text: "<a> </a>", n: many}), Limits{Bytes: 100000}, ErrLimit},
	} {
		if r, err := Parse(c.in, c.lim); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %+v", c.what, err, r)
		}
	}
}

// Entities are never expanded (the "billion laughs").
func TestLaughs(t *testing.T) {
	in := `<!DOCTYPE feedback [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>
<feedback><report_metadata><org_name>&b;&c;</org_name></report_metadata></feedback>`
	r, err := Parse(strings.NewReader(in), Limits{})
	if err != nil || r.Metadata.Org != "&b;&c;" {
		t.Errorf("%v %+v", err, r)
	}
}

// A read error is not taken for a broken report.
func TestReadError(t *testing.T) {
	broken := errors.New("disk")
	_, err := Parse(io.MultiReader(strings.NewReader("<feedback>"), failing{broken}), Limits{})
	if !errors.Is(err, broken) || errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What is written has the names and the order of RFC 9990.
func TestWrite(t *testing.T) {
	r := &Report{
		Metadata:  Metadata{Org: "mx.example.org", Email: "dmarc@example.org", ReportID: "r1", Begin: time.Unix(1772409600, 0), End: time.Unix(1772495999, 0), Generator: "Posta"},
		Published: Published{Domain: "example.com", Policy: "reject", Testing: "n", Discovery: "treewalk"},
		Records: []Record{{
			Source: netip.MustParseAddr("192.0.2.1"), Count: 3, Disposition: "none", DKIM: "fail", SPF: "fail", Reasons: []Reason{{"mailing_list", "a < b"}},
			HeaderFrom: "example.com", EnvFrom: "lists.example", DKIMAuth: []DKIMResult{{"lists.example", "s", "pass", ""}}, SPFAuth: []SPFResult{{"lists.example", "mfrom", "pass", ""}},
		}},
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>mx.example.org</org_name>
    <email>dmarc@example.org</email>
    <report_id>r1</report_id>
    <date_range>
      <begin>1772409600</begin>
      <end>1772495999</end>
    </date_range>
    <generator>Posta</generator>
  </report_metadata>
  <policy_published>
    <domain>example.com</domain>
    <discovery_method>treewalk</discovery_method>
    <p>reject</p>
    <testing>n</testing>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.1</source_ip>
      <count>3</count>
      <policy_evaluated>
        <disposition>none</disposition>
        <dkim>fail</dkim>
        <spf>fail</spf>
        <reason>
          <type>mailing_list</type>
          <comment>a &lt; b</comment>
        </reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>example.com</header_from>
      <envelope_from>lists.example</envelope_from>
    </identifiers>
    <auth_results>
      <dkim>
        <domain>lists.example</domain>
        <selector>s</selector>
        <result>pass</result>
      </dkim>
      <spf>
        <domain>lists.example</domain>
        <scope>mfrom</scope>
        <result>pass</result>
      </spf>
    </auth_results>
  </record>
</feedback>
`
	if got := string(r.AppendXML(nil)); got != want {
		t.Errorf("%s", got)
	}
	if got := Filename("mx.example.org", "example.com", r.Metadata.Begin, r.Metadata.End, "r1", "xml.gz"); got != "mx.example.org!example.com!1772409600!1772495999!r1.xml.gz" {
		t.Error(got)
	}
	if got := Subject("example.com", "mx.example.org", "r1"); got != "Report Domain: example.com Submitter: mx.example.org Report-ID: <r1>" {
		t.Error(got)
	}
}

// Whatever comes is read within the limits, and what is written of it reads the same.
func FuzzParse(f *testing.F) {
	names, xml, _ := samples(f)
	for _, n := range names {
		f.Add(xml[n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := Limits{Records: 50, Depth: 10, Tags: 1000, Piece: 2000}
		r, err := Parse(bytes.NewReader(b), lim)
		if err != nil {
			return
		}
		if len(r.Records) > lim.Records || len(r.Notes) > maxNotes {
			t.Fatalf("%d records, %d notes", len(r.Records), len(r.Notes))
		}
		roundTrip(t, r)
	})
}

// BenchmarkParse reads a report of a thousand records.
func BenchmarkParse(b *testing.B) {
	_, xml, _ := samples(b)
	r, err := Parse(bytes.NewReader(xml["google.xml"]), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for len(r.Records) < 1000 {
		r.Records = append(r.Records, r.Records[0])
	}
	text := r.AppendXML(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(text), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostile reads a megabyte of each shape that a parser may be slow with: the
// octets in a second are of one order, so that none costs more than its size.
func BenchmarkHostile(b *testing.B) {
	const size = 1 << 20
	fill := func(head, text, tail string) string {
		return head + strings.Repeat(text, (size-len(head)-len(tail))/len(text)) + tail
	}
	for _, c := range []struct{ name, in string }{
		{"report", fill("<feedback>", "<record><row><count>1</count></row></record>", "</feedback>")},
		{"attributes", fill("<feedback>", "<a "+strings.Repeat("b='c' ", 10000)+"/>", "</feedback>")},
		{"entities", fill("<feedback>", "<a>"+strings.Repeat("&lt;&b;", 8000)+"</a>", "</feedback>")},
		{"comments", fill("<feedback>", "<!--"+strings.Repeat("- ", 30000)+"-->", "</feedback>")},
		{"tags", fill("<feedback>", "<a/>", "</feedback>")},
		{"depth", fill("<feedback>", strings.Repeat("<a>", 30)+strings.Repeat("</a>", 30), "</feedback>")},
		{"notes", fill("<feedback>", "<record><row><source_ip>x</source_ip><count>y</count></row></record>", "</feedback>")},
		{"dates", fill("<feedback>", "<date_range><begin>no time</begin></date_range>", "</feedback>")},
		{"windows-1252", fill("<feedback>", "<a>\xe9\xe8\xff</a>", "</feedback>")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, err := Parse(strings.NewReader(c.in), Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
