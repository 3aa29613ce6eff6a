package moving

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posta/internal/command"
	"posta/internal/mailbox"
	"posta/internal/maildir"
	"posta/internal/mbox"
	"posta/internal/parcel"
)

// Target is where mail goes out to.
type Target interface {
	Folder(name string) error
	Message(it parcel.Item, data []byte) error
	Close() error
}

// Exported is what an export did.
type Exported struct {
	Folders  int   `json:"folders"`
	Messages int64 `json:"messages"`
	Octets   int64 `json:"octets"`
	// Unmarked is how many keywords the form has no place for.
	Unmarked int `json:"unmarked,omitempty"`
}

// Export writes the mail of an account, or of the folders in only. With an error the
// target is not whole.
func Export(ctx context.Context, h House, account string, only []string, to Target, told func(Exported)) (Exported, error) {
	var out Exported
	var boxes []command.MoveOut
	if err := h.Do("mail.mailboxes", command.Name{Name: account}, &boxes); err != nil {
		return out, err
	}
	found := map[string]bool{}
	for _, b := range boxes {
		found[b.Name] = true
	}
	for _, name := range only {
		if !found[name] {
			return out, &command.Error{Kind: command.ErrMissing, Key: "error.moving.nofolder", Args: []any{name}}
		}
	}
	for _, b := range boxes {
		if len(only) > 0 && !slices.Contains(only, b.Name) {
			continue
		}
		if err := to.Folder(b.Name); err != nil {
			return out, err
		}
		out.Folders++
		if err := exportFolder(ctx, h, account, b, to, &out, told); err != nil {
			return out, fmt.Errorf("%s: %w", b.Name, err)
		}
	}
	err := to.Close()
	if u, ok := to.(interface{ Unmarked() int }); ok {
		out.Unmarked = u.Unmarked()
	}
	return out, err
}

func exportFolder(ctx context.Context, h House, account string, b command.MoveOut, to Target, out *Exported, told func(Exported)) error {
	r, w := io.Pipe()
	got := make(chan error, 1)
	go func() {
		err := h.Stream("mail.get", command.MoveMailbox{Account: account, Mailbox: b.Mailbox}, nil, w)
		w.CloseWithError(err)
		got <- err
	}()
	err := receive(ctx, parcel.NewReader(r), to, out, told)
	r.CloseWithError(io.ErrClosedPipe)
	if streamed := <-got; streamed != nil && err == nil {
		err = streamed
	}
	return err
}

func receive(ctx context.Context, r *parcel.Reader, to Target, out *Exported, told func(Exported)) error {
	for {
		it, body, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err == nil && int64(len(data)) < it.Size {
			err = parcel.ErrCut
		}
		if err == nil {
			err = to.Message(it, data)
		}
		if err != nil {
			return err
		}
		out.Messages++
		out.Octets += it.Size
		if told != nil {
			told(*out)
		}
	}
}

func has(it parcel.Item, f mailbox.Flags) bool {
	return slices.ContainsFunc(it.Flags, func(name string) bool { return mailbox.FlagOf(name) == f })
}

// ToMaildir writes a Maildir++.
func ToMaildir(dir string) (Target, error) {
	w, err := maildir.NewWriter(dir)
	return maildirTarget{w}, err
}

type maildirTarget struct{ *maildir.Writer }

func (t maildirTarget) Message(it parcel.Item, data []byte) error {
	return t.Writer.Message(maildir.Entry{
		Date: it.Date, Seen: has(it, mailbox.Seen), Answered: has(it, mailbox.Answered), Flagged: has(it, mailbox.Flagged),
		Draft: has(it, mailbox.Draft), Deleted: has(it, mailbox.Deleted), Keywords: it.Keywords,
	}, data)
}

// ToMbox writes a file in mbox form for each folder, below a folder that does not
// exist yet or is empty.
func ToMbox(dir string) (Target, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%s: %w: mail is written into an empty folder", dir, fs.ErrExist)
	}
	return &mboxTarget{dir: dir}, err
}

type mboxTarget struct {
	dir  string
	file *os.File
	w    *mbox.Writer
}

func (t *mboxTarget) Folder(name string) error {
	if err := t.Close(); err != nil {
		return err
	}
	levels := strings.Split(name, "/")
	for i, l := range levels {
		if l == "" || strings.HasPrefix(l, ".") { // no folder of the system's is meant
			l = "_" + l
		}
		if levels[i] = l; i < len(levels)-1 {
			levels[i] += ".sbd"
		}
	}
	path := filepath.Join(append([]string{t.dir}, levels...)...) + ".mbox"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	t.file, t.w = f, mbox.NewWriter(f)
	return nil
}

func (t *mboxTarget) Message(it parcel.Item, data []byte) error {
	return t.w.Write(&mbox.Message{
		Date: it.Date, Data: data, Keywords: it.Keywords, Seen: has(it, mailbox.Seen), Answered: has(it, mailbox.Answered),
		Flagged: has(it, mailbox.Flagged), Draft: has(it, mailbox.Draft), Deleted: has(it, mailbox.Deleted),
	})
}

func (t *mboxTarget) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.w.Flush()
	if err == nil {
		err = t.file.Sync()
	}
	if closed := t.file.Close(); err == nil {
		err = closed
	}
	t.file = nil
	return err
}
