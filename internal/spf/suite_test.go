package spf

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/resolver"
)

// latin1 gives the octets of a string whose code points below 256 stand for octets.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// split takes a reverse-path apart as the test suite writes it.
func split(mailfrom string) Sender {
	at := strings.LastIndexByte(mailfrom, '@')
	return Sender{Local: mailfrom[:max(at, 0)], Domain: mailfrom[at+1:]}
}

// TestRFC7208Suite runs the openspf.org test suite for RFC 7208 (testdata/rfc7208.LICENSE).
func TestRFC7208Suite(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/rfc7208.json")
	if err != nil {
		t.Fatal(err)
	}
	var suite []struct {
		Description string
		Zone        map[string][]string
		Tests       []struct {
			Name, HELO, Host, MailFrom, Explanation string
			Spec, Result                            []string
		}
	}
	if err := json.Unmarshal(raw, &suite); err != nil {
		t.Fatal(err)
	}
	for _, section := range suite {
		zone := resolver.Static{}
		for name, entries := range section.Zone {
			for i, e := range entries {
				entries[i] = latin1(e)
			}
			zone[strings.ToLower(name)] = entries
		}
		for _, tc := range section.Tests {
			t.Run(strings.ReplaceAll(section.Description+"/"+tc.Name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				res := Check(t.Context(), zone, Args{
					IP: netip.MustParseAddr(tc.Host), HELO: tc.HELO, MailFrom: split(tc.MailFrom),
					ReceiverHost: "mx.receiver.example", Now: time.Unix(1_000_000_000, 0),
				})
				if !slices.Contains(tc.Result, res.Status.String()) {
					t.Errorf("got %v (%v), want %v; RFC 7208 §%v\n%v", res.Status, res.Err, tc.Result, tc.Spec, tree(res))
				}
				if tc.Explanation == "DEFAULT" {
					tc.Explanation = ""
				}
				// The suite writes nibbles in upper case, RFC 7208 §7.4 in lower case.
				if res.Status == Fail && tc.Explanation != "" && !strings.EqualFold(res.Explanation, tc.Explanation) {
					t.Errorf("explanation %q, want %q", res.Explanation, tc.Explanation)
				}
				if (res.Err != nil) != (res.Status == TempError || res.Status == PermError) {
					t.Errorf("%v with error %v", res.Status, res.Err)
				}
				if res.Err != nil && !slices.ContainsFunc(res.Steps, func(s Step) bool { return s.Outcome == Failed }) {
					t.Errorf("an error without a failed step:\n%v", tree(res))
				}
			})
		}
	}
}
