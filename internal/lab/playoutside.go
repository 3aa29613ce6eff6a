package lab

import (
	"context"
	"fmt"
	"strings"

	"posta/internal/addr"
	"posta/internal/dkim"
	"posta/internal/message"
)

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
		if match(want, "from "+r.From) {
			return nil
		}
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
	case "arc":
		got = p.lab.chain(ctx, r.Data)
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
