package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/parcel"
	"posta/internal/store"
)

// MoveIn is the argument of mail.begin: the folders of a source and where they go.
type MoveIn struct {
	Account string       `json:"account"`
	Source  string       `json:"source"` // what is moved in, for the audit log: "maildir /home/ana/Maildir"
	Folders []MoveFolder `json:"folders"`
}

// MoveFolder is one folder of the source.
type MoveFolder struct {
	Name string `json:"name"` // UTF-8, levels parted by "/"
	// Use is a special use such as "\\Sent": the messages go into the account's mailbox
	// of that use, if it has one, whatever that is named.
	Use        string `json:"use,omitempty"`
	Subscribed bool   `json:"subscribed,omitempty"`
	// Mark is the key under which MoveMark was told; "" for none.
	Mark string `json:"mark,omitempty"`
}

// MoveBegun is the result of mail.begin.
type MoveBegun struct {
	Session int64       `json:"session,string"` // for mail.put
	Places  []MovePlace `json:"places"`         // of the folders, in their order
}

// MovePlace is where a folder goes.
type MovePlace struct {
	Mailbox int64  `json:"mailbox"`
	Name    string `json:"name"`
	Made    bool   `json:"made,omitempty"` // it was not there before
	Mark    uint64 `json:"mark,omitempty"`
}

// MoveMailbox names a mailbox of an account; for mail.get also the UID behind which to
// begin.
type MoveMailbox struct {
	Account string `json:"account"`
	Mailbox int64  `json:"mailbox"`
	After   uint32 `json:"after,omitempty"`
}

// MoveDigests is what a mailbox has: SHA-256 of each message's octets, how many of each.
type MoveDigests map[string]int

// MoveMark notes how far an import came.
type MoveMark struct {
	Account string `json:"account"`
	Mark    string `json:"mark"`
	Value   uint64 `json:"value"`
}

// MovePut is the argument of the stream mail.put.
type MovePut struct {
	Account string `json:"account"`
	Session int64  `json:"session,string"`
}

// MoveDone is the result of mail.put.
type MoveDone struct {
	Put int `json:"put"` // of the stream's messages, from the first
	// Problem is why the next one was not taken; the ones behind it were not tried.
	Problem *Problem `json:"problem,omitempty"`
	// Alone says that Problem concerns that one message: the rest can be tried.
	Alone bool `json:"alone,omitempty"`
}

// MoveOut is a mailbox as mail.mailboxes lists it.
type MoveOut struct {
	Mailbox    int64  `json:"mailbox"`
	Name       string `json:"name"`
	Use        string `json:"use,omitempty"`
	Messages   int    `json:"messages"`
	Size       int64  `json:"size"`
	Subscribed bool   `json:"subscribed,omitempty"`
}

// Bounds of moving.
const (
	maxFolders  = 10_000
	maxMoved    = 150 << 20            // octets of a message
	markedFor   = 180 * 24 * time.Hour // how long a mark is remembered
	maxMarkName = 400
)

var movingCommands = []Command{
	bounded(run("mail.begin", store.Owner, beginMoving), 8<<20),
	run("mail.known", store.Owner, knownMail),
	run("mail.mark", store.Owner, markMoved),
	run("mail.mailboxes", store.Owner, listForMoving),
}

// streams are the commands that carry messages beside their arguments.
var streams = []Stream{
	stream("mail.put", store.Owner, putMail),
	stream("mail.get", store.Owner, getMail),
}

// Appender stores a message in a mailbox without sending or judging it. It reads
// exactly size octets; errors are those of store.Acceptor.
type Appender func(ctx context.Context, a mailbox.AccountID, box mailbox.Mailbox, it parcel.Item, body io.Reader) error

// mover finds an account for moving.
func (h *House) mover(login string) (mailbox.AccountID, error) {
	acc := h.Directory.View().ByLogin(login)
	if acc == nil {
		return 0, fail(ErrMissing, "error.account.missing", login)
	}
	return acc.ID, nil
}

// beginMoving makes the mailboxes that are missing, and tells where each folder goes.
func beginMoving(ctx context.Context, h *House, p Principal, m MoveIn) (any, error) {
	account, err := h.mover(m.Account)
	if err != nil {
		return nil, err
	}
	if len(m.Folders) > maxFolders {
		return nil, fail(ErrUsage, "error.moving.folders", len(m.Folders), maxFolders)
	}
	session, err := h.moves.begin(ctx, account, h.now().UnixNano())
	if err != nil {
		return nil, err
	}
	have, err := h.Store.ListMailboxes(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]MovePlace, len(m.Folders))
	made := 0
	for i, f := range m.Folders {
		box, known := placeFor(have, f)
		if !known {
			role := mailbox.RoleOfAttr(f.Use)
			if box, err = h.Store.CreateMailbox(ctx, account, f.Name, role); err != nil {
				return nil, fail(ErrUsage, "error.moving.folder", f.Name, err)
			}
			if have, err = h.Store.ListMailboxes(ctx, account); err != nil { // parents too
				return nil, err
			}
			made++
		}
		if f.Subscribed && !box.Subscribed {
			if err := h.Store.SetSubscribed(ctx, account, box.Name, true); err != nil {
				return nil, err
			}
		}
		out[i] = MovePlace{Mailbox: int64(box.ID), Name: box.Name, Made: !known}
		if out[i].Mark, err = h.mark(ctx, account, f.Mark); err != nil {
			return nil, err
		}
	}
	told := map[string]any{"source": m.Source, "folders": len(m.Folders), "made": made}
	err = h.change(ctx, p, "mail.begin", m.Account, func(store.DirectoryTx, *store.DirectoryView) (any, any, error) { return nil, told, nil })
	return MoveBegun{session, out}, err
}

// placeFor finds the mailbox for a folder: by its use, else by its name.
func placeFor(have []mailbox.Mailbox, f MoveFolder) (mailbox.Mailbox, bool) {
	if role := mailbox.RoleOfAttr(f.Use); role != mailbox.None {
		for _, b := range have {
			if b.Role == role {
				return b, true
			}
		}
	}
	for _, b := range have {
		if b.Name == f.Name || strings.EqualFold(f.Name, "INBOX") && b.Name == "INBOX" {
			return b, true
		}
	}
	return mailbox.Mailbox{}, false
}

// knownMail tells what a mailbox has. It reads the octets of messages to which Posta
// added something, since their digest is nowhere.
func knownMail(ctx context.Context, h *House, _ Principal, m MoveMailbox) (any, error) {
	account, err := h.mover(m.Account)
	if err != nil {
		return nil, err
	}
	out := MoveDigests{}
	err = h.eachStored(ctx, account, mailbox.ID(m.Mailbox), 0, func(s *store.Stored) error {
		sum := s.Blob.SHA256
		if len(s.Prefix) > 0 || s.Skip > 0 {
			d := sha256.New()
			if err := h.octets(ctx, s, func(r io.Reader) error { _, err := io.Copy(d, r); return err }); err != nil {
				return err
			}
			d.Sum(sum[:0])
		}
		out[fmt.Sprintf("%x", sum)]++
		return nil
	})
	return out, err
}

// eachStored calls f with the messages of a mailbox behind a UID, in their order.
func (h *House) eachStored(ctx context.Context, a mailbox.AccountID, box mailbox.ID, after mailbox.UID, f func(*store.Stored) error) error {
	for {
		page, err := h.Store.Fetch(ctx, a, box, store.FetchQuery{From: after + 1, Want: store.WantBytes})
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		after = page[len(page)-1].UID
	}
}

// octets gives f all octets of a stored message.
func (h *House) octets(ctx context.Context, s *store.Stored, f func(io.Reader) error) error {
	r, err := h.openBlob(ctx, s.Blob)
	if err != nil {
		return fmt.Errorf("the octets of message %d: %w", s.UID, err)
	}
	defer r.Close()
	body := io.NewSectionReader(r, s.Skip, s.Blob.Size-s.Skip)
	return f(io.MultiReader(bytes.NewReader(s.Prefix), body))
}

// openBlob opens the bytes of a message; of one that was moved meanwhile, at its new place.
func (h *House) openBlob(ctx context.Context, at store.BlobRef) (blob.Reader, error) {
	r, err := h.Blobs.Open(ctx, at.ID, at.At)
	if !errors.Is(err, blob.ErrNotFound) {
		return r, err
	}
	if at, err = h.Store.BlobRef(ctx, at.ID); err != nil {
		return nil, err
	}
	return h.Blobs.Open(ctx, at.ID, at.At)
}

// mark reads how far an import came.
func (h *House) mark(ctx context.Context, a mailbox.AccountID, name string) (uint64, error) {
	if name == "" {
		return 0, nil
	}
	key, err := markKey(a, name)
	if err != nil {
		return 0, err
	}
	facts, err := h.Store.FactsOf(ctx, store.MovedIn, key)
	if err != nil || facts[0].Until.IsZero() {
		return 0, err
	}
	n, _ := strconv.ParseUint(string(facts[0].Value), 10, 64) // what cannot be read is no mark
	return n, nil
}

func markKey(a mailbox.AccountID, name string) (string, error) {
	if len(name) > maxMarkName || strings.ContainsRune(name, 0) {
		return "", fail(ErrUsage, "error.moving.mark", maxMarkName)
	}
	return fmt.Sprintf("%d %s", a, name), nil
}

// markMoved notes how far an import came. It is forgotten after half a year.
func markMoved(ctx context.Context, h *House, _ Principal, m MoveMark) (any, error) {
	account, err := h.mover(m.Account)
	if err != nil {
		return nil, err
	}
	key, err := markKey(account, m.Mark)
	if err != nil {
		return nil, err
	}
	until := h.now().Add(markedFor)
	return struct{}{}, h.Store.ChangeFacts(ctx, store.MovedIn, []string{key}, func(f store.Fact) store.Fact {
		f.Value, f.Until = strconv.AppendUint(nil, m.Value, 10), until
		return f
	})
}

func listForMoving(ctx context.Context, h *House, _ Principal, n Name) (any, error) {
	account, err := h.mover(n.Name)
	if err != nil {
		return nil, err
	}
	boxes, err := h.Store.ListMailboxes(ctx, account)
	out := make([]MoveOut, len(boxes))
	for i, b := range boxes {
		out[i] = MoveOut{Mailbox: int64(b.ID), Name: b.Name, Use: b.Role.Attr(), Messages: b.Exists, Size: b.Size, Subscribed: b.Subscribed}
	}
	return out, err
}

// putMail stores the messages of a stream, each durably before the next is read. It
// ends at the first that is not taken.
func putMail(ctx context.Context, h *House, _ Principal, a MovePut, in io.Reader, out io.Writer) error {
	if h.Append == nil {
		return fail(ErrUsage, "error.moving.append")
	}
	account, err := h.mover(a.Account)
	if err != nil {
		return err
	}
	list, err := h.Store.ListMailboxes(ctx, account)
	if err != nil {
		return err
	}
	boxes := map[int64]mailbox.Mailbox{}
	for _, b := range list {
		boxes[int64(b.ID)] = b
	}
	if err := h.moves.enter(account, a.Session); err != nil {
		return err
	}
	defer h.moves.leave(account)
	var done MoveDone
	r := parcel.NewReader(in)
	for {
		it, body, err := r.Next()
		if err == io.EOF {
			return json.NewEncoder(out).Encode(done)
		}
		if err != nil {
			return fail(ErrUsage, "error.moving.stream", err)
		}
		box, known := boxes[it.Mailbox]
		switch {
		case !h.moves.current(account, a.Session):
			return errSuperseded()
		case !known:
			err = fail(ErrMissing, "error.moving.mailbox", it.Mailbox)
		case it.Size == 0:
			err = fail(ErrUsage, "error.moving.empty")
		case it.Size > maxMoved:
			err = fail(ErrUsage, "error.moving.large", it.Size, maxMoved)
		default:
			err = translate(h.Append(ctx, account, box, it, body))
		}
		if errors.Is(err, store.ErrQuota) {
			err = fail(ErrUsage, "error.moving.quota", a.Account)
		}
		if err != nil {
			problem := problemOf(err)
			done.Problem, done.Alone = &problem, known && (it.Size == 0 || it.Size > maxMoved)
			_, drain := io.Copy(io.Discard, in)
			return errors.Join(drain, json.NewEncoder(out).Encode(done))
		}
		done.Put++
	}
}

// getMail writes the messages of a mailbox as a stream. What fails in the middle is
// told in the stream's last line.
func getMail(ctx context.Context, h *House, _ Principal, m MoveMailbox, _ io.Reader, out io.Writer) error {
	account, err := h.mover(m.Account)
	if err != nil {
		return err
	}
	if _, err := h.Store.GetMailbox(ctx, account, mailbox.ID(m.Mailbox)); err != nil {
		return err
	}
	w := parcel.NewWriter(out)
	err = h.eachStored(ctx, account, mailbox.ID(m.Mailbox), mailbox.UID(m.After), func(s *store.Stored) error {
		it := parcel.Item{UID: uint32(s.UID), Flags: s.Flags.Names(), Keywords: s.Keywords, Date: s.InternalDate, Size: s.Size}
		return h.octets(ctx, s, func(r io.Reader) error { return w.Add(it, r) })
	})
	return w.End(err)
}
