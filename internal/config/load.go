package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"posta/internal/words"
)

// Problem is one thing wrong with a file.
type Problem struct {
	File string
	Line int    // 0 if it concerns the whole
	Key  string // dotted
	Text string // what is wrong and how it is mended
}

func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Key != "" {
		where += ": " + p.Key
	}
	return where + ": " + p.Text
}

// Problems is every problem of a file; it is the error of Load.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks a file. The error is Problems, or that of reading.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(path, b)
	if err == nil {
		c.Path, c.Source = path, b
	}
	return c, err
}

// Parse reads and checks the text of a file; name is for messages.
func Parse(name string, text []byte) (*Config, error) {
	c := Default()
	var problems Problems
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		for i := range strict.Errors {
			problems = append(problems, unknown(name, &strict.Errors[i]))
		}
		// The keys that are known still have to be read and checked.
		c = Default()
		err = toml.Unmarshal(text, c)
	}
	if de, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := de.Position()
		return nil, append(problems, Problem{name, line, strings.Join(de.Key(), "."), plain(de.Error())})
	} else if err != nil {
		return nil, append(problems, Problem{File: name, Text: plain(err.Error())})
	}
	lines := keyLines(text)
	c.check(func(key, format string, a ...any) {
		problems = append(problems, Problem{name, lines[key], key, fmt.Sprintf(format, a...)})
	})
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, problems
	}
	return c, nil
}

// plain takes the library's own name off a message.
func plain(s string) string { return strings.TrimPrefix(s, "toml: ") }

// unknown reports a key that does not exist with the one that was meant.
func unknown(name string, e *toml.DecodeError) Problem {
	line, _ := e.Position()
	key := strings.Join(e.Key(), ".")
	text := "there is no such key"
	if near := nearest(key, allKeys(reflect.TypeFor[Config](), "")); near != "" {
		text += "; did you mean " + near + "?"
	}
	return Problem{name, line, key, text}
}

// allKeys lists the dotted keys of the configuration.
func allKeys(t reflect.Type, prefix string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("toml") == "-" {
			continue
		}
		key := prefix + f.Tag.Get("toml")
		ft := f.Type
		if ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		out = append(out, key)
		if ft.Kind() == reflect.Struct {
			out = append(out, allKeys(ft, key+".")...)
		}
	}
	return out
}

// nearest is the known key that a misspelt one is closest to, "" if none is
// close.
func nearest(key string, known []string) string {
	best, at := "", 1+len(key)/3
	for _, k := range known {
		if d := words.Distance(key, k); d <= at {
			best, at = k, d-1
		}
		// The right key in the wrong table is a common slip.
		if i := strings.LastIndexByte(k, '.'); i >= 0 && best == "" && k[i+1:] == key[strings.LastIndexByte(key, '.')+1:] {
			best = k
		}
	}
	return best
}

// keyLines finds the line of each key, for problems that the checks find after
// decoding. It reads only what posta.toml has: tables, those of a list numbered
// from 1 ("scanner[2].address"), and keys at line starts.
func keyLines(text []byte) map[string]int {
	lines := map[string]int{}
	table := ""
	count := map[string]int{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			name, _, _ := strings.Cut(line, "#")
			table = strings.Trim(name, "[] \t") + "."
			if strings.HasPrefix(line, "[[") {
				name = strings.TrimSuffix(table, ".")
				count[name]++
				table = fmt.Sprintf("%s[%d].", name, count[name])
			}
			lines[strings.TrimSuffix(table, ".")] = n
			continue
		}
		if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			lines[table+strings.TrimSpace(key)] = n
		}
	}
	return lines
}
