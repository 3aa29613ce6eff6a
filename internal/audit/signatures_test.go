package audit

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/dkim"
	"posta/internal/finding"
)

const signedHeader = "From: Ines <ines@good.test>\r\nTo: ana@empresa.test\r\nSubject: Hola\r\nDate: Tue, 1 Dec 2026 12:00:00 +0000\r\nMessage-ID: <1@good.test>\r\n" +
	"List-Unsubscribe: <https://good.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n"

func sign(t *testing.T, header, domain string, names []string, oversign []string) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := dkim.NewBodyHash(dkim.Relaxed).Sum()
	field, err := dkim.Sign([]byte(header), sum, []dkim.Key{{Domain: domain, Selector: "s1", Signer: crypto.Signer(private)}}, dkim.SignOptions{Now: today, Headers: names, Oversign: oversign})
	if err != nil {
		t.Fatal(err)
	}
	return append(field, header...)
}

// CH-DKIM-05: what a signature leaves open is told, with whom it signs for.
func TestSignatures(t *testing.T) {
	for _, tc := range []struct {
		what, domain string
		names        []string
		want         finding.Outcome
		facts        []string
	}{
		{"all that matters", "good.test", nil, finding.Pass, []string{"aligned with From: true", "unsigned: none", "t: " + today.Format(time.RFC3339)}},
		{"From and Date alone", "mail.good.test", []string{"From", "Date"}, finding.Fail,
			[]string{"aligned with From: true", "unsigned: To, Subject, Message-ID, List-Unsubscribe, List-Unsubscribe-Post", "another may be added of: "}},
		{"of another", "vendor.example", nil, finding.Pass, []string{"aligned with From: false"}},
	} {
		oversign := []string(nil)
		if tc.names != nil {
			oversign = []string{"Date"}
		}
		found := Signatures(sign(t, signedHeader, tc.domain, tc.names, oversign))
		if len(found) != 1 || found[0].Outcome != tc.want || found[0].Subject != "s1._domainkey."+tc.domain {
			t.Fatalf("%s: %v", tc.what, found)
		}
		var seen []string
		for _, f := range found[0].Evidence {
			seen = append(seen, f.What+": "+f.Seen)
		}
		for _, want := range tc.facts {
			if !strings.Contains(strings.Join(seen, "\n"), want) {
				t.Errorf("%s: no %q in %v", tc.what, want, seen)
			}
		}
	}
	if found := Signatures([]byte(signedHeader)); found != nil {
		t.Errorf("an unsigned message: %v", fmt.Sprint(found))
	}
}
