package route

import (
	"errors"
	"testing"

	"posta/internal/resolver"
	"posta/internal/rules"
)

// Rules go before the configuration where they are as near to the domain, and are asked
// anew each time; a next hop that the configuration knows has its login.
func TestWays(t *testing.T) {
	ways := map[string]string{"my.test": "smtp:[192.0.2.7]:26", "closed.test": "error:5.7.1:550 Not there", "plain.test": ":", "hub.test": "smtp:[192.0.2.9]:587", "fax.test": "pipe:fax"}
	everything := ""
	login := &Login{"posta", "geheim"}
	r := New(Config{
		Default: &Next{Host: "[192.0.2.9]", Port: 587, TLS: Encrypt, Login: login},
		Domains: map[string]*Next{"toml.test": {Host: "[192.0.2.8]"}, "my.test": {Host: "[192.0.2.8]"}},
		Ways: func(domain string, all bool) (rules.Way, bool) {
			text := ways[domain]
			if all {
				text = everything
			}
			w, err := rules.ParseWay(text)
			return w, err == nil
		},
	}, resolver.Static{"plain.test": {"MX 10 mx.plain.test"}, "mx.plain.test": {"A 192.0.2.1"}})
	ask := func(domain string) string {
		rt, err := r.Route(t.Context(), domain)
		if e, ok := errors.AsType[*Error](err); ok {
			return e.Reply.String()
		}
		if err != nil {
			return err.Error()
		}
		h := rt.Hosts[0]
		text := h.Addrs[0].String()
		if h.Login != nil {
			text += " as " + h.Login.User + " " + h.TLS.String()
		}
		return text
	}
	for _, c := range []struct{ domain, everything, want string }{
		{"my.test", "", "192.0.2.7"},
		{"toml.test", "smtp:[192.0.2.6]", "192.0.2.8"},
		{"other.test", "", "192.0.2.9 as posta required"},
		{"other.test", "smtp:[192.0.2.6]", "192.0.2.6"},
		{"plain.test", "smtp:[192.0.2.6]", "192.0.2.1"},
		{"closed.test", "", "550 5.7.1 Not there"},
		{"hub.test", "", "192.0.2.9 as posta required"},
		{"fax.test", "", "192.0.2.9 as posta required"}, // what waits from before the rule
	} {
		everything = c.everything
		if got := ask(c.domain); got != c.want {
			t.Errorf("%s (all: %q): %s, want %s", c.domain, c.everything, got, c.want)
		}
	}
}
