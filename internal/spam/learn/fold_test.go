package learn

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The quick way of folding agrees with the thorough one for every letter.
func TestFoldLatin1(t *testing.T) {
	for r := rune(0x80); r < 0x180; r++ {
		got, ok := foldLatin1(nil, string(r))
		if !ok {
			continue
		}
		want := strings.ToLower(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFKD.String(string(r))))
		if string(got) != want {
			t.Errorf("%c: %q, want %q", r, got, want)
		}
	}
	if got, ok := foldLatin1(nil, "ÑaNdÚ"); string(got) != "nandu" || !ok {
		t.Errorf("%q %v", got, ok)
	}
}
