package sieve_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/message"
	"posta/internal/sieve"
)

// The cases stand in testdata/*.txtar, the examples of the RFCs first. A file is a
// sequence of sections:
//
//	-- message --      the message, from here on
//	-- env --          what the script may ask for, from here on; see world.line
//	-- include personal/name --   a script that can be included, from here on
//	-- script: what it shows --   the script
//	-- want --         its actions, or its errors

// bytesBody is a body in memory.
type bytesBody struct{ *bytes.Reader }

func (b bytesBody) Size() int64 { return b.Reader.Size() }

// letter makes a message of text, whose line ends become CRLF.
func letter(text string) *sieve.Message {
	raw := []byte(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n"))
	return &sieve.Message{Body: bytesBody{bytes.NewReader(raw)}, Tree: message.ParseBytes(raw, message.Budget{})}
}

// world is what the env section tells.
type world struct {
	env       sieve.Env
	mailboxes map[string]bool
	ids, uses map[string]string
	metadata  map[string]string
	lists     map[string][]string
	seen      map[string]bool
	includes  map[string]string
}

func (w *world) Exists(name string) bool              { return w.mailboxes[name] }
func (w *world) ByID(id string) (string, bool)        { name, ok := w.ids[id]; return name, ok }
func (w *world) SpecialUse(use string) (string, bool) { name, ok := w.uses[use]; return name, ok }
func (w *world) Metadata(name, entry string) (string, bool) {
	v, ok := w.metadata[name+" "+entry]
	return v, ok
}

func newWorld() *world {
	w := &world{
		mailboxes: map[string]bool{}, ids: map[string]string{}, uses: map[string]string{}, metadata: map[string]string{},
		lists: map[string][]string{}, seen: map[string]bool{}, includes: map[string]string{},
	}
	w.env = sieve.Env{
		Items: map[string]string{}, Mailboxes: w,
		Now:   time.Date(2026, 11, 30, 9, 5, 7, 0, time.FixedZone("", 3600)),
		Seen:  func(id string) bool { return w.seen["all"] },
		Lists: func(list string) bool { _, ok := w.lists[list]; return ok },
		Listed: func(list, value string) (bool, error) {
			for _, v := range w.lists[list] {
				if strings.EqualFold(v, value) {
					return true, nil
				}
			}
			return false, nil
		},
		Include: func(location, name string) (*sieve.Script, error) {
			src, ok := w.includes[location+"/"+name]
			if !ok {
				return nil, nil
			}
			return sieve.Compile([]byte(src), sieve.Options{})
		},
		Filter: func(program string, args []string, m *sieve.Message) (*sieve.Message, error) {
			if program != "label" {
				return nil, fmt.Errorf("%s: exit status 75", program)
			}
			return letter("X-Label: " + strings.Join(args, " ") + "\nSubject: labelled\n\nlabelled\n"), nil
		},
	}
	return w
}

// line sets one thing: a word, then its value.
func (w *world) line(t *testing.T, line string) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	first, second, _ := strings.Cut(rest, " ")
	number := func() int {
		n, err := strconv.Atoi(rest)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return n
	}
	switch word {
	case "":
	case "from":
		w.env.From = rest
	case "to":
		w.env.To = rest
	case "auth":
		w.env.Auth = rest
	case "owner":
		w.env.Owner = rest
	case "own":
		w.env.Own = append(w.env.Own, rest)
	case "now":
		now, err := time.Parse(time.RFC3339, rest)
		if err != nil {
			t.Fatal(err)
		}
		w.env.Now = now
	case "item":
		w.env.Items[first] = second
	case "spam":
		w.env.Spam = sieve.Score{Known: true, Percent: number()}
	case "virus":
		w.env.Virus = number()
	case "before":
		w.env.Before = strings.Fields(rest)
	case "mailbox":
		w.mailboxes[rest] = true
	case "id":
		w.ids[first] = second
	case "use":
		w.uses[first] = second
	case "metadata": // of a mailbox, or with "-" of the server
		entry, value, _ := strings.Cut(second, " ")
		w.metadata[strings.Trim(first, "-")+" "+entry] = value
	case "list":
		w.lists[first] = append(w.lists[first], strings.Fields(second)...)
	case "seen":
		w.seen["all"] = true
	default:
		t.Fatalf("env: what is %q?", line)
	}
}

// tell writes the outcome of a run as the want sections have it.
func tell(r sieve.Result) string {
	var b strings.Builder
	for _, a := range r.Actions {
		b.WriteString(tellAction(a) + "\n")
	}
	for _, n := range r.Note {
		fmt.Fprintf(&b, "note for %d\n", n.Seconds)
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "error %v\n", r.Err)
	}
	return b.String()
}

func tellAction(a sieve.Action) string {
	var b strings.Builder
	b.WriteString(a.Kind.String())
	word := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s%q", name, value)
		}
	}
	word("", a.Mailbox)
	word("", a.Address)
	word("", a.Text)
	word("list ", a.List)
	word("mailboxid ", a.MailboxID)
	word("specialuse ", a.SpecialUse)
	word("flags ", strings.Join(a.Flags, " "))
	if a.Create {
		b.WriteString(" create")
	}
	if a.Copy {
		b.WriteString(" copy")
	}
	if a.Edited != nil {
		b.WriteString(" edited")
	}
	if p := a.Reply; p != nil {
		fmt.Fprintf(&b, " for %d", p.Seconds)
		word("handle ", handle(p.Handle))
		word("subject ", p.Subject)
		word("from ", p.From)
		word("addresses ", strings.Join(p.Own, " "))
		if p.MIME {
			b.WriteString(" mime")
		}
		word("", p.Text)
		if p.Fcc != nil {
			b.WriteString(" fcc " + tellAction(*p.Fcc))
		}
	}
	if n := a.Notice; n != nil {
		word("", n.Method)
		word("importance ", n.Importance)
		word("from ", n.From)
		word("options ", strings.Join(n.Options, " "))
		word("message ", n.Message)
		if n.Fcc != nil {
			b.WriteString(" fcc " + tellAction(*n.Fcc))
		}
	}
	return b.String()
}

// handle shows a handle that the script gave, and leaves out digests.
func handle(s string) string {
	if given, ok := strings.CutPrefix(s, "handle "); ok {
		return given
	}
	return ""
}

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, msg := newWorld(), letter("\n")
	var script, name string
	for _, s := range ar.Files {
		data := string(s.Data)
		switch kind, rest, _ := strings.Cut(s.Name, " "); kind {
		case "message":
			msg = letter(data)
		case "env":
			includes := w.includes
			w = newWorld()
			w.includes = includes
			for line := range strings.Lines(data) {
				w.line(t, line)
			}
		case "include":
			w.includes[rest] = data
		case "script:":
			script, name = data, rest
		case "want":
			t.Run(name, func(t *testing.T) {
				if got := play(script, msg, w); got != data {
					t.Errorf("script\n%s\ngot\n%swant\n%s", script, got, data)
				}
			})
		default:
			t.Fatalf("%s: what is the section %q?", file, s.Name)
		}
	}
}

// play compiles and runs a script, and holds its printed form to mean the same.
func play(src string, m *sieve.Message, w *world) string {
	s, err := sieve.Compile([]byte(src), sieve.Options{})
	if err != nil {
		return err.Error() + "\n"
	}
	got := tell(s.Run(m, &w.env))
	plain, err := sieve.Format([]byte(src), sieve.Options{})
	if err != nil {
		return "format: " + err.Error() + "\n"
	}
	again, err := sieve.Compile(plain, sieve.Options{})
	if err != nil {
		return "compile of the printed form: " + err.Error() + "\n"
	}
	r := again.Run(m, &w.env)
	if r.Err == nil && tell(r) != got {
		return "the printed form does " + tell(r) + " and the script " + got
	}
	return got
}
