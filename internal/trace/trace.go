// Package trace has the record that is kept of every message and of every
// refused transaction: who spoke, what was seen, what was decided and what came
// of it (DESIGN §1). It is what `posta trace`, the page behind a refusal's link
// and the dry run of a policy read.
//
// A record is JSON, compressed (S2): it is read by people's tools for years, and
// a new field must not make old records unreadable. The store keeps it as opaque
// bytes together with the keys by which it is found.
package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
)

// Stage is how far a transaction came.
type Stage string

// The stages, in order.
const (
	AtConnect Stage = "connect"
	AtMail    Stage = "mail"
	AtRcpt    Stage = "rcpt"
	AtData    Stage = "data"
	Accepted  Stage = "accepted"

	// AtMerged is the stage of a record that stands for many refusals: see Record.Merged.
	AtMerged Stage = "merged"
)

// Record is one transaction.
type Record struct {
	ID        mail.ID     `json:"-"`
	At        time.Time   `json:"at"`               // of MAIL; of a refusal before it, the refusal
	Opened    time.Time   `json:"opened,omitzero"`  // when the connection began
	Replied   time.Time   `json:"replied,omitzero"` // when Reply was decided
	Stage     Stage       `json:"stage"`
	Door      string      `json:"door"`
	Class     string      `json:"class"`
	IP        string      `json:"ip,omitempty"`
	Port      uint16      `json:"port,omitempty"`
	PTR       string      `json:"ptr,omitempty"`
	HELO      string      `json:"helo,omitempty"`
	TLS       string      `json:"tls,omitempty"`
	Cipher    string      `json:"cipher,omitempty"`
	Login     string      `json:"login,omitempty"`
	From      string      `json:"from"`             // reverse-path, "" is null
	Proven    bool        `json:"proven,omitempty"` // SPF passed for its domain
	To        []Recipient `json:"to,omitempty"`
	Author    string      `json:"author,omitempty"` // the From field's addresses
	MessageID string      `json:"message_id,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Size      int64       `json:"size,omitempty"`
	SHA256    string      `json:"sha256,omitempty"` // of the bytes received
	Reply     string      `json:"reply,omitempty"`  // what the client read at the end
	Level     string      `json:"level,omitempty"`  // of policy
	Asked     string      `json:"asked,omitempty"`  // what the From domain's DMARC record asks for, when dmarc.fail holds
	Filter    string      `json:"filter,omitempty"` // what a filter asks for, when scan.refused holds
	Scans     []Scan      `json:"scans,omitempty"`  // what scanners said, in the order in which they were asked
	// Override tells why what it asks for was not done; nil: it was, or nothing was asked.
	Override *Override `json:"override,omitempty"`
	// Chain is kept where DMARC failed and an ARC chain passed: whose word would make
	// that not count. Nil: nobody's would.
	Chain *Chain `json:"chain,omitempty"`
	// Greylisted is set when a policy that greylists this found the sender known.
	Greylisted bool        `json:"greylisted,omitempty"`
	Findings   finding.Set `json:"findings"`
	// Notes is what was seen and fails no check: an allowlist, what is remembered of
	// the sender, that our users write to it.
	Notes []finding.Fact `json:"notes,omitempty"`

	// Merged, when not nil: the record stands for many refusals above the budget. Of
	// them only this, the check as a finding and At, the moment of the first, are known.
	Merged *Merged `json:"merged,omitempty"`
}

// Override is why the policy of a DMARC record was not followed, as aggregate
// reports tell it (RFC 9990, PolicyOverrideReason).
type Override struct {
	Type    string `json:"type"`
	Comment string `json:"comment,omitempty"` // in English
}

// TrustedForwarder is the Type of an override by the word of a sealer whom the
// administrator trusts.
const TrustedForwarder = "trusted_forwarder"

// Chain is what a dry run needs to ask another list of trusted sealers.
type Chain struct {
	Asked string `json:"asked,omitempty"` // what the From domain's record asks for, if nobody's word is taken
	Seals []Seal `json:"seals"`           // the newest first
}

// Seal is one set of a Chain, see arc.Voucher.
type Seal struct {
	Instance int    `json:"i"`
	Sealer   string `json:"d"`
	Intact   bool   `json:"intact,omitempty"`
	Covered  bool   `json:"covered,omitempty"`
	Passed   bool   `json:"passed,omitempty"` // it says that DMARC passed for the author's domain
}

// Scan is what one scanner said of a message. Texts that are its own are printable.
type Scan struct {
	Name     string   `json:"name"`
	Action   string   `json:"action"`          // what it wants, or what it is set to when it fails
	Cause    string   `json:"cause,omitempty"` // why it has no opinion: "down", "slow"…
	Reason   string   `json:"reason,omitempty"`
	Reply    string   `json:"reply,omitempty"` // what it wants the client told
	Score    float64  `json:"score,omitempty"`
	Required float64  `json:"required,omitempty"`
	Greylist bool     `json:"greylist,omitempty"` // it would like to see the message again later
	Symbols  []string `json:"symbols,omitempty"`  // "BAYES_SPAM 4.5", the heaviest first
	Edits    []string `json:"edits,omitempty"`    // what it changed, and what of that was not allowed
	Millis   int64    `json:"ms,omitempty"`       // how long it took
}

// String is the opinion on one line.
func (s *Scan) String() string {
	out := s.Name + ": " + s.Action
	if s.Cause != "" {
		out += " (" + s.Cause + ")"
	}
	if s.Required != 0 || s.Score != 0 {
		out += fmt.Sprintf(" %g/%g", s.Score, s.Required)
	}
	for _, t := range []string{s.Reply, s.Reason} {
		if t != "" {
			out += " " + t
		}
	}
	return out
}

// Merged tells what a record of stage AtMerged stands for.
type Merged struct {
	Network string    `json:"network"` // CIDR
	Check   string    `json:"check,omitempty"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Recipient is what became of one recipient.
type Recipient struct {
	Address string   `json:"address"`
	Action  string   `json:"action"`            // of the verdict
	Check   string   `json:"check,omitempty"`   // that decided
	Reply   string   `json:"reply,omitempty"`   // if it was refused by itself
	Own     *Own     `json:"own,omitempty"`     // his own score, where he has one
	Friend  bool     `json:"friend,omitempty"`  // the access map takes the sender, or the recipient takes everything
	Effects []string `json:"effects,omitempty"` // "ana@example.org → INBOX", "queued for example.net"
	More    int      `json:"more,omitempty"`    // effects that are not listed
}

// Own is what of spam.score and spam.high fails for one recipient, to whom the score
// that counts for the others does not: he taught the filter himself, or knows the author.
type Own struct {
	Failed []finding.ID `json:"failed,omitempty"`
}

// maxEffects is how many effects of one recipient are listed: a record is read by
// people, and an alias may lead to thousands.
const maxEffects = 100

// AddEffect lists one more effect, or counts it.
func (r *Recipient) AddEffect(text func() string) {
	if len(r.Effects) == maxEffects {
		r.More++
		return
	}
	r.Effects = append(r.Effects, text())
}

// Event is a later line of the timeline.
type Event struct {
	At     time.Time `json:"-"`
	Kind   string    `json:"kind"` // "attempt", "delivered", "failed", "dsn", "dropped"
	To     string    `json:"to,omitempty"`
	Remote string    `json:"remote,omitempty"`
	TLS    string    `json:"tls,omitempty"`
	Reply  string    `json:"reply,omitempty"`
	Note   string    `json:"note,omitempty"`
}

// maxRecord bounds what Decode unpacks.
const maxRecord = 1 << 20

// ErrTooLarge says that a stored record is larger than any that Encode wrote.
var ErrTooLarge = errors.New("trace: record too large")

func pack(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // no type here can fail; keep the fact rather than lose the mail
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return s2.Encode(make([]byte, 0, len(b)/2+64), b)
}

func unpack(b []byte, v any) error {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if n > maxRecord {
		return ErrTooLarge
	}
	raw, err := s2.Decode(nil, b)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}

// Encode gives the form in which the store keeps the record.
func (r *Record) Encode() store.TraceRecord {
	return store.TraceRecord{ID: r.ID, Body: pack(r), Keys: r.keys()}
}

// Decode reads a stored record.
func Decode(t store.TraceRecord) (*Record, error) {
	if t.Merged != nil {
		return merged(t), nil
	}
	r := &Record{ID: t.ID}
	if err := unpack(t.Body, r); err != nil {
		return nil, err
	}
	return r, nil
}

// merged is the record of refusals that were not kept one by one.
func merged(t store.TraceRecord) *Record {
	m := t.Merged
	r := &Record{ID: t.ID, At: m.First, Stage: AtMerged}
	r.Merged = &Merged{Network: m.Network.String(), Check: m.Check, Count: m.Count, First: m.First, Last: m.Last}
	if m.Check != "" {
		r.Findings.Add(finding.Of(finding.ID(m.Check), finding.Fail, r.Merged.Network))
	}
	return r
}

// Refusal is what decides whether a refusal by a check is kept by itself.
func (r *Record) Refusal(client netip.Addr, check finding.ID) store.Refusal {
	return store.Refusal{ID: r.ID, IP: client, Check: string(check), Keys: r.keys()}
}

// Encode gives the form in which the store keeps the event.
func (e *Event) Encode() store.TraceEvent { return store.TraceEvent{At: e.At, Body: pack(e)} }

// DecodeEvent reads a stored event.
func DecodeEvent(t store.TraceEvent) (*Event, error) {
	e := &Event{At: t.At}
	if err := unpack(t.Body, e); err != nil {
		return nil, err
	}
	return e, nil
}

// Key is the normal form of what a record is found by: lower case, without
// blanks and angle brackets.
func Key(s string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(s), "<>"))
}

// keys lists what the record can be found by; its id needs none.
func (r *Record) keys() []string {
	var out []string
	add := func(s string) {
		if s = Key(s); s == "" {
			return
		}
		for _, o := range out {
			if o == s {
				return
			}
		}
		out = append(out, s)
	}
	add(r.From)
	for _, t := range r.To {
		add(t.Address)
	}
	for a := range strings.SplitSeq(r.Author, ",") {
		add(a)
	}
	add(r.Login)
	add(r.IP)
	add(r.MessageID)
	return out
}
