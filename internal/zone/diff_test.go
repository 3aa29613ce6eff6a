package zone

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// world is one case of testdata/compare.txtar.
type world struct {
	wanted, made []Record
	views        []View
	items, steps []string // what is expected
}

func readWorld(t *testing.T, text string) *world {
	t.Helper()
	w := &world{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "=":
			w.items = append(w.items, rest)
			continue
		case ">":
			w.steps = append(w.steps, rest)
			continue
		}
		part := strings.SplitN(rest, " ", 3)
		r := Record{Name: part[0], Type: part[1], Value: part[2]}
		switch word {
		case "want":
			w.wanted = append(w.wanted, r)
		case "made":
			w.made = append(w.made, r)
		default:
			w.answer(t, word, r)
		}
	}
	w.complete()
	return w
}

// answer is a line of what a server shows; "res" is a resolver.
func (w *world) answer(t *testing.T, server string, r Record) {
	t.Helper()
	i := slices.IndexFunc(w.views, func(v View) bool { return v.Server == server })
	if i < 0 {
		i = len(w.views)
		w.views = append(w.views, View{Server: server, Authoritative: server != "res", Answers: map[Question]Answer{}})
	}
	a := w.views[i].Answers[r.Question()]
	a.TTL = 300 * time.Second
	switch word, left, _ := strings.Cut(r.Value, " "); word {
	case "fail":
		a = Answer{Err: errors.New("timeout")}
	case "none":
		n, err := strconv.Atoi(left)
		if err != nil {
			t.Fatal(err)
		}
		a.TTL = time.Duration(n) * time.Second
	default:
		v, err := Canonical(r.Type, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		a.Values = append(a.Values, v)
	}
	w.views[i].Answers[r.Question()] = a
}

// complete lets each server answer every question: what the case does not say is not
// there.
func (w *world) complete() {
	for _, v := range w.views {
		for _, q := range Questions(w.wanted, w.made) {
			if _, ok := v.Answers[q]; !ok && v.Server == "ns1" {
				v.Answers[q] = Answer{TTL: 300 * time.Second}
			}
		}
	}
}

func describe(it Item) string {
	s := fmt.Sprintf("%s %s %s", it.State, it.Type, it.Name)
	for _, v := range it.Seen {
		s += fmt.Sprintf(" seen %s", quoted(v))
	}
	if it.Merge != "" {
		s += fmt.Sprintf(" merge %s", quoted(it.Merge))
	}
	if len(it.Behind) > 0 {
		s += " behind " + strings.Join(it.Behind, ",")
	}
	if it.Left > 0 {
		s += fmt.Sprintf(" left %d", it.Left)
	}
	return s
}

func quoted(s string) string { return `"` + s + `"` }

// What is said of the world, and what is done about it.
func TestCompareAndPlan(t *testing.T) {
	a, err := txtar.ParseFile("testdata/compare.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		t.Run(f.Name, func(t *testing.T) {
			w := readWorld(t, string(f.Data))
			var items, steps []string
			for _, it := range Compare(w.wanted, w.made, w.views) {
				items = append(items, describe(it))
			}
			if !slices.Equal(items, w.items) {
				t.Errorf("compared:\n %s\nwant:\n %s", strings.Join(items, "\n "), strings.Join(w.items, "\n "))
			}
			if len(w.steps) == 0 {
				return
			}
			current := map[Question][]string{}
			for q, a := range w.views[0].Answers {
				current[q] = a.Values
			}
			for _, s := range Plan(w.wanted, w.made, current, true) {
				line := fmt.Sprintf("%s %s %s", s.Action, s.Type, s.Name)
				if s.Old != "" {
					line += " old " + quoted(s.Old)
				}
				steps = append(steps, line)
			}
			if !slices.Equal(steps, w.steps) {
				t.Errorf("planned:\n %s\nwant:\n %s", strings.Join(steps, "\n "), strings.Join(w.steps, "\n "))
			}
		})
	}
}
