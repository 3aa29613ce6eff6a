package finding

import (
	"embed"
	"encoding/json"
	"fmt"
	"sync"
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

// Languages of the catalogue, the default first.
var languages = [...]string{"en", "es"}

// Languages lists the languages of the catalogue, the default first.
func Languages() []string { return append([]string(nil), languages[:]...) }

var loadTexts = sync.OnceValues(func() (map[string]map[ID]Text, error) {
	all := map[string]map[ID]Text{}
	for _, lang := range languages {
		b, err := textFiles.ReadFile("texts/" + lang + ".json")
		if err != nil {
			return nil, err
		}
		m := map[ID]Text{}
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("texts/%s.json: %w", lang, err)
		}
		all[lang] = m
	}
	return all, nil
})

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
