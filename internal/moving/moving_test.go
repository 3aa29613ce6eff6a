package moving

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"posta/internal/blob/pack"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/intake"
	"posta/internal/mailbox"
	"posta/internal/parcel"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
)

const ana = "ana@empresa.test"

// newHouse is a house with ana, without a server.
func newHouse(t *testing.T, quota int64) House {
	t.Helper()
	dir := t.TempDir()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: filepath.Join(dir, "meta")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	disk, err := durable.OpenOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	blobs, err := pack.Open(t.Context(), disk, "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	d, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{TempDir: dir}, d, st, blobs, nil, nil)
	house := &command.House{Store: st, Blobs: blobs, Directory: d}
	house.Append = func(ctx context.Context, a mailbox.AccountID, box mailbox.Mailbox, it parcel.Item, body io.Reader) error {
		var flags mailbox.Flags
		for _, f := range it.Flags {
			flags |= mailbox.FlagOf(f)
		}
		_, err := in.Append(ctx, intake.Stored{Account: a, Target: store.Target{ID: box.ID, Name: box.Name}, Flags: flags,
			Keywords: it.Keywords, InternalDate: it.Date, Size: it.Size}, body)
		return err
	}
	who := command.Principal{Name: "test", Role: store.Owner}
	h := House{
		Do: func(name string, args, out any) error {
			raw, err := json.Marshal(args)
			if err != nil {
				return err
			}
			result, err := command.Do(t.Context(), house, who, name, raw)
			if err != nil || out == nil {
				return err
			}
			if raw, err = json.Marshal(result); err != nil {
				return err
			}
			return json.Unmarshal(raw, out)
		},
		Stream: func(name string, args any, in io.Reader, out io.Writer) error {
			raw, err := json.Marshal(args)
			if err != nil {
				return err
			}
			return command.DoStream(t.Context(), house, who, name, raw, in, out)
		},
	}
	if err := h.Do("domain.add", command.Name{Name: "empresa.test"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Do("account.add", command.NewAccount{Address: ana, Password: "una frase larga de paso", Quota: quota}, nil); err != nil {
		t.Fatal(err)
	}
	return h
}

// fixed is a source that holds what is written down: a line for each message, "folder |
// where | flags | text".
type fixed struct {
	lines []string
	all   string // the folder that holds everything
	use   map[string]string
}

func (s fixed) Name() string  { return "fixed" }
func (s fixed) Parallel() int { return 2 }

func (s fixed) Folders(context.Context) (out []Folder, err error) {
	for _, l := range s.lines {
		name, _, _ := strings.Cut(l, " | ")
		if !slices.ContainsFunc(out, func(f Folder) bool { return f.Name == name }) {
			out = append(out, Folder{Name: name, All: name == s.all, Use: s.use[name], Units: 1})
		}
	}
	return out, nil
}

func (s fixed) Messages(_ context.Context, f Folder, _ uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for _, l := range s.lines {
			p := strings.Split(l, " | ")
			if p[0] != f.Name {
				continue
			}
			m := &Message{Where: p[1], Data: []byte("Subject: " + p[3] + "\nDate: Mon, 3 Mar 2025 10:00:00 +0100\n\n" + p[3] + "\n")}
			for w := range strings.FieldsSeq(p[2]) {
				if flag := mailbox.FlagOf(w); flag != 0 {
					m.Flags |= flag
				} else {
					m.Keywords = append(m.Keywords, w)
				}
			}
			if p[3] == "" {
				m.Data = nil
			}
			if !yield(given(m, f.Name, nil)) {
				return
			}
		}
	}
}

// has lists what ana has, as export tells it.
func (h House) has(t *testing.T) (out []string) {
	t.Helper()
	l := &lister{}
	if _, err := Export(t.Context(), h, ana, nil, l, nil); err != nil {
		t.Fatal(err)
	}
	return l.lines
}

type lister struct {
	folder string
	lines  []string
}

func (l *lister) Folder(name string) error { l.folder = name; return nil }
func (l *lister) Close() error             { return nil }
func (l *lister) Message(it parcel.Item, data []byte) error {
	text, _, _ := strings.Cut(strings.TrimPrefix(string(data), "Subject: "), "\r\n")
	l.lines = append(l.lines, fmt.Sprintf("%s %v %v %s %s", l.folder, it.Flags, it.Keywords, it.Date.UTC().Format("2006-01-02 15:04"), text))
	return nil
}

func imported(t *testing.T, h House, src Source, o Options) Report {
	t.Helper()
	o.Account = ana
	r, err := Import(t.Context(), h, src, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestImport(t *testing.T) {
	h := newHouse(t, 0)
	src := fixed{lines: []string{
		`INBOX | 1 | \Seen $Work | uno`,
		`INBOX | 2 |  | dos`,
		`INBOX | 3 |  | dos`, // the same octets twice in one folder are two messages
		`INBOX | 4 |  | `,    // nothing to store
		`Enviados | 5 | \Seen | mío`,
		`Clientes/2025 | 6 | \Flagged | viejo`,
		`Todos | 7 |  | uno`,
		`Todos | 8 |  | archivado`,
		`Raro | 9 |  | guardado`,
	}, all: "Todos", use: map[string]string{"Raro": `\Trash`}}
	r := imported(t, h, src, Options{})
	want := []string{
		`Archive [] [] 2025-03-03 09:00 archivado`,
		`Clientes/2025 [\Flagged] [] 2025-03-03 09:00 viejo`,
		`INBOX [\Seen] [$Work] 2025-03-03 09:00 uno`,
		`INBOX [] [] 2025-03-03 09:00 dos`,
		`INBOX [] [] 2025-03-03 09:00 dos`,
		`Sent [\Seen] [] 2025-03-03 09:00 mío`,
		`Trash [] [] 2025-03-03 09:00 guardado`,
	}
	got := h.has(t)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r.Put != 7 || r.Known != 1 || r.Skipped != 1 || len(r.Left) != 1 || r.Left[0].Key != "moving.left.empty" || r.Left[0].Where != "4" {
		t.Errorf("%+v", r)
	}
	// Again: nothing new. With one more of the same octets: that one.
	if r = imported(t, h, src, Options{}); r.Put != 0 || r.Known != 8 {
		t.Errorf("again: %+v", r.Progress)
	}
	src.lines = append(src.lines, `INBOX | 10 |  | dos`)
	if r = imported(t, h, src, Options{}); r.Put != 1 || r.Known != 8 {
		t.Errorf("one more: %+v", r.Progress)
	}
	// Below a folder, only one of them, and first as a rehearsal.
	o := Options{Into: "Viejo", Only: []string{"Enviados"}, Dry: true}
	if r = imported(t, h, src, o); r.Put != 1 || len(h.has(t)) != 8 {
		t.Errorf("rehearsal: %+v", r.Progress)
	}
	o.Dry = false
	imported(t, h, src, o)
	if got := h.has(t); !slices.Contains(got, `Viejo/Enviados [\Seen] [] 2025-03-03 09:00 mío`) || len(got) != 9 {
		t.Errorf("into a folder: %q", got)
	}
}

// A quota that is used up ends an import with what was done, and it can be repeated.
func TestQuota(t *testing.T) {
	h := newHouse(t, 200)
	var src fixed
	for i := range 10 {
		src.lines = append(src.lines, fmt.Sprintf("INBOX | %d |  | carta %d", i, i))
	}
	r, err := Import(t.Context(), h, src, Options{Account: ana})
	if err == nil || !strings.Contains(err.Error(), "quota") || r.Put == 0 || r.Put > 4 {
		t.Fatalf("%v, %+v", err, r.Progress)
	}
	if err := h.Do("account.set", map[string]any{"address": ana, "quota": 0}, nil); err != nil {
		t.Fatal(err)
	}
	if r := imported(t, h, src, Options{}); r.Put+r.Known != 10 || r.Known == 0 {
		t.Errorf("%+v", r.Progress)
	}
}

// An import that was left behind stores nothing once another has begun.
func TestSessions(t *testing.T) {
	h := newHouse(t, 0)
	var first, second command.MoveBegun
	begin := command.MoveIn{Account: ana, Source: "x", Folders: []command.MoveFolder{{Name: "INBOX"}}}
	if err := h.Do("mail.begin", begin, &first); err != nil {
		t.Fatal(err)
	}
	if err := h.Do("mail.begin", begin, &second); err != nil {
		t.Fatal(err)
	}
	put := func(session int64) error {
		r, w := io.Pipe()
		go func() {
			p := parcel.NewWriter(w)
			p.Add(parcel.Item{Mailbox: first.Places[0].Mailbox, Size: 1}, strings.NewReader("x"))
			w.CloseWithError(p.End(nil))
		}()
		defer r.Close()
		return h.Stream("mail.put", command.MovePut{Account: ana, Session: session}, r, io.Discard)
	}
	if err := put(first.Session); err == nil || !strings.Contains(err.Error(), "another import") {
		t.Errorf("the first: %v", err)
	}
	if err := put(second.Session); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestLetters(t *testing.T) {
	h := newHouse(t, 0)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "Viejos"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a.eml": "Subject: a\nDate: Mon, 3 Mar 2025 10:00:00 +0100\n\na\n", "Viejos/b.EML": "Subject: b\n\nb\n", "nota.txt": "x"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Unix(1700000000, 0), time.Unix(1700000000, 0)); err != nil {
			t.Fatal(err)
		}
	}
	imported(t, h, &Letters{Paths: []string{dir}}, Options{})
	want := []string{`INBOX [\Seen] [] 2025-03-03 09:00 a`, `Viejos [\Seen] [] 2023-11-14 22:13 b`}
	if d := cmp.Diff(want, h.has(t)); d != "" {
		t.Error(d)
	}
}

// Every reason for leaving something out has a text.
func TestReasonsHaveTexts(t *testing.T) {
	for _, k := range []string{"large", "gone", "unread", "empty", "state", "expunged"} {
		if !words.Has("moving.left." + k) {
			t.Error(k)
		}
	}
}
