package route

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Ways of recipients that have one of their own.
func TestTransports(t *testing.T) {
	r := router(Config{Default: &Next{Host: "smart.test", Port: 587, TLS: Verify}})
	for _, c := range []struct{ hop, want string }{
		{"mx:example.org", "example.org: mx1.example.org:25[2001:db8::1 192.0.2.1] mx2.example.org:25[192.0.2.2]"},
		{"mx:[192.0.2.7]", "[192.0.2.7]: [192.0.2.7]:25[192.0.2.7]"},
		{"smtp:[127.0.0.1]:10024", "smtp:[127.0.0.1]:10024: [127.0.0.1]:10024[127.0.0.1] fixed"},
		{"smtp:[smart.test]:587", "smtp:[smart.test]:587: smart.test:587[192.0.2.9] fixed verified"},
		{"smtp:example.org", "smtp:example.org: mx1.example.org:25[2001:db8::1 192.0.2.1] mx2.example.org:25[192.0.2.2] fixed"},
		{"lmtp:smart.test", "lmtp:smart.test: smart.test:24[192.0.2.9] fixed lmtp"},
		{"lmtp:[127.0.0.1]:2003", "lmtp:[127.0.0.1]:2003: [127.0.0.1]:2003[127.0.0.1] fixed lmtp"},
		{"lmtp:[IPv6:::1]:2003", "lmtp:[IPv6:::1]:2003: [IPv6:::1]:2003[::1] fixed lmtp"},
		{"lmtp:unix:/run/dovecot/lmtp", "lmtp:unix:/run/dovecot/lmtp: localhost:0[] fixed lmtp /run/dovecot/lmtp"},
		{"lmtp:unix:run/lmtp", "451 4.3.5"},
		{"lmtp:", "451 4.3.5"},
		{"lmtp:nowhere.test", "451 4.3.5"},
		{"uucp:host", "451 4.3.5"},
		{"error:5.1.6:550 Moved", "550 5.1.6"},
	} {
		rt, err := r.Route(t.Context(), c.hop)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(e.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.hop, err, c.want)
			}
			continue
		}
		got, h := rt.Domain+": "+show(rt), rt.Hosts[0]
		if rt.Fixed {
			got += " fixed"
		}
		if h.LMTP {
			got += " lmtp"
		}
		if got = strings.TrimRight(fmt.Sprint(got, " ", h.TLS, h.Socket), " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.hop, got, c.want)
		}
	}
	for hop, want := range map[string]bool{"lmtp:x": true, "mx:example.org": true, "example.org": false, "[IPv6:2001:db8::1]": false, "": false} {
		if IsTransport(hop) != want {
			t.Errorf("IsTransport(%q) is %v", hop, !want)
		}
	}
}
