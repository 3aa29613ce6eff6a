package spam

import (
	"embed"
	"sync"

	"posta/internal/words"
)

//go:embed texts/*.json
var textFiles embed.FS

var loadTexts = sync.OnceValues(func() (map[string]map[string]string, error) { return words.Catalogue[map[string]string](textFiles) })

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
