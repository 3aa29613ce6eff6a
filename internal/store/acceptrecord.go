package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"posta/internal/mail"
)

// AcceptRecord travels with the bytes of a blob (blob.Record.Accept), so that
// mailboxes and queue can be rebuilt when the metadata is lost. It names
// accounts by their login, since ids are lost with the metadata.
//
// Fields are only ever added, and zero is what records without them meant. Version
// tells which fields a record could have had: 0 has no Wishes, no seals and no
// DSN parameters of what was queued.
type AcceptRecord struct {
	Accept     mail.ID         `json:"-"`
	Version    int             `json:"v,omitempty"` // set by Encode
	ID         string          `json:"id"`
	At         time.Time       `json:"at"`
	From       string          `json:"from,omitempty"` // reverse-path
	Skip       int64           `json:"skip,omitempty"`
	Deliveries []AcceptPlace   `json:"to,omitempty"`
	Queued     []AcceptForward `json:"queued,omitempty"`
	Held       []AcceptHold    `json:"held,omitempty"`
	// Asked is what was asked for some of Queued, which point to it: the targets of an
	// alias share one.
	Asked []AcceptAsked `json:"asked,omitempty"`
	// Wishes are those of all that leaves; nil: none.
	Wishes *AcceptWishes `json:"wishes,omitempty"`
	// QueuedPrefix is the prefix of what leaves unsealed (queued, or held and led
	// elsewhere) where Prefix is another: that of deliveries or of held mail, or else
	// that of what is sealed. See Prefixes.
	QueuedPrefix []byte `json:"queued_prefix,omitempty"`
	Prefix       []byte `json:"-"` // behind the JSON, as it is
}

// Prefixes are those of what leaves, unsealed and sealed. What is sealed has our
// Authentication-Results on top, which a delivery has below its Return-Path.
func (r *AcceptRecord) Prefixes() (plain, sealed []byte) {
	if len(r.Deliveries)+len(r.Held) > 0 {
		_, sealed, _ = bytes.Cut(r.Prefix, []byte("\r\n"))
		return r.QueuedPrefix, sealed
	}
	if slices.ContainsFunc(r.Asked, func(a AcceptAsked) bool { return a.Seal != "" }) {
		return r.QueuedPrefix, r.Prefix
	}
	return r.Prefix, nil
}

// AcceptWishes is what a client asked for when it handed in what leaves, and who
// it was: the fields of Enqueue with these names.
type AcceptWishes struct {
	EnvID      string `json:"envid,omitempty"`
	RetFull    bool   `json:"full,omitempty"`
	EightBit   bool   `json:"8bit,omitempty"`
	Binary     bool   `json:"binary,omitempty"`
	UTF8       bool   `json:"utf8,omitempty"`
	RequireTLS bool   `json:"requiretls,omitempty"`
	Sign       bool   `json:"sign,omitempty"`
	Login      string `json:"login,omitempty"` // of Enqueue.Account
}

// WishesOf are those of a message that leaves, whose sender here has a login ("" for
// none); nil when there are none.
func WishesOf(e *Enqueue, login string) *AcceptWishes {
	w := AcceptWishes{
		EnvID: e.EnvID, RetFull: e.RetFull, EightBit: e.EightBit, Binary: e.Binary, UTF8: e.UTF8,
		RequireTLS: e.RequireTLS, Sign: e.Sign, Login: login,
	}
	if w == (AcceptWishes{}) {
		return nil
	}
	return &w
}

// Grant gives an Enqueue its wishes again, all but the account. Nil grants none.
func (w *AcceptWishes) Grant(e *Enqueue) {
	if w == nil {
		return
	}
	e.EnvID, e.RetFull, e.EightBit, e.Binary = w.EnvID, w.RetFull, w.EightBit, w.Binary
	e.UTF8, e.RequireTLS, e.Sign = w.UTF8, w.RequireTLS, w.Sign
}

// AcceptPlace is one delivery of an AcceptRecord.
type AcceptPlace struct {
	Login    string   `json:"login"`
	Role     string   `json:"role,omitempty"` // mailbox.Role
	Mailbox  string   `json:"mailbox,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	Flags    uint8    `json:"flags,omitempty"`
	// Prefix and Skip are those of this place, where a script edited the header: Own.
	Own    bool   `json:"own,omitempty"`
	Prefix []byte `json:"prefix,omitempty"`
	Skip   int64  `json:"skip,omitempty"`
	// Internal is the INTERNALDATE where it is not the time of the accept.
	Internal time.Time `json:"internal,omitzero"`
}

// AcceptForward is one recipient elsewhere.
type AcceptForward struct {
	Address string `json:"address"`
	Domain  string `json:"domain"`
	As      int    `json:"as,omitempty"` // 1 is the first of Asked; 0: nothing was asked
}

// AcceptAsked is what was asked for one recipient, and so for each that it led to.
type AcceptAsked struct {
	Original string `json:"original,omitempty"` // ORCPT
	Notify   uint8  `json:"notify,omitempty"`   // mail.Notify
	Seal     string `json:"seal,omitempty"`     // Enqueue.Seal
	From     string `json:"from,omitempty"`     // Enqueue.ReversePath, if it is not the record's From
}

// Queue adds what leaves by q to the record, its prefix excepted.
func (r *AcceptRecord) Queue(q *Enqueue) {
	for _, t := range q.Recipients {
		as := 0
		if asked := (AcceptAsked{Original: t.Original, Notify: uint8(t.Notify), Seal: q.Seal, From: q.otherFrom(r.From)}); asked != (AcceptAsked{}) {
			if n := len(r.Asked); n == 0 || r.Asked[n-1] != asked {
				r.Asked = append(r.Asked, asked)
			}
			as = len(r.Asked)
		}
		r.Queued = append(r.Queued, AcceptForward{Address: t.Address, Domain: t.Domain, As: as})
	}
}

// otherFrom is the reverse-path, if it is not this one; the null one is never another.
func (q *Enqueue) otherFrom(from string) string {
	if q.ReversePath == from {
		return ""
	}
	return q.ReversePath
}

// AskedOf is what was asked for a recipient elsewhere.
func (r *AcceptRecord) AskedOf(f AcceptForward) AcceptAsked {
	if f.As < 1 || f.As > len(r.Asked) {
		return AcceptAsked{}
	}
	return r.Asked[f.As-1]
}

// AcceptHold is one recipient for whom the message was held.
type AcceptHold struct {
	Recipient string       `json:"recipient"`
	Domain    string       `json:"domain"`
	Original  string       `json:"original,omitempty"`
	Notify    uint8        `json:"notify,omitempty"`
	Author    string       `json:"author,omitempty"`
	Reasons   []HoldReason `json:"reasons"`
	Review    bool         `json:"review,omitempty"`
	Seal      string       `json:"seal,omitempty"` // Quarantined.Out.Seal
}

// ErrAcceptRecord says that a record cannot be read.
var ErrAcceptRecord = errors.New("store: malformed accept record")

// acceptRecordVersion is what Encode writes.
const acceptRecordVersion = 1

// Encode writes the record: one line of JSON, then the prefix as it is.
func (r *AcceptRecord) Encode() []byte {
	r.Version, r.ID = acceptRecordVersion, r.Accept.String()
	line, err := json.Marshal(r)
	if err != nil {
		return nil // strings and numbers cannot fail
	}
	out := make([]byte, 0, len(line)+1+len(r.Prefix))
	out = append(append(out, line...), '\n')
	return append(out, r.Prefix...)
}

// DecodeAcceptRecord reads what Encode wrote.
func DecodeAcceptRecord(b []byte) (*AcceptRecord, error) {
	line, prefix, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, ErrAcceptRecord
	}
	r := &AcceptRecord{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, errors.Join(ErrAcceptRecord, err)
	}
	id, err := mail.ParseID(r.ID)
	if err != nil {
		return nil, errors.Join(ErrAcceptRecord, err)
	}
	r.Accept, r.Prefix = id, prefix
	return r, nil
}
