package sieve

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed recipes/*.sieve
var recipes embed.FS

// Recipe is a script that is ready to be used once its names are changed.
type Recipe struct {
	Name string `json:"name"`
	What string `json:"what"` // the first comment, in English
	Text string `json:"text"`
}

// Recipes lists the scripts that come with Posta, by name.
func Recipes() []Recipe {
	files, err := fs.Glob(recipes, "recipes/*.sieve")
	if err != nil {
		return nil // the pattern is right
	}
	var out []Recipe
	for _, f := range files {
		b, err := fs.ReadFile(recipes, f)
		if err != nil {
			continue // it was compiled in
		}
		r := Recipe{Name: strings.TrimSuffix(strings.TrimPrefix(f, "recipes/"), ".sieve"), Text: string(b)}
		first, _, _ := strings.Cut(r.Text, "\n")
		r.What = strings.TrimPrefix(first, "# ")
		out = append(out, r)
	}
	return out
}
