package learn

import (
	"maps"
	"slices"
	"testing"

	"posta/internal/spam/tally"
)

// Both languages have the same texts.
func TestTextsAgree(t *testing.T) {
	all, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	en, es := slices.Sorted(maps.Keys(all["en"])), slices.Sorted(maps.Keys(all["es"]))
	if !slices.Equal(en, es) {
		t.Errorf("en %v\nes %v", en, es)
	}
}

func TestReasonText(t *testing.T) {
	r := Reason{Where: "link", What: "shop.example", Seen: tally.Count{Spam: 12}}
	for lang, want := range map[string]string{
		"en": "link to “shop.example”: in 12 unwanted and 0 wanted messages",
		"es": "enlace a «shop.example»: en 12 mensajes no deseados y 0 deseados",
		"fr": "link to “shop.example”: in 12 unwanted and 0 wanted messages",
	} {
		if got := r.Text(lang); got != want {
			t.Errorf("%s: %s", lang, got)
		}
	}
	r.Where = "x-loop"
	if got, want := r.Text("es"), "campo x-loop «shop.example»: en 12 mensajes no deseados y 0 deseados"; got != want {
		t.Errorf("%s", got)
	}
}
