package spam

import (
	"embed"
	"encoding/json"
	"fmt"
	"sync"
)

//go:embed texts/*.json
var textFiles embed.FS

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

// textOf is the text of a fact; another language gets English.
func textOf(lang, fact string) string {
	all, err := loadTexts()
	if err != nil {
		return fact // a test reads every text, so this cannot ship
	}
	if t, ok := all[lang][fact]; ok {
		return t
	}
	return all["en"][fact]
}
