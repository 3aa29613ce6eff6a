package words

import (
	"regexp"
	"slices"
	"testing"
)

// Both languages have the same keys, and each text the same arguments.
func TestCataloguesAgree(t *testing.T) {
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	verb := regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[\d.]*[a-zA-Z]`)
	bare := regexp.MustCompile(`\[\d+\]`)
	verbs := func(s string) []string {
		var out []string
		for _, v := range verb.FindAllString(s, -1) {
			out = append(out, bare.ReplaceAllString(v, ""))
		}
		slices.Sort(out)
		return out
	}
	for key, en := range all["en"] {
		es, ok := all["es"][key]
		if !ok {
			t.Errorf("%s: no Spanish", key)
		} else if !slices.Equal(verbs(en), verbs(es)) {
			t.Errorf("%s: the arguments differ: %q, %q", key, en, es)
		}
	}
	for key := range all["es"] {
		if _, ok := all["en"][key]; !ok {
			t.Errorf("%s: no English", key)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Lang{"es_ES.UTF-8": "es", "es-MX": "es", "C.UTF-8": "en", "": "en", "de_DE": "en", "ES": "es"} {
		if got := Parse(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"spf.fail", "spf.fail", 0}, {"spf.fial", "spf.fail", 2},
		{"spf-fail", "spf.fail", 1}, {"spf.fai", "spf.fail", 1}, {"kitten", "sitting", 3},
	} {
		if got, back := Distance(c.a, c.b), Distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q, %q: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
