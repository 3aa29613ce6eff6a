package tlsrpt

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	for _, c := range []struct {
		what  string
		texts []string
		want  []string
	}{
		{"RFC 8460 §3.1.1", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, []string{"mailto:reports@example.com"}},
		{"RFC 8460 §3.1.2", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, []string{"https://reporting.example.com/v1/tlsrpt"}},
		{"two receivers", []string{"v=TLSRPTv1; rua=mailto:a@example.com , https://b.example/;"}, []string{"mailto:a@example.com", "https://b.example/"}},
		{"somebody else's record beside it", []string{"v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@example.com"}, []string{"mailto:a@example.com"}},
		{"twice", []string{"v=TLSRPTv1;rua=mailto:a@example.com", "v=TLSRPTv1;rua=mailto:b@example.com"}, nil},
		{"another version", []string{"v=TLSRPTv2;rua=mailto:a@example.com"}, nil},
		{"no rua", []string{"v=TLSRPTv1;"}, nil},
	} {
		if got := ParseRecord(c.texts); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.what, got)
		}
	}
}

// What stands in a TLSRPT record comes as it stands.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@example.org,https://example.org/")
	f.Fuzz(func(t *testing.T, s string) {
		for _, u := range ParseRecord([]string{s}) {
			if !strings.Contains(s, u) || strings.ContainsAny(u, ";,") {
				t.Errorf("%q gives %q", s, u)
			}
		}
		if ParseRecord([]string{s, s}) != nil {
			t.Error("two records")
		}
	})
}
