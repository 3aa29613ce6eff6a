package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// schema is a name and its versions: files schema/<name>_0001.sql and so on. They
// are never changed once released; a new version is a new file or a Go step.
type schema struct {
	name  string
	steps []schemaStep // steps[i] leads from version i to i+1
}

// schemaStep is one file, or work on rows that goes in chunks: chunk is called,
// each time in its own transaction with the cursor that it returned last (at
// first ""), until it returns "". A crash between chunks loses nothing.
type schemaStep struct {
	file  string
	chunk func(t *tx, cursor string) (next string, err error)
}

func mainSchema() schema {
	return schema{"main", []schemaStep{{file: "main_0001.sql"}, {file: "main_0002.sql"}, {file: "main_0003.sql"}, {file: "main_0004.sql"}, {file: "main_0005.sql"}, {file: "main_0006.sql"}, {file: "main_0007.sql"}, {file: "main_0008.sql"}, {chunk: fillWeeks}, {file: "main_0009.sql"}, {file: "main_0010.sql"}}}
}

func sideSchema() schema {
	return schema{"side", []schemaStep{{file: "side_0001.sql"}, {file: "side_0002.sql"}}}
}

func factSchema() schema {
	return schema{"facts", []schemaStep{{file: "facts_0001.sql"}}}
}

// tables are the names of the tables that a schema makes for an engine, in the
// order of its files.
func (s schema) tables(w words) ([]string, error) {
	var out []string
	for _, step := range s.steps {
		if step.file == "" {
			continue
		}
		text, err := schemaFiles.ReadFile("schema/" + step.file)
		if err != nil {
			return nil, err
		}
		for _, q := range splitStatements(string(text), w) {
			f := strings.Fields(q)
			switch verb := strings.Join(f[:2], " "); verb {
			case "CREATE TABLE":
				out = append(out, f[2])
			case "DROP TABLE":
				out = slices.DeleteFunc(out, func(name string) bool { return name == f[2] })
			}
		}
	}
	return out, nil
}

// words are what {words} in the files become, and the prefix of the lines that
// are for this engine alone.
type words struct {
	replace *strings.Replacer
	only    string
}

var sqliteWords = words{strings.NewReplacer("{key}", "INTEGER PRIMARY KEY", "{bytes}", "BLOB", "{clustered}", "WITHOUT ROWID", "{octets}", "BINARY"), "--sqlite "}

var pgWords = words{strings.NewReplacer("{key}", "BIGINT PRIMARY KEY", "{bytes}", "BYTEA", "{clustered}", "", "{octets}", `"C"`), "--pg "}

// migrate brings the database forward to the newest version. A database from a
// newer program is refused: ErrReadOnly.
func migrate(ctx context.Context, e engine, s schema, w words) error {
	err := e.write(ctx, func(t *tx) error {
		_, err := t.exec("CREATE TABLE IF NOT EXISTS schema_version (name VARCHAR(40) PRIMARY KEY, version BIGINT NOT NULL, cursor TEXT NOT NULL)")
		return err
	})
	for err == nil {
		done := false
		err = e.write(ctx, func(t *tx) (err error) {
			done, err = migrateStep(t, s, w)
			return err
		})
		if done {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("schema %s: %w", s.name, err)
	}
	return nil
}

// migrateStep does one step, or one chunk of a long one.
func migrateStep(t *tx, s schema, w words) (done bool, err error) {
	var version int
	var at string
	err = t.row("SELECT version, cursor FROM schema_version WHERE name = $1"+t.lock(), s.name).scan(&version, &at)
	if errors.Is(err, store.ErrNotFound) {
		_, err = t.exec("INSERT INTO schema_version (name, version, cursor) VALUES ($1, 0, '')", s.name)
	}
	if err != nil {
		return false, err
	}
	switch {
	case version > len(s.steps):
		return false, fmt.Errorf("%w: the database has version %d, this program knows %d", store.ErrReadOnly, version, len(s.steps))
	case version == len(s.steps):
		return true, nil
	}
	next := ""
	if step := s.steps[version]; step.chunk != nil {
		next, err = step.chunk(t, at)
	} else {
		err = runFile(t, step.file, w)
	}
	if err != nil {
		return false, fmt.Errorf("to version %d: %w", version+1, err)
	}
	if next == "" {
		version++
	}
	_, err = t.exec("UPDATE schema_version SET version = $1, cursor = $2 WHERE name = $3", version, next, s.name)
	return false, err
}

func runFile(t *tx, name string, w words) error {
	text, err := schemaFiles.ReadFile("schema/" + name)
	if err != nil {
		return err
	}
	for _, q := range splitStatements(string(text), w) {
		if _, err := t.exec(q); err != nil {
			return fmt.Errorf("%s: %w in %s", name, err, q)
		}
	}
	return nil
}

// splitStatements parts a schema file at the semicolons that end lines and takes
// out comments.
func splitStatements(text string, w words) []string {
	var out []string
	var cur strings.Builder
	for line := range strings.Lines(text) {
		if own, ok := strings.CutPrefix(line, w.only); ok {
			line = own
		}
		line, _, _ = strings.Cut(line, "--")
		line = strings.TrimRight(line, " \t\n")
		if line == "" {
			continue
		}
		cur.WriteString(strings.TrimSuffix(line, ";"))
		if strings.HasSuffix(line, ";") {
			out = append(out, w.replace.Replace(cur.String()))
			cur.Reset()
		} else {
			cur.WriteByte('\n')
		}
	}
	return out
}
