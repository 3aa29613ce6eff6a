package moving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posta/internal/mailbox"
	"posta/internal/maildir"
	"posta/internal/mbox"
)

// flagsOf makes system flags of what a format notes.
func flagsOf(seen, answered, flagged, draft, deleted bool) (out mailbox.Flags) {
	for _, f := range []struct {
		on   bool
		flag mailbox.Flags
	}{{seen, mailbox.Seen}, {answered, mailbox.Answered}, {flagged, mailbox.Flagged}, {draft, mailbox.Draft}, {deleted, mailbox.Deleted}} {
		if f.on {
			out |= f.flag
		}
	}
	return out
}

// Maildir is a maildir with all that is below it.
type Maildir struct{ Dir string }

// Name implements Source.
func (s *Maildir) Name() string { return "maildir " + s.Dir }

// Parallel implements Source.
func (s *Maildir) Parallel() int { return 4 }

// Folders implements Source. A folder's units are messages.
func (s *Maildir) Folders(context.Context) ([]Folder, error) {
	fsys := os.DirFS(s.Dir)
	list, err := maildir.Folders(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	out := make([]Folder, len(list))
	for i, f := range list {
		entries, err := maildir.Messages(fsys, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Dir, err)
		}
		out[i] = Folder{Name: f.Name, Subscribed: f.Subscribed, Path: f.Path, Units: int64(len(entries))}
	}
	return out, nil
}

// Messages implements Source.
func (s *Maildir) Messages(_ context.Context, f Folder, _ uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		fsys := os.DirFS(s.Dir)
		entries, err := maildir.Messages(fsys, maildir.Folder{Path: f.Path})
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", s.Dir, err))
			return
		}
		for _, e := range entries {
			m := &Message{Where: filepath.Join(s.Dir, e.Path), Keywords: e.Keywords, Date: e.Date, Units: 1,
				Flags: flagsOf(e.Seen, e.Answered, e.Flagged, e.Draft, e.Deleted)}
			m.Data, err = readMessage(fsys, e.Path)
			if errors.Is(err, fs.ErrNotExist) {
				m.Data, m.Flags, m.Keywords, err = renamed(fsys, e)
			}
			if !yield(given(m, f.Name, err)) {
				return
			}
		}
	}
}

// renamed finds a message whose name has changed since it was listed: a program gave it
// other flags, or moved it from new to cur.
func renamed(fsys fs.FS, e maildir.Entry) ([]byte, mailbox.Flags, []string, error) {
	unique, _, _ := strings.Cut(path.Base(e.Path), ":")
	now, err := maildir.Messages(fsys, maildir.Folder{Path: path.Dir(path.Dir(e.Path))})
	if err != nil {
		return nil, 0, nil, err
	}
	for _, n := range now {
		if got, _, _ := strings.Cut(path.Base(n.Path), ":"); got == unique {
			b, err := readMessage(fsys, n.Path)
			return b, flagsOf(n.Seen, n.Answered, n.Flagged, n.Draft, n.Deleted), n.Keywords, err
		}
	}
	return nil, 0, nil, fs.ErrNotExist
}

// errLarge says that a file holds more than a message may.
var errLarge = errors.New("moving: too large")

func readMessage(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxMessage+1))
	if err == nil && len(b) > MaxMessage {
		err = errLarge
	}
	return b, err
}

// given is a message of a file, or why it is not taken.
func given(m *Message, folder string, err error) (*Message, error) {
	s := &Skipped{Folder: folder, Where: m.Where, Units: m.Units}
	switch {
	case errors.Is(err, errLarge), errors.Is(err, mbox.ErrTooLong):
		s.Key, s.Args = "moving.left.large", []any{MaxMessage >> 20}
	case errors.Is(err, fs.ErrNotExist):
		s.Key = "moving.left.gone"
	case err != nil:
		s.Key, s.Args = "moving.left.unread", []any{err.Error()}
	case len(m.Data) == 0:
		s.Key = "moving.left.empty"
	default:
		return m, nil
	}
	return nil, s
}

// Mbox is a file in mbox form, or a folder of such files: each is a folder of that
// name, those in folders "name.sbd" (Thunderbird) or "name" below it. A lone file is
// the INBOX unless Folder names it.
type Mbox struct {
	Path   string
	Folder string
}

// Name implements Source.
func (s *Mbox) Name() string { return "mbox " + s.Path }

// Parallel implements Source.
func (s *Mbox) Parallel() int { return 4 }

// Folders implements Source. A folder's units are octets.
func (s *Mbox) Folders(context.Context) ([]Folder, error) {
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []Folder{{Name: cmp.Or(s.Folder, "INBOX"), Subscribed: true, Path: s.Path, Units: info.Size()}}, nil
	}
	var out []Folder
	err = filepath.WalkDir(s.Path, func(name string, d fs.DirEntry, err error) error {
		switch base := d.Name(); {
		case err != nil:
			return err
		case strings.HasPrefix(base, ".") && name != s.Path:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular() || !beginsMbox(name):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.Path, name)
		out = append(out, Folder{Name: mboxName(rel), Subscribed: true, Path: name, Units: info.Size()})
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: %w", s.Path, mbox.ErrNotMbox)
	}
	slices.SortStableFunc(out, func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// mboxName is the mailbox of a file: "Inbox", "Local.sbd/2025", "Mail.mbox".
func mboxName(rel string) string {
	levels := strings.Split(filepath.ToSlash(rel), "/")
	for i, l := range levels {
		levels[i] = strings.TrimSuffix(strings.TrimSuffix(l, ".sbd"), ".mbox")
	}
	if len(levels) == 1 && strings.EqualFold(levels[0], "inbox") {
		return "INBOX"
	}
	return strings.Join(levels, "/")
}

// beginsMbox tells an mbox from the other files that programs keep beside it.
func beginsMbox(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return true // it is told when it is read
	}
	defer f.Close()
	head := make([]byte, 5)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == "From "
}

// Messages implements Source.
func (s *Mbox) Messages(_ context.Context, f Folder, _ uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		file, err := os.Open(f.Path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		r := mbox.NewReader(file, MaxMessage)
		before := int64(0)
		for {
			b, err := r.Next()
			if err == io.EOF {
				return
			}
			units := r.Offset() - before
			before += units
			if err != nil && !errors.Is(err, mbox.ErrTooLong) {
				yield(nil, fmt.Errorf("%s: %w", f.Path, err))
				return
			}
			if !yield(fromMbox(f, b, units, err)) {
				return
			}
		}
	}
}

func fromMbox(f Folder, b *mbox.Message, units int64, err error) (*Message, error) {
	if err != nil {
		return given(&Message{Where: f.Path, Units: units}, f.Name, err)
	}
	m := &Message{
		Where: fmt.Sprintf("%s:%d", f.Path, b.Line), Keywords: b.Keywords, Date: b.Date, Data: b.Data, Units: units,
		Flags: flagsOf(b.Seen, b.Answered, b.Flagged, b.Draft, b.Deleted),
	}
	switch {
	case b.Folder:
		return nil, &Skipped{Folder: f.Name, Where: m.Where, Key: "moving.left.state", Units: units}
	case b.Expunged:
		return nil, &Skipped{Folder: f.Name, Where: m.Where, Key: "moving.left.expunged", Units: units}
	}
	return given(m, f.Name, nil)
}

// Letters are files of one message each, and all *.eml in folders, of which each is a
// mailbox below.
type Letters struct {
	Paths  []string
	Folder string // of those that stand in no folder; "" is INBOX
}

// Name implements Source.
func (s *Letters) Name() string { return "eml " + strings.Join(s.Paths[:min(len(s.Paths), 3)], " ") }

// Parallel implements Source.
func (s *Letters) Parallel() int { return 1 }

// letters lists the files by folder.
func (s *Letters) letters() (map[string][]string, error) {
	out := map[string][]string{}
	top := cmp.Or(s.Folder, "INBOX")
	for _, p := range s.Paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out[top] = append(out[top], p)
			continue
		}
		err = filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !strings.EqualFold(filepath.Ext(name), ".eml") {
				return err
			}
			rel, err := filepath.Rel(p, filepath.Dir(name))
			folder := filepath.ToSlash(rel)
			if folder == "." {
				folder = top
			}
			out[folder] = append(out[folder], name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Folders implements Source. A folder's units are messages.
func (s *Letters) Folders(context.Context) ([]Folder, error) {
	all, err := s.letters()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w: no file ends in .eml", s.Name(), fs.ErrNotExist)
	}
	var out []Folder
	for name, files := range all {
		out = append(out, Folder{Name: name, Subscribed: true, Units: int64(len(files))})
	}
	slices.SortFunc(out, func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Messages implements Source. Letters have no flags: nobody was unread for long, so
// they are seen.
func (s *Letters) Messages(_ context.Context, f Folder, _ uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		all, err := s.letters()
		if err != nil {
			yield(nil, err)
			return
		}
		for _, name := range all[f.Name] {
			m := &Message{Where: name, Flags: mailbox.Seen, Units: 1}
			m.Data, err = readMessage(os.DirFS(filepath.Dir(name)), filepath.Base(name))
			if err == nil && written(crlf(m.Data)).IsZero() {
				m.Date = modified(name)
			}
			if !yield(given(m, f.Name, err)) {
				return
			}
		}
	}
}

func modified(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
