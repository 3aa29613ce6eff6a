package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/trace"
)

// Quarantine files what is held.
type Quarantine interface {
	// Release files held mail for its recipient as if policy had accepted it, in one
	// transaction with its end, and tells where it went, in words. ErrNowhere when the
	// recipient leads nowhere any more, store.ErrNotFound when it is not held; then
	// nothing happens.
	Release(ctx context.Context, h *store.HeldMail, a store.Audit) ([]string, error)
}

// ErrNowhere says that an address of ours does not exist any more.
var ErrNowhere = errors.New("command: the recipient leads nowhere")

// Learner is told of mail that a person found to be good.
type Learner interface {
	LearnGood(ctx context.Context, p Principal, recipient string, m store.Contents) error
}

// HeldItem is one held message as people see it.
type HeldItem struct {
	ID        int64              `json:"id"`
	Message   string             `json:"message"` // trace id
	Recipient string             `json:"recipient"`
	From      string             `json:"from"`   // reverse-path
	Author    string             `json:"author"` // of the From field
	Subject   string             `json:"subject"`
	Reasons   []store.HoldReason `json:"reasons"`
	Size      int64              `json:"size"`
	Held      time.Time          `json:"held"`
	Told      time.Time          `json:"told,omitzero"`
	Reviewed  time.Time          `json:"reviewed,omitzero"`
	// Expires is when it goes by itself; zero: not as long as it is untold, or must be
	// reviewed and was not.
	Expires time.Time `json:"expires,omitzero"`
	Overdue bool      `json:"overdue,omitempty"`
}

// HeldQuery selects held mail; the zero value means all.
type HeldQuery struct {
	Recipient string `json:"recipient,omitempty"`
	Domain    string `json:"domain,omitempty"`
	Message   string `json:"message,omitempty"`
	Overdue   bool   `json:"overdue,omitempty"` // not reviewed for too long
	After     int64  `json:"after,omitempty"`
	Limit     int    `json:"limit,omitempty"`
}

// HeldDetail is a held message with what it looks like.
type HeldDetail struct {
	HeldItem
	Header  string `json:"header,omitempty"`
	Preview string `json:"preview,omitempty"`
	Raw     []byte `json:"raw,omitempty"` // as it came, octet for octet
}

// HeldChoice names held mail: by its ids, or all recipients of a message.
type HeldChoice struct {
	IDs   []int64 `json:"ids"`
	Train bool    `json:"train,omitempty"` // tell the learner that it is good
	Allow bool    `json:"allow,omitempty"` // let its sender pass from now on
}

// Released is where one held message went.
type Released struct {
	ID        int64    `json:"id"`
	Recipient string   `json:"recipient"`
	Places    []string `json:"places"`
	// Problems are why it was not learnt or its sender not allowed. The release is
	// done all the same.
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is what went wrong beside a command that was carried out: in English, and
// for a client that says it in another language as key and arguments.
type Problem struct {
	Text string   `json:"text"`
	Key  string   `json:"key,omitempty"`
	Args []string `json:"args,omitempty"`
}

// problemOf is an error as it travels.
func problemOf(err error) Problem {
	p := Problem{Text: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok {
		p.Key = e.Key
		for _, a := range e.Args {
			p.Args = append(p.Args, fmt.Sprint(a))
		}
	}
	return p
}

// Term is how long held mail of a domain is kept.
type Term struct {
	Domain string `json:"domain"`
	Days   int    `json:"days"` // 0: as the policy says
}

var quarantineCommands = []Command{
	run("quarantine.ls", store.Helpdesk, listHeld),
	run("quarantine.show", store.Owner, showHeld),
	run("quarantine.release", store.Owner, releaseHeld),
	run("quarantine.delete", store.Owner, deleteHeld),
	run("quarantine.term", store.Owner, setTerm),
	run("quarantine.tell", store.Owner, tellHeld),
}

// Digests tells people of what is held for them.
type Digests interface {
	// TellNow tells of all that nobody was told of, and counts it.
	TellNow(ctx context.Context) (int, error)
}

// Told is what quarantine.tell did.
type Told struct {
	Messages int `json:"messages"`
}

// tellHeld writes the digests now that would be written when mail has waited for some
// days: before somebody goes on holiday, or to see one.
func tellHeld(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	if h.Digests == nil {
		return nil, fail(ErrUsage, "error.quarantine.tell")
	}
	n, err := h.Digests.TellNow(ctx)
	return Told{n}, err
}

// keepSetting is the key of a domain's own term.
const keepSetting = "quarantine.keep."

// maxTermDays is ten years.
const maxTermDays = 3650

// KeepFor is how long held mail of a domain is kept: its own term, or the policy's.
func KeepFor(v *directory.View, q policy.Quarantine, domain string) time.Duration {
	if d, err := time.ParseDuration(v.Setting(keepSetting + domain)); err == nil && d > 0 {
		return d
	}
	return q.KeepFor()
}

// heldItem shows held mail with the terms that hold now.
func (h *House) heldItem(m *store.HeldMail, q policy.Quarantine) HeldItem {
	it := HeldItem{
		ID: m.ID, Message: m.Message.String(), Recipient: m.Recipient, From: m.Out.ReversePath, Author: m.Author, Subject: m.Subject,
		Reasons: m.Reasons, Size: m.Size, Held: m.At, Told: m.Told, Reviewed: m.Reviewed,
		Overdue: m.Reviewed.IsZero() && h.now().Sub(m.At) >= q.OverdueAfter(),
	}
	if !m.Told.IsZero() && (!m.Review || !m.Reviewed.IsZero()) {
		it.Expires = m.At.Add(KeepFor(h.Directory.View(), q, m.Domain))
	}
	return it
}

func listHeld(ctx context.Context, h *House, _ Principal, q HeldQuery) (any, error) {
	p, err := h.currentPolicy()
	if err != nil {
		return nil, err
	}
	f := store.HeldFilter{Recipient: q.Recipient, Domain: strings.ToLower(q.Domain), After: q.After, Limit: q.Limit}
	if q.Message != "" {
		if f.Message, err = mail.ParseID(q.Message); err != nil {
			return nil, fail(ErrUsage, "error.quarantine.id", q.Message)
		}
	}
	if q.Overdue {
		f.Unreviewed, f.Before = true, h.now().Add(-p.Quarantine.OverdueAfter())
	}
	list, err := h.Store.ListHeld(ctx, f)
	if err != nil {
		return nil, err
	}
	out := make([]HeldItem, 0, len(list))
	for i := range list {
		out = append(out, h.heldItem(&list[i], p.Quarantine))
	}
	return out, nil
}

// held finds one held message.
func (h *House) held(ctx context.Context, id int64) (*store.HeldMail, error) {
	list, err := h.Store.ListHeld(ctx, store.HeldFilter{ID: id, Whole: true})
	if err != nil {
		return nil, err
	}
	if id == 0 || len(list) == 0 {
		return nil, fail(ErrMissing, "error.quarantine.none", id)
	}
	return &list[0], nil
}

// maxShownHeader bounds the header that is shown.
const maxShownHeader = 64 << 10

// showHeld shows one message. To show it is to have reviewed it, which is written to
// the audit log.
func showHeld(ctx context.Context, h *House, p Principal, a struct {
	ID  int64 `json:"id"`
	Raw bool  `json:"raw,omitempty"`
}) (any, error) {
	pol, err := h.currentPolicy()
	if err != nil {
		return nil, err
	}
	m, err := h.held(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	out := HeldDetail{HeldItem: h.heldItem(m, pol.Quarantine), Preview: m.Stored.Preview}
	body, err := h.Blobs.Open(ctx, m.Blob.ID, m.Blob.At)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if a.Raw {
		out.Raw, err = io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	} else {
		out.Header, err = shownHeader(m.Stored.Prefix, io.NewSectionReader(body, m.Stored.Skip, body.Size()))
	}
	if err != nil {
		return nil, err
	}
	_, err = h.Store.ReviewHeld(ctx, []int64{m.ID}, h.heldAudit(p, "quarantine.show", m))
	return out, err
}

// shownHeader is the header of a message with its prefix, as far as it is shown.
func shownHeader(prefix []byte, body io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxShownHeader))
	if err != nil {
		return "", err
	}
	text := string(prefix) + string(b)
	if strings.HasPrefix(text, "\r\n") {
		return "", nil
	}
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	return strings.ToValidUTF8(strings.ReplaceAll(header, "\r\n", "\n"), "\uFFFD"), nil
}

func (h *House) heldAudit(p Principal, cmd string, m *store.HeldMail) store.Audit {
	return store.Audit{
		At: h.now(), Principal: p.Name, Tenant: p.Tenant, Command: cmd, Object: fmt.Sprintf("%d %s", m.ID, m.Recipient),
		Before: asJSON(map[string]string{"message": m.Message.String(), "from": m.Out.ReversePath}),
	}
}

func releaseHeld(ctx context.Context, h *House, p Principal, c HeldChoice) (any, error) {
	switch {
	case len(c.IDs) == 0:
		return nil, fail(ErrUsage, "error.quarantine.which")
	case c.Train && h.Learner == nil:
		return nil, fail(ErrUsage, "error.quarantine.train")
	}
	out := []Released{}
	for _, id := range c.IDs {
		r, err := h.release(ctx, p, id, c)
		if err != nil {
			if len(out) > 0 { // what is done must be told though the rest is not
				return nil, fail(kindOf(err), "error.quarantine.part", err, len(out))
			}
			return nil, err
		}
		out = append(out, *r)
	}
	return out, nil
}

// kindOf is the kind of a failure.
func kindOf(err error) error {
	if e, ok := errors.AsType[*Error](translate(err)); ok {
		return e.Kind
	}
	return ErrLater
}

// release releases one message; what follows from it is done when it has happened.
func (h *House) release(ctx context.Context, p Principal, id int64, c HeldChoice) (*Released, error) {
	if h.Quarantine == nil {
		return nil, fail(ErrUsage, "error.quarantine.here")
	}
	m, err := h.held(ctx, id)
	if err != nil {
		return nil, err
	}
	places, err := h.Quarantine.Release(ctx, m, h.heldAudit(p, "quarantine.release", m))
	switch {
	case errors.Is(err, ErrNowhere):
		return nil, fail(ErrMissing, "error.quarantine.nowhere", id, m.Recipient)
	case errors.Is(err, store.ErrNotFound):
		return nil, fail(ErrMissing, "error.quarantine.none", id)
	case err != nil:
		return nil, err
	}
	r := &Released{ID: id, Recipient: m.Recipient, Places: places}
	if c.Train {
		if err := h.learnGood(ctx, p, m); err != nil {
			r.Problems = append(r.Problems, problemOf(err))
		}
	}
	if c.Allow {
		if err := h.allowSender(ctx, p, m); err != nil {
			r.Problems = append(r.Problems, problemOf(err))
		}
	}
	return r, nil
}

// allowSender puts the sender of released mail into the access map, so that policy
// does not hold his mail again. What the map says of him already stays: it is somebody's
// decision.
func (h *House) allowSender(ctx context.Context, p Principal, m *store.HeldMail) error {
	from := m.Out.ReversePath
	if from == "" {
		return fail(ErrUsage, "error.quarantine.nobody")
	}
	k, err := accessKey("From:" + from)
	if err != nil {
		return err
	}
	have, err := h.Store.AccessEntries(ctx, k.String())
	if err != nil {
		return err
	}
	if len(have) > 0 {
		if have[0].Value == allowed {
			return nil
		}
		return fail(ErrExists, "error.quarantine.known", have[0].Key, have[0].Value)
	}
	_, err = h.changeAccess(ctx, p, "access.add", AccessEdit{Put: []AccessEntry{{Key: k.String(), Value: allowed, Note: "quarantine " + m.Message.String()}}})
	return err
}

// allowed is the value of an entry whose sender's mail is taken.
const allowed = "OK"

func (h *House) learnGood(ctx context.Context, p Principal, m *store.HeldMail) error {
	body, err := h.Blobs.Open(ctx, m.Blob.ID, m.Blob.At)
	if err != nil {
		return err
	}
	defer body.Close()
	return h.Learner.LearnGood(ctx, p, m.Recipient, store.Contents{Prefix: m.Stored.Prefix, Skip: m.Stored.Skip, Blob: blob.Reader(body)})
}

// HeldEvent is the line of a trace that says what became of held mail.
func HeldEvent(kind string, at time.Time, m *store.HeldMail, who, note string) store.TraceEvent {
	if who != "" {
		note = strings.TrimSpace(note + " (" + who + ")")
	}
	e := trace.Event{At: at, Kind: kind, To: m.Recipient, Note: note}
	return e.Encode()
}

func deleteHeld(ctx context.Context, h *House, p Principal, c HeldChoice) (any, error) {
	if len(c.IDs) == 0 {
		return nil, fail(ErrUsage, "error.quarantine.which")
	}
	n, err := h.dropHeld(ctx, p, c.IDs)
	if err == nil && n == 0 {
		err = fail(ErrMissing, "error.quarantine.none", c.IDs[0])
	}
	return Count{n}, err
}

func (h *House) dropHeld(ctx context.Context, p Principal, ids []int64) (int, error) {
	now := h.now()
	return h.Store.DropHeld(ctx, ids, func(m store.HeldMail) store.TraceEvent {
		return HeldEvent("deleted", now, &m, p.Name, "")
	}, store.Audit{At: now, Principal: p.Name, Tenant: p.Tenant, Command: "quarantine.delete", Object: strings.Trim(fmt.Sprint(ids), "[]")})
}

// setTerm gives a domain a term of its own.
func setTerm(ctx context.Context, h *House, p Principal, t Term) (any, error) {
	d, err := addr.ParseDomain(t.Domain)
	if err != nil || !h.Directory.View().Local(d) {
		return nil, fail(ErrMissing, "error.quarantine.domain", t.Domain)
	}
	if t.Days < 0 || t.Days > maxTermDays {
		return nil, fail(ErrUsage, "error.quarantine.days", t.Days, maxTermDays)
	}
	t.Domain = string(d)
	key, value := keepSetting+t.Domain, ""
	if t.Days > 0 {
		value = (time.Duration(t.Days) * 24 * time.Hour).String()
	}
	err = h.change(ctx, p, "quarantine.term", t.Domain, func(tx store.DirectoryTx, v *store.DirectoryView) (before, after any, err error) {
		return v.Settings[key], value, tx.PutSetting(key, value)
	})
	return t, err
}
