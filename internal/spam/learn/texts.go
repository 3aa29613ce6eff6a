package learn

import (
	"embed"
	"fmt"
	"sync"

	catalogue "posta/internal/words"
)

//go:embed texts/*.json
var textFiles embed.FS

// loadTexts reads the catalogues: the words for the places of features.
var loadTexts = sync.OnceValues(func() (map[string]map[string]string, error) { return catalogue.Catalogue[map[string]string](textFiles) })

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
