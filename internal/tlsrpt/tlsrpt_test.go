package tlsrpt

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The example of RFC 8460 Appendix B.
const example = `{
 "organization-name": "Company-X",
 "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
 "contact-info": "sts-reporting@company-x.example",
 "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
 "policies": [{
  "policy": {"policy-type": "sts", "policy-string": ["version: STSv1","mode: testing", "mx: *.mail.company-y.example","max_age: 86400"],
   "policy-domain": "company-y.example", "mx-host": "*.mail.company-y.example"},
  "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
  "failure-details": [
   {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:0012::1", "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
   {"result-type": "starttls-not-supported", "sending-mta-ip": "2001:db8:abcd:0013::1", "receiving-mx-hostname": "mx2.mail.company-y.example", "receiving-ip": "203.0.113.56", "failed-session-count": 200, "additional-information": "https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported"},
   {"result-type": "validation-failure", "sending-mta-ip": "198.51.100.62", "receiving-ip": "203.0.113.58", "receiving-mx-hostname": "mx-backup.mail.company-y.example", "failed-session-count": 3, "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]
 }]
}`

func TestExample(t *testing.T) {
	r, err := Parse(strings.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		Org: "Company-X", Contact: "sts-reporting@company-x.example", ReportID: "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
		Begin: time.Date(2016, 4, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2016, 4, 1, 23, 59, 59, 0, time.UTC),
		Policies: []PolicyResult{{
			Policy:    Policy{TypeSTS, []string{"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"}, "company-y.example", []string{"*.mail.company-y.example"}},
			Succeeded: 5326, Failed: 303,
			Details: []Detail{
				{Type: "certificate-expired", SendingIP: "2001:db8:abcd:0012::1", MXHostname: "mx1.mail.company-y.example", Failed: 100},
				{Type: "starttls-not-supported", SendingIP: "2001:db8:abcd:0013::1", MXHostname: "mx2.mail.company-y.example", ReceivingIP: "203.0.113.56", Failed: 200, Info: "https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported"},
				{Type: "validation-failure", SendingIP: "198.51.100.62", MXHostname: "mx-backup.mail.company-y.example", ReceivingIP: "203.0.113.58", Failed: 3, Reason: "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"},
			},
		}},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v", r)
	}
	roundTrip(t, r)
}

func roundTrip(t *testing.T, r *Report) {
	t.Helper()
	b, err := r.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(strings.NewReader(string(b)))
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if r.Begin.IsZero() || r.End.IsZero() { // the zero time is written as year 1, and is no time
		r.Begin, r.End, again.Begin, again.End = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	if !reflect.DeepEqual(r, again) {
		t.Errorf("written and read again: %+v\nwas %+v", again, r)
	}
}

// What reporters send that is not quite what the RFC says.
func TestOdd(t *testing.T) {
	for _, c := range []struct{ what, in string }{
		{"counts as text, policy-string as one string", `{"organization-name":"o","date-range":{"start-datetime":"2026-03-02 00:00:00","end-datetime":"1772495999"},"report-id":"1","policies":[{"policy":{"policy-type":"STS","policy-domain":"Example.ORG.","policy-string":"version: STSv1"},"summary":{"total-successful-session-count":"7","total-failure-session-count":null}}]}`},
		{"a byte order mark, a number as the id", "\xef\xbb\xbf" + `{"organization-name":"o","date-range":{"start-datetime":"2026-03-02","end-datetime":"2026-03-02T23:59:59Z"},"report-id":1,"policies":[{"policy":{"policy-type":"sts","policy-domain":"example.org","policy-string":["version: STSv1",""]},"summary":{"total-successful-session-count":7,"total-failure-session-count":-4}}]}`},
	} {
		r, err := Parse(strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		p := r.Policies[0]
		if r.ReportID != "1" || r.Begin.Unix() != 1772409600 || r.End.Unix() != 1772495999 || p.Succeeded != 7 || p.Failed != 0 ||
			p.Policy.Domain != "example.org" || p.Policy.Type != TypeSTS || len(p.Policy.Text) != 1 {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
}

func TestNotOne(t *testing.T) {
	for _, in := range []string{"", "{}", "[]", "null", "<feedback/>", `{"policies":7}`, strings.Repeat("[", 20000)} {
		if _, err := Parse(strings.NewReader(in)); !errors.Is(err, ErrNotReport) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if _, err := Parse(io.LimitReader(spaces{}, 1<<40)); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(`{"policies":[{"policy":{"mx-host":[1,"a",null]},"failure-details":[{}]}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := Parse(strings.NewReader(in))
		if err != nil {
			return
		}
		if len(r.Policies) > MaxPolicies {
			t.Fatal(len(r.Policies))
		}
		roundTrip(t, r)
	})
}
