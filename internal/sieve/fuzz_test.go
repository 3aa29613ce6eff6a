package sieve_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/sieve"
)

// seeds gives the scripts of all cases.
func seeds(f *testing.F) (scripts []string) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range ar.Files {
			if strings.HasPrefix(s.Name, "script:") {
				scripts = append(scripts, string(s.Data))
			}
		}
	}
	return scripts
}

// small are limits that a fuzzer reaches.
var small = sieve.Limits{Steps: 200, Work: 100_000, Actions: 10, Redirects: 3, Body: 10_000, Value: 500, String: 2000}

// FuzzCompile: nothing panics, an error has a place in the script, and what compiles
// has a printed form that compiles and prints the same.
func FuzzCompile(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := sieve.Compile([]byte(src), sieve.Options{})
		if err != nil {
			var errs sieve.Errors
			if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > 20 {
				t.Fatalf("error %#v", err)
			}
			lines := strings.Count(src, "\n") + 1
			for _, e := range errs {
				if e.Line < 1 || e.Line > lines || e.Col < 1 || e.Text == "" {
					t.Fatalf("error without a place: %v", e)
				}
			}
			return
		}
		if s.Source() != src {
			t.Fatal("the source changed")
		}
		plain, err := sieve.Format([]byte(src), sieve.Options{})
		if err != nil {
			t.Fatalf("compiles but does not print: %v", err)
		}
		again, err := sieve.Format(plain, sieve.Options{})
		if err != nil || string(again) != string(plain) {
			t.Fatalf("the printed form does not stay (%v):\n%s\nthen\n%s", err, plain, again)
		}
		if _, err := sieve.Compile(plain, sieve.Options{}); err != nil && len(plain) < 256<<10 {
			t.Fatalf("the printed form does not compile: %v\n%s", err, plain)
		}
	})
}

// FuzzRun: a run ends within its budget, and with an action, unless it is to be
// repeated later; a second one does the same.
func FuzzRun(f *testing.F) {
	msg, err := os.ReadFile("testdata/letter.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range seeds(f) {
		f.Add(s, string(msg))
	}
	f.Fuzz(func(t *testing.T, src, raw string) {
		s, err := sieve.Compile([]byte(src), sieve.Options{Limits: small})
		if err != nil || len(raw) > 50_000 {
			return
		}
		w := newWorld()
		w.env.Items["name"] = "Posta"
		w.lists["l"] = []string{"x"}
		w.includes["personal/a"] = src
		m := letter(raw)
		r := s.Run(m, &w.env)
		if r.Steps > small.Steps+1 {
			t.Fatalf("%d steps", r.Steps)
		}
		redirects := 0
		for _, a := range r.Actions {
			if a.Kind == sieve.Redirect {
				redirects++
			}
		}
		if len(r.Actions) > small.Actions+1 || redirects > small.Redirects {
			t.Fatalf("%d actions, %d redirects", len(r.Actions), redirects)
		}
		if len(r.Actions) == 0 && !errors.Is(r.Err, sieve.ErrTryLater) {
			t.Fatalf("nothing is done, not even a keep: %v", r.Err)
		}
		if again := tell(s.Run(m, &w.env)); again != tell(r) {
			t.Fatalf("first\n%sthen\n%s", tell(r), again)
		}
	})
}
