package mtasts

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	for _, c := range []struct{ what, text, id, err string }{
		{"RFC 8461 §3.1", "v=STSv1; id=20160831085700Z;", "20160831085700Z", ""},
		{"without the last semicolon", "v=STSv1;id=a1", "a1", ""},
		{"an extension", "v=STSv1; id=a1; x=y;", "a1", ""},
		{"somebody else's record", "v=spf1 -all", "", ErrNoRecord.Error()},
		{"a version that only begins alike", "v=STSv12; id=a;", "", ErrNoRecord.Error()},
		{"two", "v=STSv1; id=a;|v=STSv1; id=b;", "", ErrManyRecords.Error()},
		{"one beside others", "v=spf1 -all|v=STSv1; id=b;", "b", ""},
		{"no id", "v=STSv1; x=1;", "", "has no id"},
		{"a bad id", "v=STSv1; id=a-b;", "", "letters and digits"},
		{"a long id", "v=STSv1; id=" + strings.Repeat("1", 33) + ";", "", "letters and digits"},
		{"a long record", "v=STSv1; id=1; x=" + strings.Repeat("1", 600), "", "octets"},
	} {
		r, err := ParseRecord(strings.Split(c.text, "|"))
		if r.ID != c.id || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
	}
	if r, err := ParseRecord([]string{Record{"x1"}.Text()}); r.ID != "x1" || err != nil {
		t.Errorf("what is written is not read: %+v, %v", r, err)
	}
}

// The policy of RFC 8461 §3.2.
const example = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n"

func TestParsePolicy(t *testing.T) {
	want := Policy{Enforce, 7 * 24 * time.Hour, []string{"mail.example.com", "*.example.net", "backupmx.example.com"}}
	for _, c := range []struct {
		what, text string
		want       Policy
		err        string
	}{
		{"RFC 8461 §3.2", example, want, ""},
		{"lines that end with LF", strings.ReplaceAll(example, "\r", ""), want, ""},
		{"upper case, trailing dot, blanks, an empty line", "version:STSv1\nmode:testing \n\nmx: MX.Example.COM.\nmax_age: 1\n", Policy{Testing, time.Second, []string{"mx.example.com"}}, ""},
		{"none needs no mx", "version: STSv1\nmode: none\nmax_age: 86400\n", Policy{None, 24 * time.Hour, nil}, ""},
		{"of a key repeated, the first counts", "version: STSv1\nmode: none\nmode: enforce\nmax_age: 1\n", Policy{None, time.Second, nil}, ""},
		{"max_age is bounded", "version: STSv1\nmode: none\nmax_age: 9999999999\n", Policy{None, MaxAge, nil}, ""},
		{"no version", "mode: none\nmax_age: 1\n", Policy{}, "no version"},
		{"another version", "version: STSv2\n", Policy{}, "not STSv1"},
		{"no mode", "version: STSv1\nmax_age: 1\n", Policy{}, "no mode"},
		{"a mode unknown", "version: STSv1\nmode: report\n", Policy{}, "there are enforce, testing and none"},
		{"no max_age", "version: STSv1\nmode: none\n", Policy{}, "no max_age"},
		{"max_age with a sign", "version: STSv1\nmode: none\nmax_age: -1\n", Policy{}, "not seconds"},
		{"no mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", Policy{}, "no mx"},
		{"an mx that is no name", "version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 1\n", Policy{}, "no name of a host"},
		{"HTML", "<html>\n", Policy{}, "without a colon"},
		{"too large", strings.Repeat("x: y\n", MaxPolicy), Policy{}, "octets"},
		{"too many mx", strings.Repeat("mx: a.example\n", MaxMX+1), Policy{}, "patterns"},
	} {
		p, err := ParsePolicy([]byte(c.text))
		if !reflect.DeepEqual(p, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v", c.what, p, err)
		}
	}
	if got := want.Text(); got != example {
		t.Errorf("written as %q", got)
	}
}

// RFC 8461 §4.1: a wildcard stands for one label, the leftmost.
func TestLists(t *testing.T) {
	p := Policy{MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "mail2.example.com": false, "a.example.net": true, "a.b.example.net": false,
		"example.net": false, "": false, "net": false,
	} {
		if p.Lists(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

// What was read and is written again reads the same.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("version: STSv1\nmode: testing\nmx: *.ñandú.example\nmax_age: 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePolicy(b)
		if err != nil {
			return
		}
		again, err := ParsePolicy([]byte(p.Text()))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%+v, then %+v, %v", p, again, err)
		}
		if p.Mode == Enforce && len(p.MX) == 0 {
			t.Error("enforce without mx")
		}
	})
}

// A record that was read has an id that is one.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord([]string{s})
		if again, err2 := ParseRecord([]string{r.Text()}); err == nil && (err2 != nil || again != r) {
			t.Errorf("%q: %+v, then %+v, %v", s, r, again, err2)
		}
	})
}
