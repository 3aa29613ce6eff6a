package quarantine

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"Presupuesto 2026":                   "Presupuesto 2026",
		"  two\r\nlines\tand\x00 a NUL ":     "two lines and a NUL",
		"see http://x.test, ok.":             "see http[:]//x[.]test, ok.",
		"www.x.test":                         "www[.]x[.]test",
		"\u202Etxt.exe\u200b":                "?txt[.]exe?",
		"Ana: hola. Adiós":                   "Ana: hola. Adiós",
		strings.Repeat("ñ", 50):              strings.Repeat("ñ", 39) + "…",
		"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.": "a[.]b[.]c[.]d[.]e[.]f[.]g[.]h[.]i[.]j[.…",
	} {
		if got := Safe(in, 40); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever comes in, what comes out is one short line of text in which nothing reads
// as the name of a host or as a scheme.
func FuzzSafe(f *testing.F) {
	f.Add("http://x.test\r\nBcc: y", 20)
	f.Add("\u202e.\u200b:a.b", 80)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 2 || most > 1000 {
			return
		}
		got := Safe(s, most)
		if n := utf8.RuneCountInString(got); n > most {
			t.Fatalf("%d characters of %d: %q", n, most, got)
		}
		runes := []rune(got)
		for i, r := range runes {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("%q has %U", got, r)
			}
			if (r == '.' || r == ':') && i > 0 && i+1 < len(runes) && runes[i-1] != ' ' && runes[i-1] != '[' && !slices.Contains([]rune{' ', ']', '…'}, runes[i+1]) {
				t.Fatalf("%q reads as a link", got)
			}
		}
	})
}
