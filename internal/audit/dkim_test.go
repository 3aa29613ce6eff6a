package audit

import (
	"strings"
	"testing"

	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// record makes a key and its record.
func record(t *testing.T) string {
	t.Helper()
	k, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	text, err := dkim.Record(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// rsa1024 is the record of an RSA key of 1024 bits (RFC 6376 Appendix C).
const rsa1024 = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

// Of strangers, what common names lead to is judged, and that there is nothing there
// never is a fault (CH-DKIM-06).
func TestKeysOfStrangers(t *testing.T) {
	good := record(t)
	for _, c := range []struct {
		what string
		keys resolver.Static
		want string
	}{
		{"none of the names", resolver.Static{}, ""},
		{"a good key", resolver.Static{"s1._domainkey.good.test": {"TXT " + good}}, ""},
		{"a weak key", resolver.Static{"s1._domainkey.good.test": {"TXT " + rsa1024}}, "dkim.weak s1._domainkey.good.test"},
		{"for tests only", resolver.Static{"s1._domainkey.good.test": {"TXT " + good + "; t=y"}}, "dkim.testing s1._domainkey.good.test"},
		{"no subdomains", resolver.Static{"s1._domainkey.good.test": {"TXT " + good + "; t=s"}}, "dkim.strict s1._domainkey.good.test"},
		{"SHA-1 only", resolver.Static{"s1._domainkey.good.test": {"TXT " + good + "; h=sha1"}}, "dkim.restricted s1._domainkey.good.test"},
		{"not for mail", resolver.Static{"s1._domainkey.good.test": {"TXT " + good + "; s=tlsrpt"}}, "dkim.restricted s1._domainkey.good.test"},
		{"revoked", resolver.Static{"s1._domainkey.good.test": {"TXT v=DKIM1; p="}}, ""},
		{"cut off (S41)", resolver.Static{"s1._domainkey.good.test": {"TXT " + rsa1024[:120]}}, "dkim.syntax s1._domainkey.good.test"},
		{"in quotes (S41)", resolver.Static{"s1._domainkey.good.test": {`TXT "` + good + `"`}}, "dkim.syntax s1._domainkey.good.test"},
		{"twice (S41)", resolver.Static{"s1._domainkey.good.test": {"TXT " + good, "TXT " + rsa1024}}, "dkim.syntax s1._domainkey.good.test"},
		{"DNS is silent about one", resolver.Static{"s1._domainkey.good.test": {"TXT FAIL timeout"}}, "dkim.syntax good.test ?"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := run(t, c.keys, Target{Domain: "good.test"})
			if got := strings.Join(outcomes(&r, "dkim"), "\n"); got != c.want {
				t.Errorf("found\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Of our own house, the keys that sign must be shown.
func TestOwnKeys(t *testing.T) {
	good, other := record(t), record(t)
	const name = "p1-e._domainkey.good.test"
	for _, c := range []struct {
		what  string
		shown []string
		want  string
	}{
		{"shown, and the only one is Ed25519", []string{"TXT " + good}, "dkim.ed25519-only good.test"},
		{"shown otherwise written", []string{"TXT " + strings.ReplaceAll(good, "; ", ";")}, "dkim.ed25519-only good.test"},
		{"missing", nil, "dkim.published " + name},
		{"another key", []string{"TXT " + other}, "dkim.ed25519-only good.test\ndkim.published " + name},
		{"twice", []string{"TXT " + good, "TXT " + other}, "dkim.published " + name + "\ndkim.syntax " + name},
		{"revoked", []string{"TXT v=DKIM1; k=ed25519; p="}, "dkim.published " + name},
		{"silent", []string{"TXT FAIL timeout"}, "dkim.published " + name + " ?\ndkim.syntax " + name + " ?"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := run(t, resolver.Static{name: c.shown}, Target{Domain: "good.test", Self: &Self{Selectors: map[string]string{"p1-e": good}}})
			if got := strings.Join(outcomes(&r, "dkim"), "\n"); got != c.want {
				t.Errorf("found\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A stranger's findings name no key that we know of.
func TestNotApplicableIsTold(t *testing.T) {
	r := run(t, resolver.Static{}, Target{Domain: "good.test"})
	for _, f := range r.Findings {
		if f.Check == finding.DKIMSyntax && f.Outcome == finding.NotApplicable && strings.Contains(f.Evidence[0].Seen, "0 with a key") {
			return
		}
	}
	t.Errorf("%v", r.Findings)
}
