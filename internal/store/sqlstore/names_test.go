package sqlstore

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A name that is taken is its own normal form, has bounded size and parents that
// are names themselves.
func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"INBOX", "inbox/Old", "Entwürfe", "a/b/c", "/", "a//b", "a\x00b", "\xff", strings.Repeat("x/", 40) + "x", "Inboxes"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := mailboxName(s)
		if err != nil {
			return
		}
		again, err := mailboxName(name)
		if err != nil || again != name || len(name) > maxNameBytes || !utf8.ValidString(name) {
			t.Errorf("%q becomes %q, then %q, %v", s, name, again, err)
		}
		for _, p := range parents(name) {
			if got, err := mailboxName(p); err != nil || got != p || !below(name, p) {
				t.Errorf("parent %q of %q: %q, %v", p, name, got, err)
			}
		}
	})
}

// What was packed is unpacked as the same set, each keyword once.
func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"", "$Junk work", "Work WORK wOrK", "a  b", "ü", `a\b`, "(", "$Forwarded $MDNSent"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := strings.Split(s, " ")
		packed, err := packKeywords(in)
		if err != nil {
			return
		}
		out := unpackKeywords(packed)
		for _, w := range in {
			if !hasKeyword(out, w) {
				t.Errorf("%q lost %q", packed, w)
			}
		}
		for _, w := range out {
			if !slices.Contains(in, w) {
				t.Errorf("%q has %q in a spelling that nobody wrote", packed, w)
			}
		}
		if again, err := packKeywords(out); err != nil || again != packed || len(out) > maxKeywords {
			t.Errorf("%q packed again is %q, %v", packed, again, err)
		}
	})
}
