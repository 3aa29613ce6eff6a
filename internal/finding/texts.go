package finding

import (
	"embed"
	"sync"

	"posta/internal/words"
)

//go:embed texts/*.json
var textFiles embed.FS

// Text is what people read of a check.
type Text struct {
	Title string `json:"title"`
	Why   string `json:"why"`
	Them  string `json:"them"` // how the other side mends it
	Us    string `json:"us"`   // how we mend it
}

// Languages lists the languages of the catalogue, the default first.
func Languages() []string { return words.Languages() }

var loadTexts = sync.OnceValues(func() (map[string]map[ID]Text, error) { return words.Catalogue[map[ID]Text](textFiles) })

// TextOf is a check's text in a language ("en", "es"); another language gets
// English. The zero Text when there is no such check.
func TextOf(id ID, lang string) Text {
	all, err := loadTexts()
	if err != nil {
		return Text{} // a test reads every text, so this cannot ship
	}
	if t, ok := all[lang][id]; ok {
		return t
	}
	return all["en"][id]
}
