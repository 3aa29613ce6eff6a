package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
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
