package scan

import (
	"cmp"
	"encoding/json"
	"math"
	"mime"
	"slices"
	"strings"

	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
	"posta/internal/smtp"
)

// What is kept of a reply.
const (
	maxSymbols = 200
	maxOptions = 20
)

// rspamdReply is the reply to /checkv2, as far as we read it. What rspamd says of
// DKIM signatures to add is not read: we sign what we send ourselves.
type rspamdReply struct {
	Action   string                  `json:"action"`
	Skipped  bool                    `json:"is_skipped"`
	Score    float64                 `json:"score"`
	Required float64                 `json:"required_score"`
	Symbols  map[string]rspamdSymbol `json:"symbols"`
	Subject  string                  `json:"subject"`
	Messages struct {
		SMTP oneOrMany[string] `json:"smtp_message"`
	} `json:"messages"`
	Milter struct {
		Add    map[string]oneOrMany[rspamdHeader] `json:"add_headers"`
		Remove map[string]oneOrMany[int]          `json:"remove_headers"`
	} `json:"milter"`
	Error string `json:"error"`
}

type rspamdSymbol struct {
	Score   float64          `json:"score"`
	Options oneOrMany[texts] `json:"options"`
}

// oneOrMany reads a value or a list of them: rspamd writes a list of one as the
// value alone.
type oneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(o))
	}
	var one T
	err := json.Unmarshal(b, &one)
	*o = []T{one}
	return err
}

// texts reads a string, or anything else as it is written.
type texts string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*t = texts(s)
	return nil
}

// rspamdHeader is a field to add: a value, or a value and its place among all
// fields: from 0 at the top, from -1 at the bottom.
type rspamdHeader struct {
	value string
	order *int
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *rspamdHeader) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &h.value) == nil {
		return nil
	}
	var o struct {
		Value string `json:"value"`
		Order *int   `json:"order"`
	}
	err := json.Unmarshal(b, &o)
	h.value, h.order = o.Value, o.Order
	return err
}

// parseRspamd reads a reply about a message with that header.
func parseRspamd(b []byte, header []byte) (Report, error) {
	var p rspamdReply
	if err := json.Unmarshal(b, &p); err != nil {
		return Report{}, failed(Nonsense, "not its JSON: %w", err)
	}
	if p.Error != "" {
		return Report{}, failed(Refused, "%s", clean(p.Error))
	}
	r := Report{Score: p.Score, Required: p.Required, Symbols: symbols(p.Symbols)}
	if err := r.rspamdAction(&p); err != nil {
		return Report{}, err
	}
	if r.Action < mail.Discard {
		r.Edits = rspamdEdits(&p, header)
	}
	if !isNumber(r.Score) || !isNumber(r.Required) {
		return Report{}, failed(Nonsense, "a score that is no number")
	}
	if len(r.Edits) > milter.MaxEdits {
		return Report{}, failed(Nonsense, "more than %d edits", milter.MaxEdits)
	}
	return r, nil
}

func isNumber(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// rspamdAction maps the actions. "greylist" is a wish: rspamd's own greylisting,
// which remembers, says "soft reject". To put off for the wish would put off every
// repeat too, until the sender gives up.
func (r *Report) rspamdAction(p *rspamdReply) error {
	switch p.Action {
	case "no action":
	case "greylist":
		r.Greylist = true
	case "add header", "rewrite subject":
		r.Action = mail.Junk
	case "quarantine":
		r.Action = mail.Quarantine
	case "soft reject":
		r.Action = mail.Defer
	case "reject":
		r.Action = mail.Reject
	case "discard":
		r.Action = mail.Discard
	case "":
		if !p.Skipped {
			return failed(Nonsense, "a reply without action")
		}
	default:
		return failed(Nonsense, "the action %q, which we do not know", clean(p.Action))
	}
	if len(p.Messages.SMTP) > 0 {
		r.Reason = clean(p.Messages.SMTP[0])
	}
	switch {
	case r.Reason == "":
	case r.Action == mail.Defer:
		r.Reply = smtp.New(451, "4.7.1", r.Reason)
	case r.Action == mail.Reject:
		r.Reply = smtp.New(554, "5.7.1", r.Reason)
	}
	return nil
}

// symbols gives those that weigh most first.
func symbols(m map[string]rspamdSymbol) []Symbol {
	var out []Symbol
	for name, s := range m {
		sym := Symbol{Name: clean(name), Score: s.Score}
		for _, o := range s.Options[:min(len(s.Options), maxOptions)] {
			sym.Options = append(sym.Options, clean(string(o)))
		}
		out = append(out, sym)
	}
	slices.SortFunc(out, func(a, b Symbol) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Score), math.Abs(a.Score)), strings.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxSymbols)]
}

// rspamdEdits are the fields to remove and then to add, in an order that does not
// depend on chance, and the subject.
func rspamdEdits(p *rspamdReply, header []byte) []milter.Edit {
	var out []milter.Edit
	counts := countFields(header)
	for _, name := range sortedKeys(p.Milter.Remove) {
		out = appendRemovals(out, name, p.Milter.Remove[name], counts)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	for _, name := range sortedKeys(p.Milter.Add) {
		for _, h := range p.Milter.Add[name] {
			out = appendAddition(out, name, h, total)
		}
	}
	if p.Action == "rewrite subject" && p.Subject != "" {
		value := strings.TrimSuffix(string(message.AppendField(nil, "", mime.BEncoding.Encode("utf-8", clip(p.Subject)))), "\r\n")
		out = append(out, milter.Edit{Kind: milter.ChangeHeader, Index: 1, Name: "Subject", Value: strings.TrimPrefix(value, ":")})
	}
	return out
}

// clip bounds a subject, at a whole character.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 2*maxText)], "")
}

// appendRemovals: 0 is every field of the name, n the nth, -n the nth from the
// end. From the bottom up, so that the places above stay what they were. What is
// left is counted.
func appendRemovals(out []milter.Edit, name string, at []int, counts map[string]int) []milter.Edit {
	if !milter.IsFieldName(name) {
		return out
	}
	left := counts[strings.ToLower(name)]
	if slices.Contains(at, 0) {
		counts[strings.ToLower(name)] = 0
		return append(out, milter.Edit{Kind: milter.DeleteHeader, Name: name})
	}
	var places []int
	for _, n := range at {
		if n < 0 {
			n += left + 1
		}
		if n >= 1 && n <= left {
			places = append(places, n)
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	for _, n := range slices.Backward(places) {
		out = append(out, milter.Edit{Kind: milter.DeleteHeader, Name: name, Index: n})
	}
	counts[strings.ToLower(name)] -= len(places)
	return out
}

// appendAddition adds a field to a header of total fields.
func appendAddition(out []milter.Edit, name string, h rspamdHeader, total int) []milter.Edit {
	if !milter.IsFieldName(name) || len(h.value) > milter.MaxEditBytes {
		return out
	}
	e := milter.Edit{Kind: milter.AddHeader, Name: name, Value: " " + milter.FormatValue(h.value)}
	if h.order != nil && *h.order != -1 {
		e.Kind, e.Index = milter.InsertHeader, *h.order
		if e.Index < 0 {
			e.Index = max(0, total+1+e.Index)
		}
	}
	return append(out, e)
}

// countFields counts the fields of each name, in lower case.
func countFields(header []byte) map[string]int {
	counts := map[string]int{}
	for f := range message.Header(header).Fields() {
		counts[strings.ToLower(f.Name())]++
	}
	return counts
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
