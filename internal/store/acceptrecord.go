package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"posta/internal/mail"
)

// AcceptRecord travels with the bytes of a blob (blob.Record.Accept), so that
// mailboxes and queue can be rebuilt when the metadata is lost. It names
// accounts by their login, since ids are lost with the metadata.
type AcceptRecord struct {
	Accept     mail.ID         `json:"-"`
	ID         string          `json:"id"`
	At         time.Time       `json:"at"`
	From       string          `json:"from,omitempty"` // reverse-path
	Skip       int64           `json:"skip,omitempty"`
	Deliveries []AcceptPlace   `json:"to,omitempty"`
	Queued     []AcceptForward `json:"queued,omitempty"`
	Held       []AcceptHold    `json:"held,omitempty"`
	// QueuedPrefix is the prefix of what leaves (queued, or held and led elsewhere)
	// when Prefix is that of deliveries or of held mail; without these Prefix is that
	// of what was queued.
	QueuedPrefix []byte `json:"queued_prefix,omitempty"`
	Prefix       []byte `json:"-"` // behind the JSON, as it is
}

// AcceptPlace is one delivery of an AcceptRecord.
type AcceptPlace struct {
	Login    string   `json:"login"`
	Role     string   `json:"role,omitempty"` // mailbox.Role
	Mailbox  string   `json:"mailbox,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	Flags    uint8    `json:"flags,omitempty"`
	// Internal is the INTERNALDATE where it is not the time of the accept.
	Internal time.Time `json:"internal,omitzero"`
}

// AcceptForward is one recipient elsewhere.
type AcceptForward struct {
	Address string `json:"address"`
	Domain  string `json:"domain"`
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
}

// ErrAcceptRecord says that a record cannot be read.
var ErrAcceptRecord = errors.New("store: malformed accept record")

// Encode writes the record: one line of JSON, then the prefix as it is.
func (r *AcceptRecord) Encode() []byte {
	r.ID = r.Accept.String()
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
