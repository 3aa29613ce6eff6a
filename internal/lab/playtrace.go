package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/trace"
)

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

// maxPage bounds what is read of a page.
const maxPage = 1 << 20

// page reads the page behind the link of the last reply that had one, or that told an
// id, in both languages: what the other side's administrator sees.
func (p *play) page(ctx context.Context, s Section) error {
	if p.link == "" {
		return errors.New("no reply told a link or an id")
	}
	return eventually(ctx, func() error {
		pages := map[string]string{}
		for n, l := range s.lines {
			lang, pattern := "en", l
			if rest, ok := strings.CutPrefix(l, "es "); ok {
				lang, pattern = "es", rest
			}
			pattern, lacks := strings.CutPrefix(pattern, "lacks ")
			if _, ok := pages[lang]; !ok {
				text, err := p.readPage(ctx, lang)
				if err != nil {
					return err
				}
				pages[lang] = text
			}
			if match(pattern, pages[lang]) == lacks {
				return &mismatch{p.where(n), l, pages[lang]}
			}
		}
		return nil
	})
}

// readPage gives the status and the text of the page, as one line.
func (p *play) readPage(ctx context.Context, lang string) (string, error) {
	// Without a proxy, and without a connection that our server would have to wait
	// for at its end.
	direct := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.house.addrs["http"]+p.link, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept-Language", lang)
	res, err := direct.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return res.Status + " " + oneLine(string(body)), err
}
