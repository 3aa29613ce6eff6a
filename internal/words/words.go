// Package words has what Posta says to people, in English and Spanish, from
// catalogues (texts/*.json). What a mail server says to another server (SMTP
// replies) is not here: that is ASCII English with a reason code.
package words

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

//go:embed texts/*.json
var files embed.FS

// Languages lists the languages, the default first.
func Languages() []string { return []string{"en", "es"} }

var load = sync.OnceValues(func() (map[string]map[string]string, error) { return Catalogue[map[string]string](files) })

// Catalogue reads the texts of all languages: texts/en.json and so on, each a T.
func Catalogue[T any](fsys fs.FS) (map[string]T, error) {
	all := map[string]T{}
	for _, lang := range Languages() {
		name := "texts/" + lang + ".json"
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		var m T
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[lang] = m
	}
	return all, nil
}

// Lang is a language that Posta speaks; the zero value is English.
type Lang string

// Parse takes "es", "es_ES.UTF-8", "es-MX"; what is not spoken is English.
func Parse(s string) Lang {
	s, _, _ = strings.Cut(s, ".")
	s, _, _ = strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
	for _, l := range Languages() {
		if strings.EqualFold(l, s) {
			return Lang(l)
		}
	}
	return "en"
}

// Speaks reports whether a language tag, as Parse takes it, is one that Posta
// speaks.
func Speaks(s string) bool {
	s, _, _ = strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
	return slices.ContainsFunc(Languages(), func(l string) bool { return strings.EqualFold(l, s) })
}

// FromEnvironment is the language that the user's environment asks for (POSIX:
// LC_ALL before LC_MESSAGES before LANG).
func FromEnvironment() Lang {
	for _, k := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(k); v != "" {
			return Parse(v)
		}
	}
	return "en"
}

// Say is the text of a key with its arguments put in (fmt verbs, with explicit
// indexes where the languages differ in order). A key that does not exist is
// shown as it is; a test keeps the catalogues complete.
func (l Lang) Say(key string, args ...any) string {
	all, err := load()
	if err != nil {
		return key
	}
	text, ok := all[string(l)][key]
	if !ok {
		if text, ok = all["en"][key]; !ok {
			return key
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Has reports whether a key exists.
func Has(key string) bool {
	all, err := load()
	if err != nil {
		return false
	}
	_, ok := all["en"][key]
	return ok
}
