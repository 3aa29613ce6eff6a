package audit

import (
	"slices"
	"testing"

	"posta/internal/resolver"
)

// CH-DNS-04: whether the resolver of our own host validates, and whether it is a public
// one, which the DNS lists do not answer. Of a stranger's audit it says nothing.
func TestOwnResolver(t *testing.T) {
	for _, tc := range []struct {
		what string
		root []string
		asks []string
		want []string
	}{
		{"it validates, on this host", []string{"SECURE", "NS a.root.test"}, []string{"127.0.0.1"}, nil},
		{"it does not", []string{"NS a.root.test"}, []string{"::1"}, []string{"resolver.plain mx.good.test"}},
		{"it does not answer", []string{"FAIL timeout"}, nil, []string{"resolver.plain mx.good.test ?"}},
		{"public ones, one of them IPv6", []string{"SECURE", "NS a.root.test"}, []string{"8.8.8.8", "192.0.2.53", "2606:4700:4700::1111"},
			[]string{"resolver.public 2606:4700:4700::1111", "resolver.public 8.8.8.8"}},
		{"the neighbour of a public one", []string{"SECURE", "NS a.root.test"}, []string{"8.8.8.9"}, nil},
	} {
		a := &audit{cfg: Config{Resolver: resolver.Static{".": tc.root}}, Target: Target{Domain: "good.test", Self: &Self{Hostname: "mx.good.test", Resolvers: addrs(tc.asks...)}}}
		r := Report{Findings: ownResolver(t.Context(), a)}
		if got := outcomes(&r, "resolver"); !slices.Equal(got, tc.want) || len(r.Findings) != 1+len(tc.asks) {
			t.Errorf("%s: %v, want %v", tc.what, r.Findings, tc.want)
		}
		a.Self = nil
		if f := ownResolver(t.Context(), a); f != nil {
			t.Errorf("%s: of a stranger %v", tc.what, f)
		}
	}
}
