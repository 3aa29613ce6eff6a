package command

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"posta/internal/store"
)

// The commands of this file are given by whoever holds the link of a digest: its
// token is the authority, for the mail that the digest told of and no other. A link
// scanner follows links, so nothing is done without a form's key, which is on the
// page and not in the link.

// DigestPage is what the page behind a digest's link shows.
type DigestPage struct {
	To    string        `json:"to"`
	Until time.Time     `json:"until"` // the link is good so long
	Items []DigestEntry `json:"items"` // what is held still
	Key   string        `json:"key"`   // for what is done to all of them
}

// DigestEntry is one held message with the key of its form.
type DigestEntry struct {
	HeldItem
	Key string `json:"key"`
}

// DigestChoice is what somebody decided on the page.
type DigestChoice struct {
	Token string `json:"token"`
	ID    int64  `json:"id"` // 0 with "seen": all
	Key   string `json:"key"`
	Do    string `json:"do"` // "release", "delete", "seen"
}

var digestCommands = []Command{
	run("digest.show", store.User, showDigest),
	run("digest.act", store.User, actOnDigest),
}

// DigestKeyOf is how the store knows the token of a link.
func DigestKeyOf(token string) store.DigestKey { return sha256.Sum256([]byte(token)) }

// formKey proves that whoever sends a form has read the page.
func formKey(token string, id int64) string {
	m := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(m, "held %d", id)
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// digest finds what a token stands for.
func (h *House) digest(ctx context.Context, token string) (store.Digest, []store.HeldMail, error) {
	key := DigestKeyOf(token)
	d, err := h.Store.Digest(ctx, key, h.now())
	if errors.Is(err, store.ErrNotFound) {
		return d, nil, fail(ErrMissing, "error.digest.none")
	}
	if err != nil {
		return d, nil, err
	}
	list, err := h.Store.ListHeld(ctx, store.HeldFilter{Digest: &key})
	return d, list, err
}

func showDigest(ctx context.Context, h *House, _ Principal, a struct {
	Token string `json:"token"`
}) (any, error) {
	pol, err := h.currentPolicy()
	if err != nil {
		return nil, err
	}
	d, list, err := h.digest(ctx, a.Token)
	if err != nil {
		return nil, err
	}
	page := DigestPage{To: d.To, Until: d.Until, Items: make([]DigestEntry, 0, len(list)), Key: formKey(a.Token, 0)}
	for i := range list {
		page.Items = append(page.Items, DigestEntry{h.heldItem(&list[i], pol.Quarantine), formKey(a.Token, list[i].ID)})
	}
	return page, nil
}

func actOnDigest(ctx context.Context, h *House, _ Principal, c DigestChoice) (any, error) {
	d, list, err := h.digest(ctx, c.Token)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(c.Key), []byte(formKey(c.Token, c.ID))) {
		return nil, fail(ErrDenied, "error.digest.form")
	}
	var ids []int64
	for i := range list {
		if c.ID == list[i].ID || c.ID == 0 {
			ids = append(ids, list[i].ID)
		}
	}
	p := Principal{Name: "digest:" + d.To}
	switch {
	case c.ID != 0 && len(ids) == 0:
		return nil, fail(ErrMissing, "error.quarantine.none", c.ID)
	case c.Do == "seen":
		n, err := h.Store.ReviewHeld(ctx, ids, store.Audit{At: h.now(), Principal: p.Name, Command: "quarantine.seen", Object: d.To})
		return Count{n}, err
	case c.Do == "release" && c.ID != 0:
		_, err := h.release(ctx, p, c.ID, HeldChoice{})
		return Count{1}, err
	case c.Do == "delete" && c.ID != 0:
		n, err := h.dropHeld(ctx, p, ids)
		return Count{n}, err
	}
	return nil, fail(ErrUsage, "error.digest.form")
}
