// Package maildir reads and writes mailboxes in maildir form: a folder with new, cur and
// tmp, one file for each message, whose name ends in ":2," and letters for its flags.
//
// Two ways to nest mailboxes are read: Maildir++, where the folder ".a.b" beside cur is
// the mailbox a/b (Courier, Dovecot; https://www.courier-mta.org/imap/README.maildirquota.html),
// and plain folders within folders (Dovecot's LAYOUT=fs, mutt, Evolution). Write makes
// Maildir++.
package maildir

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/imap"
)

// Folder is one mailbox of a maildir.
type Folder struct {
	Name       string // levels parted by "/", UTF-8; "INBOX" is the maildir itself
	Path       string // within the file system
	Subscribed bool   // as the file "subscriptions" says; without one, true
}

// Entry is one message.
type Entry struct {
	Path     string
	Date     time.Time // when it came: the earlier of what name and file say
	Seen     bool
	Answered bool
	Flagged  bool
	Draft    bool
	Deleted  bool
	Keywords []string // of dotted letters a…z, as dovecot-keywords names them
}

// ErrNone says that a folder is no maildir and has none in it.
var ErrNone = errors.New("maildir: there is no folder cur or new")

// Folders lists the mailboxes below root, INBOX first, then by name.
func Folders(fsys fs.FS, root string) ([]Folder, error) {
	var out []Folder
	if is(fsys, root) {
		out = append(out, Folder{Name: "INBOX", Path: root})
	}
	subs, listed := subscriptions(fsys, root)
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir() || name == root:
			return nil
		}
		if base := path.Base(name); base == "cur" || base == "new" || base == "tmp" {
			return fs.SkipDir
		}
		if is(fsys, name) {
			rel := name
			if root != "." {
				rel = strings.TrimPrefix(name, root+"/")
			}
			out = append(out, Folder{Name: nameOf(rel), Path: name})
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: %w", root, ErrNone)
	}
	for i := range out {
		out[i].Subscribed = !listed || out[i].Name == "INBOX" || subs[out[i].Name]
	}
	slices.SortStableFunc(out, func(a, b Folder) int {
		return cmp.Or(cmp.Compare(b2i(a.Name != "INBOX"), b2i(b.Name != "INBOX")), cmp.Compare(a.Name, b.Name))
	})
	return out, err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// is reports whether a folder is a maildir.
func is(fsys fs.FS, name string) bool {
	for _, sub := range []string{"cur", "new"} {
		if info, err := fs.Stat(fsys, path.Join(name, sub)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// nameOf makes a mailbox name of the path of its folder: ".a.b" is a/b, and so is
// "a/b". Names are in modified UTF-7 (RFC 3501 §5.1.3) or UTF-8.
func nameOf(rel string) string {
	var levels []string
	for _, p := range strings.Split(rel, "/") {
		if rest, dotted := strings.CutPrefix(p, "."); dotted {
			levels = append(levels, strings.Split(rest, ".")...)
		} else {
			levels = append(levels, p)
		}
	}
	for i, l := range levels {
		if u, err := imap.DecodeUTF7(l); err == nil {
			levels[i] = u
		}
	}
	if len(levels) > 1 && strings.EqualFold(levels[0], "INBOX") { // Courier's ".INBOX.a" is ".a"
		levels = levels[1:]
	}
	return strings.Join(levels, "/")
}

// subscriptions reads the file that Courier and Dovecot keep; listed is false without
// one.
func subscriptions(fsys fs.FS, root string) (names map[string]bool, listed bool) {
	names = map[string]bool{}
	for _, file := range []string{"subscriptions", "courierimapsubscribed"} {
		b, err := fs.ReadFile(fsys, path.Join(root, file))
		if err != nil {
			continue
		}
		listed = true
		for line := range strings.Lines(string(b)) {
			line = strings.TrimRight(line, "\r\n")
			if line == "" || strings.HasPrefix(line, "V\t") {
				continue
			}
			names[nameOf("."+strings.ReplaceAll(line, "\t", "."))] = true // Dovecot's second version parts levels by tabs
			names[nameOf(line)] = true
		}
	}
	return names, listed
}

// Messages lists the messages of a mailbox in the order in which they came.
func Messages(fsys fs.FS, f Folder) ([]Entry, error) {
	words := keywords(fsys, f.Path)
	var out []Entry
	for _, sub := range []string{"cur", "new"} {
		list, err := fs.ReadDir(fsys, path.Join(f.Path, sub))
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			if strings.HasPrefix(d.Name(), ".") || d.IsDir() {
				continue
			}
			e := Entry{Path: path.Join(f.Path, sub, d.Name())}
			if sub == "cur" {
				e.flags(d.Name(), words)
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // moved or deleted meanwhile
			}
			if err != nil {
				return nil, err
			}
			// A copy of the file is younger than its name, and the name of a message
			// that was appended later is younger than the date that the file was given.
			if e.Date = info.ModTime(); !stamp(d.Name()).IsZero() && stamp(d.Name()).Before(e.Date) {
				e.Date = stamp(d.Name())
			}
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(path.Base(a.Path), path.Base(b.Path)))
	})
	return out, nil
}

// flags reads the letters behind ":2,".
func (e *Entry) flags(name string, words [26]string) {
	_, letters, _ := strings.Cut(name, ":2,")
	letters, _, _ = strings.Cut(letters, ",")
	for _, c := range letters {
		switch {
		case c == 'S':
			e.Seen = true
		case c == 'R':
			e.Answered = true
		case c == 'F':
			e.Flagged = true
		case c == 'D':
			e.Draft = true
		case c == 'T':
			e.Deleted = true
		case 'a' <= c && c <= 'z' && words[c-'a'] != "":
			e.Keywords = append(e.Keywords, words[c-'a'])
		}
	}
}

// stamp is the time with which names of maildir begin: seconds since 1970. What lies
// before 1980 or after 2100 is none.
func stamp(name string) time.Time {
	digits, _, ok := strings.Cut(name, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 315532800 || n > 4102444800 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// keywords reads Dovecot's file: "0 $Work" says that the letter a means $Work.
func keywords(fsys fs.FS, dir string) (out [26]string) {
	f, err := fsys.Open(path.Join(dir, "dovecot-keywords"))
	if err != nil {
		return out
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		number, word, _ := strings.Cut(s.Text(), " ")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(out) {
			out[n] = word
		}
	}
	return out
}

// Writer makes a maildir with all that is in it.
type Writer struct {
	root     string
	words    []string // keywords of the mailbox at hand, the first is a
	at       string   // its folder
	counter  int
	unmarked int // keywords for which there was no letter
}

// NewWriter makes a maildir in a folder that does not exist yet, or is empty.
func NewWriter(root string) (*Writer, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(root)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%s: %w: a maildir is written into an empty folder", root, fs.ErrExist)
	}
	return &Writer{root: root}, err
}

// Folder begins a mailbox. A level with a dot in its name has "^" in its place, for
// dots part the levels.
func (w *Writer) Folder(name string) error {
	if err := w.Close(); err != nil {
		return err
	}
	w.at = w.root
	if name != "INBOX" {
		levels := strings.Split(strings.ReplaceAll(name, ".", "^"), "/")
		for i, l := range levels {
			levels[i] = imap.EncodeUTF7(l)
		}
		w.at = filepath.Join(w.root, "."+strings.Join(levels, "."))
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(w.at, sub), 0o700); err != nil {
			return err
		}
	}
	if w.at == w.root {
		return nil
	}
	return os.WriteFile(filepath.Join(w.at, "maildirfolder"), nil, 0o600)
}

// Message writes a message into the mailbox at hand, octet for octet.
func (w *Writer) Message(e Entry, data []byte) error {
	w.counter++
	name := fmt.Sprintf("%d.M%07dP1.posta,S=%d:2,%s", e.Date.Unix(), w.counter, len(data), w.letters(e))
	file := filepath.Join(w.at, "cur", name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return os.Chtimes(file, e.Date, e.Date)
}

// letters are the flags in the order of the alphabet, as the form wants them.
func (w *Writer) letters(e Entry) string {
	var out []byte
	for _, f := range []struct {
		on     bool
		letter byte
	}{{e.Draft, 'D'}, {e.Flagged, 'F'}, {e.Answered, 'R'}, {e.Seen, 'S'}, {e.Deleted, 'T'}} {
		if f.on {
			out = append(out, f.letter)
		}
	}
	head := len(out)
	for _, k := range e.Keywords {
		i := slices.Index(w.words, k)
		if i < 0 && len(w.words) == 26 {
			w.unmarked++
			continue
		}
		if i < 0 {
			i = len(w.words)
			w.words = append(w.words, k)
		}
		out = append(out, byte('a'+i))
	}
	slices.Sort(out[head:])
	return string(out)
}

// Close ends the mailbox at hand: it writes what its letters mean.
func (w *Writer) Close() error {
	if w.at == "" || len(w.words) == 0 {
		return nil
	}
	var b strings.Builder
	for i, k := range w.words {
		fmt.Fprintf(&b, "%d %s\n", i, k)
	}
	w.words = nil
	return os.WriteFile(filepath.Join(w.at, "dovecot-keywords"), []byte(b.String()), 0o600)
}

// Unmarked is how often a keyword could not be written, since a mailbox has letters
// for 26.
func (w *Writer) Unmarked() int { return w.unmarked }
