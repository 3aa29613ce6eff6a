package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
	"posta/internal/trace"
)

// mark is where the mailboxes of an account ended: what has a higher UID came
// later.
type mark map[mailbox.ID]mailbox.UID

// mark remembers where all mailboxes end.
func (p *play) mark(ctx context.Context) error {
	p.since = map[string]mark{}
	for _, u := range p.lab.users {
		m := mark{}
		boxes, err := p.house.state.Store.ListMailboxes(ctx, p.account(u.Address))
		if err != nil {
			return err
		}
		for _, b := range boxes {
			m[b.ID] = b.UIDNext
		}
		p.since[u.Address] = m
	}
	return nil
}

func (p *play) account(address string) mailbox.AccountID {
	acc := p.house.state.Directory.View().ByLogin(address)
	if acc == nil {
		return 0
	}
	return acc.ID
}

// found is a letter in a mailbox.
type found struct {
	folder   string
	keywords []string
	header   message.Header
}

// letterbox reads the letters with the play's id that came since the mark.
func (p *play) letterbox(ctx context.Context, address string) ([]found, error) {
	st := p.house.state.Store
	acc := p.account(address)
	boxes, err := st.ListMailboxes(ctx, acc)
	if err != nil {
		return nil, err
	}
	var out []found
	for _, b := range boxes {
		msgs, err := st.Fetch(ctx, acc, b.ID, store.FetchQuery{From: max(1, p.since[address][b.ID]), Want: store.WantBytes})
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			body, err := blob.ReadAll(ctx, p.house.state.Blobs, m.Blob.ID, m.Blob.At)
			if err != nil {
				return nil, err
			}
			all := append(slices.Clone(m.Prefix), body[m.Skip:]...)
			if !strings.Contains(string(all), p.id) {
				continue
			}
			h, _ := message.SplitHeader(all)
			out = append(out, found{b.Name, m.Keywords, h})
		}
	}
	return out, nil
}

// mailbox holds the letters of a person against a list.
func (p *play) mailbox(ctx context.Context, s Section) error {
	address := s.Arg + "@" + ourDomain
	if p.account(address) == 0 {
		return fmt.Errorf("nobody is called %s", address)
	}
	var seen string
	err := eventually(ctx, func() error {
		have, err := p.letterbox(ctx, address)
		if err != nil {
			return err
		}
		seen = describe(have)
		return p.compareMailbox(s, have)
	})
	if err != nil {
		return err
	}
	p.note(s.Arg+": "+seen, s.Arg+": "+seen)
	return nil
}

// describe counts letters by folder.
func describe(have []found) string {
	var names []string
	for _, f := range have {
		names = append(names, f.folder)
	}
	if len(names) == 0 {
		return "nothing"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (p *play) compareMailbox(s Section, have []found) error {
	var at *found
	rest := slices.Clone(have)
	for n, l := range s.lines {
		if strings.TrimSpace(l) == "(none)" {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			folder, subject, _ := strings.Cut(l, " ")
			i := slices.IndexFunc(rest, func(f found) bool {
				return f.folder == folder && match(subject, message.Header(f.header).Get("Subject"))
			})
			if i < 0 {
				return &mismatch{p.where(n), l, list(have)}
			}
			at = &found{rest[i].folder, rest[i].keywords, rest[i].header}
			rest = slices.Delete(rest, i, i+1)
			continue
		}
		if at == nil {
			return fmt.Errorf("%s: no letter was named", p.where(n))
		}
		if err := p.compareLetter(n, strings.TrimSpace(l), at); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return &mismatch{p.where(s.Line), "no other letter", list(rest)}
	}
	return nil
}

// list shows letters for a mismatch.
func list(have []found) string {
	if len(have) == 0 {
		return "no letter"
	}
	var out []string
	for _, f := range have {
		out = append(out, f.folder+" "+f.header.Get("Subject"))
	}
	return strings.Join(out, " | ")
}

// compareLetter holds one line about a letter against it.
func (p *play) compareLetter(n int, want string, f *found) error {
	if not, ok := strings.CutPrefix(want, "lacks "); ok {
		err := p.compareField(n, not, f.header)
		if _, differs := errors.AsType[*mismatch](err); differs {
			return nil
		}
		return cmp.Or(err, error(&mismatch{p.where(n), want, "it is there"}))
	}
	if name, ok := strings.CutPrefix(want, "no "); ok {
		if f.header.Has(name) {
			return &mismatch{p.where(n), want, name + ": " + f.header.Get(name)}
		}
		return nil
	}
	if k, ok := strings.CutPrefix(want, "keyword "); ok {
		if !slices.Contains(f.keywords, k) {
			return &mismatch{p.where(n), want, fmt.Sprint(f.keywords)}
		}
		return nil
	}
	return p.compareField(n, want, f.header)
}

// compareField looks for a field that is as a pattern says.
func (p *play) compareField(n int, want string, h message.Header) error {
	name, pattern, ok := strings.Cut(want, ": ")
	if !ok {
		return fmt.Errorf("%s: %q is not understood", p.where(n), want)
	}
	var got []string
	for f := range h.All(name) {
		v := oneLine(f.Value())
		if match(pattern, v) {
			return nil
		}
		got = append(got, v)
	}
	return &mismatch{p.where(n), want, strings.Join(got, " | ")}
}

// trace holds what is known of the transaction that was replied to last.
func (p *play) trace(ctx context.Context, s Section) error {
	if len(p.ids) == 0 {
		return errors.New("no reply told an id")
	}
	id := p.ids[len(p.ids)-1]
	return eventually(ctx, func() error {
		out, err := p.house.do(ctx, "trace.find", command.TraceQuery{Query: id})
		if errors.Is(err, command.ErrMissing) {
			return &mismatch{p.where(s.Line), "a trace of " + id, "none"}
		}
		if err != nil {
			return err
		}
		ts, ok := out.([]command.Trace)
		if !ok || len(ts) != 1 {
			return fmt.Errorf("trace.find gave %T of %d", out, len(ts))
		}
		for n, l := range s.lines {
			if err := p.compareTrace(n, l, &ts[0]); err != nil {
				return err
			}
		}
		return nil
	})
}

var outcomes = map[string]finding.Outcome{
	"pass": finding.Pass, "fail": finding.Fail, "unverified": finding.Unverified, "none": finding.NotApplicable,
}

func (p *play) compareTrace(n int, want string, t *command.Trace) error {
	key, v, _ := strings.Cut(want, " ")
	got := ""
	switch {
	case key == "stage":
		got = "stage " + string(t.Stage)
	case key == "class":
		got = "class " + t.Class
	case key == "event":
		kinds := make([]string, len(t.Events))
		for i, e := range t.Events {
			kinds[i] = e.Kind
		}
		if slices.Contains(kinds, v) {
			return nil
		}
		got = fmt.Sprint("events ", kinds)
	case strings.Contains(key, "@"):
		i := slices.IndexFunc(t.To, func(r trace.Recipient) bool { return r.Address == key })
		if i >= 0 {
			got = strings.TrimSpace(key + " " + t.To[i].Action + " " + t.To[i].Check)
		}
	default:
		if _, ok := outcomes[key]; !ok {
			return fmt.Errorf("%s: %q is not understood", p.where(n), want)
		}
		o := t.Findings.Outcome(finding.ID(v))
		if o == outcomes[key] {
			return nil
		}
		got = o.String() + " " + v
	}
	if got != want {
		return &mismatch{p.where(n), want, got}
	}
	return nil
}

// outside holds what a server of the world has.
func (p *play) outside(ctx context.Context, s Section) error {
	srv := p.lab.outside.named(s.Arg)
	if srv == nil {
		return fmt.Errorf("no outside server is called %s", s.Arg)
	}
	var have []received
	err := eventually(ctx, func() error {
		have = srv.lettersWith(p.id)
		for n, l := range s.lines {
			if err := p.compareOutside(ctx, n, l, have); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s has %d", s.Arg, len(have))
	p.note(text, text)
	return nil
}

func (p *play) compareOutside(ctx context.Context, n int, want string, have []received) error {
	key, v, _ := strings.Cut(want, " ")
	if key == "letters" {
		if got := fmt.Sprint(len(have)); got != v {
			return &mismatch{p.where(n), want, "letters " + got}
		}
		return nil
	}
	if len(have) == 0 {
		return &mismatch{p.where(n), want, "no letter"}
	}
	got := ""
	r := &have[len(have)-1]
	switch key {
	case "from":
		got = "from " + r.From
	case "to":
		got = "to " + strings.Join(r.To, " ")
	case "notify":
		got = "notify " + strings.Join(r.Notify, " ")
	case "helo":
		got = "helo " + r.HELO
	case "tls":
		got = map[bool]string{true: "tls", false: "cleartext"}[r.TLS]
	case "dkim":
		got = fmt.Sprint("dkim ", p.lab.aligned(ctx, r.Data))
	default:
		h, _ := message.SplitHeader(r.Data)
		return p.compareField(n, want, h)
	}
	if got != want {
		return &mismatch{p.where(n), want, got}
	}
	return nil
}

// aligned counts the signatures that verify and belong to the From domain.
func (l *Lab) aligned(ctx context.Context, data []byte) int {
	h, _ := message.SplitHeader(data)
	from, _ := addr.ParseList(h.Get("From"), 1)
	if len(from) == 0 {
		return 0
	}
	a, err := from[0].Address()
	if err != nil {
		return 0
	}
	n := 0
	for _, r := range dkim.Verify(ctx, data, dkim.VerifyOptions{Lookup: l.dns.text, Now: l.opt.Now()}) {
		if r.Status == dkim.Pass && r.SDID == string(a.Domain) {
			n++
		}
	}
	return n
}

// queue holds what still waits of the messages of this play.
func (p *play) queue(ctx context.Context, s Section) error {
	var have []string
	err := eventually(ctx, func() (err error) {
		if have, err = p.waiting(ctx); err != nil {
			return err
		}
		rest := slices.Clone(have)
		for n, l := range s.lines {
			if l == "(empty)" {
				continue
			}
			i := slices.IndexFunc(rest, func(e string) bool { return match(l, e) })
			if i < 0 {
				return &mismatch{p.where(n), l, strings.Join(have, " | ")}
			}
			rest = slices.Delete(rest, i, i+1)
		}
		if len(rest) > 0 {
			return &mismatch{p.where(s.Line), "nothing else waits", strings.Join(rest, " | ")}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("queue: %d", len(have))
	p.note(text, text)
	return nil
}

// waiting lists "recipient state last-reply" of the queue's entries.
func (p *play) waiting(ctx context.Context) ([]string, error) {
	var out []string
	for _, id := range slices.Compact(slices.Sorted(slices.Values(p.ids))) {
		got, err := p.house.do(ctx, "queue.ls", command.QueueQuery{ID: id})
		if err != nil {
			return nil, err
		}
		items, ok := got.([]command.QueueItem)
		if !ok {
			return nil, fmt.Errorf("queue.ls gave %T", got)
		}
		for _, i := range items {
			out = append(out, strings.TrimSpace(i.To+" "+i.State+" "+i.Last))
		}
	}
	return out, nil
}

// retry makes what waits of this play's messages due.
func (p *play) retry(ctx context.Context, _ Section) error {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(p.ids))) {
		_, err := p.house.do(ctx, "queue.retry", command.QueueQuery{ID: id})
		if err != nil && !errors.Is(err, command.ErrMissing) {
			return err
		}
	}
	fmt.Fprintln(&p.log, "   (queue retry)")
	return nil
}
