package authority

import "testing"

// Character-strings are joined as they stand.
func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`"v=DKIM1; p=abc" "def"`: "v=DKIM1; p=abcdef",
		`"a\"b\\c\032d"`:         `a"b\c d`,
		`v=DKIM1;p=`:             "v=DKIM1;p=",
		`""`:                     "",
		`"x\`:                    `x\`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
