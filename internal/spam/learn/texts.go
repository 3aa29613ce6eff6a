package learn

import (
	"embed"
	"encoding/json"
	"fmt"
	"sync"
)

//go:embed texts/*.json
var textFiles embed.FS

// loadTexts reads the catalogues: the words for the places of features.
var loadTexts = sync.OnceValues(func() (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, lang := range []string{"en", "es"} {
		b, err := textFiles.ReadFile("texts/" + lang + ".json")
		if err != nil {
			return nil, err
		}
		m := map[string]string{}
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("texts/%s.json: %w", lang, err)
		}
		all[lang] = m
	}
	return all, nil
})

// Text is a reason as a sentence for people, in a language ("en", "es"; another
// gets English): `link to “shop.example”: in 12 unwanted and 0 wanted messages`.
func (r Reason) Text(lang string) string {
	all, err := loadTexts()
	if err != nil {
		return r.String() // a test reads every text, so this cannot ship
	}
	m := all[lang]
	if m == nil {
		m = all["en"]
	}
	place, ok := m[r.Where]
	if !ok {
		place = fmt.Sprintf(m["field"], r.Where)
	}
	return fmt.Sprintf(m["seen"], place, r.What, r.Seen.Spam, r.Seen.Ham)
}
