package daily

import (
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // Madrid is known on every machine

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/letter"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
)

var t0 = time.Date(2026, 3, 2, 6, 0, 1, 0, time.UTC)

// house has two owners, one of whom is shut out, and a user.
func house(t *testing.T) *directory.Directory {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &command.House{Store: st, Directory: dir}
	owner := command.Principal{Name: "uid:0", Role: store.Owner}
	for _, c := range [][2]string{
		{"domain.add", `{"name":"empresa.test"}`},
		{"account.add", `{"address":"ana@empresa.test","password":"una-clave-larga","role":"owner"}`},
		{"account.add", `{"address":"ida@empresa.test","password":"una-clave-larga","role":"owner"}`},
		{"account.add", `{"address":"luis@empresa.test","password":"una-clave-larga"}`},
		{"account.set", `{"address":"ida@empresa.test","disabled":true}`},
	} {
		if _, err := command.Do(t.Context(), h, owner, c[0], []byte(c[1])); err != nil {
			t.Fatal(c, err)
		}
	}
	return dir
}

func say(p Part, err error) Source {
	return func(context.Context, words.Lang, time.Time) (Part, error) { return p, err }
}

// Days of a house: what its sources tell, and the letter that comes of it.
func TestLetters(t *testing.T) {
	dir := house(t)
	many := make([]string, 30)
	for i := range many {
		many[i] = "line"
	}
	for _, c := range []struct {
		what    string
		when    When
		lang    words.Lang
		sources []Named
		subject string // "" is no letter
		text    []string
		without []string
	}{
		{"a quiet day", Always, "en", []Named{{"queue", say(Part{Good: []string{"In the queue: 3"}}, nil)}},
			"Posta at mail.empresa.test: all is quiet", []string{"Good to know:\n\n  - In the queue: 3\n", "Nothing has changed and nothing waits.\n"}, []string{"waits for somebody"}},
		{"a quiet day that nobody wants to hear of", Changes, "en", []Named{{"queue", say(Part{Good: []string{"x"}}, nil)}}, "", nil, nil},
		{"switched off", Off, "en", []Named{{"queue", say(Part{Waiting: []string{"x"}}, nil)}}, "", nil, nil},
		{"changed and waiting, in that person's language", Changes, "es", []Named{
			{"lists", say(Part{Changed: []string{"203.0.113.9 está en la lista"}}, nil)}, {"queue", say(Part{Waiting: []string{"algo", "más"}}, nil)},
		}, "Posta en mail.empresa.test: cambios 1, pendientes 2", []string{"Esto espera a que alguien lo atienda:\n\n  - algo\n  - más\n\nEsto ha cambiado desde ayer:\n\n  - 203.0.113.9 está en la lista\n"}, nil},
		{"a source that fails is told, and the others with it", Always, "en", []Named{
			{"lists", say(Part{}, errors.New("no database"))}, {"queue", say(Part{Waiting: []string{"something"}}, nil)},
		}, "Posta at mail.empresa.test: changed 0, waiting 2", []string{"  - Nothing is known of the DNS lists: no database\n  - something\n"}, nil},
		{"much, and what strangers wrote", Always, "en", []Named{{"queue", say(Part{Waiting: many, Changed: []string{"a\r\nBcc: x@y\x1b[2J\u202e" + strings.Repeat("z", 900)}}, nil)}},
			"Posta at mail.empresa.test: changed 1, waiting 13", []string{"  - … and 18 more\n", "  - a Bcc: x@y [2J zzz", "z…\n"}, []string{"\x1b", "\u202e"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var got []letter.Letter
			seen := map[string]bool{}
			r := New(Config{
				Directory: dir, Sources: c.sources, Hostname: "mail.empresa.test", When: c.when, Language: func(*store.Account) words.Lang { return c.lang },
				Now: func() time.Time { return t0 },
				Deposit: func(_ context.Context, l letter.Letter) error {
					if seen[l.ID.String()] {
						return store.ErrExists
					}
					seen[l.ID.String()] = true
					got = append(got, l)
					return nil
				},
			})
			for range 2 { // as after a crash
				if err := r.Do(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if c.subject == "" {
				if len(got) != 0 {
					t.Fatalf("%d letters", len(got))
				}
				return
			}
			if len(got) != 1 || got[0].To.String() != "ana@empresa.test" {
				t.Fatalf("%d letters", len(got))
			}
			head, text := read(t, got[0].Message)
			if !strings.Contains(head, "Subject: "+c.subject+"\r\n") || !strings.Contains(head, "Auto-Submitted: auto-generated\r\n") {
				t.Errorf("header:\n%s", head)
			}
			for _, w := range c.text {
				if !strings.Contains(text, w) {
					t.Errorf("no %q in\n%s", w, text)
				}
			}
			for _, w := range c.without {
				if strings.Contains(text, w) {
					t.Errorf("%q in\n%s", w, text)
				}
			}
		})
	}
}

func read(t *testing.T, message []byte) (head, text string) {
	t.Helper()
	head, body, ok := strings.Cut(string(message), "\r\n\r\n")
	if !ok {
		t.Fatalf("%q", message)
	}
	if strings.Contains(strings.ToLower(head), "quoted-printable") {
		b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	return head, strings.ReplaceAll(body, "\r\n", "\n")
}

// The letter comes at six, on the days of summer time too.
func TestNextMorning(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"2026-03-28T05:59:59+01:00", "2026-03-28T06:00:00+01:00"}, {"2026-03-28T06:00:00+01:00", "2026-03-29T06:00:00+02:00"}, {"2026-10-24T23:00:00+02:00", "2026-10-25T06:00:00+01:00"},
	} {
		at, _ := time.Parse(time.RFC3339, c[0])
		if got := nextMorning(at.In(madrid)).Format(time.RFC3339); got != c[1] {
			t.Errorf("after %s comes %s, not %s", c[0], got, c[1])
		}
	}
}
