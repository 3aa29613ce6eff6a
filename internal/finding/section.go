package finding

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"posta/internal/words"
)

// Section is the first word of an id: "spf" of "spf.fail". The catalogue has the
// checks of a section together.
func (id ID) Section() string {
	s, _, _ := strings.Cut(string(id), ".")
	return s
}

var loadSections = sync.OnceValues(func() (map[string]map[string]string, error) {
	b, err := textFiles.ReadFile("texts/sections.json")
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{} // section → language → title
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("texts/sections.json: %w", err)
	}
	return all, nil
})

// SectionTitle is the heading of a section in a language ("en", "es"); another
// language gets English, and a section that does not exist its own word.
func SectionTitle(section, lang string) string {
	all, err := loadSections()
	if err != nil {
		return section // a test reads the file, so this cannot ship
	}
	if t := all[section][lang]; t != "" {
		return t
	}
	if t := all[section]["en"]; t != "" {
		return t
	}
	return section
}

// Near lists the checks that a person may have meant who wrote an id that does
// not exist, in the order of the catalogue: the whole section for its word, else
// the ids that are nearest in letters. Nothing when none is near.
func Near(written string) []ID {
	written = strings.ToLower(strings.TrimSpace(written))
	var section, nearest []ID
	least := 1 + len(written)/3 // a third of the letters may be wrong
	for i := range catalogue {
		id := catalogue[i].ID
		if id.Section() == written {
			section = append(section, id)
		}
		d := words.Distance(written, string(id))
		if d < least {
			least, nearest = d, nil
		}
		if d == least {
			nearest = append(nearest, id)
		}
	}
	if section != nil {
		return section
	}
	return nearest
}
