package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"posta/internal/blob"
	"posta/internal/message"
	"posta/internal/store"
)

// browse asks our server's pages over TLS, as a person's browser does: it trusts the
// lab's authority and follows no link by itself.
func (p *play) browse(ctx context.Context, method, path string, form url.Values, lang string) (status, body string, next string, err error) {
	direct := &http.Transport{
		DisableKeepAlives: true,
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: p.lab.ca.Pool(), ServerName: ourHost, MinVersion: tls.VersionTLS12}}
			return d.DialContext(ctx, network, p.house.addrs["https"])
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+ourHost+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", "", err
	}
	req.Header.Set("Accept-Language", lang)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://"+ourHost)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := direct.RoundTrip(req)
	if err != nil {
		return "", "", "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return res.Status, string(b), res.Header.Get("Location"), err
}

// sendForm sends a form and reads the page that it leads to, as one line.
func (p *play) sendForm(ctx context.Context, path string, form url.Values) (string, error) {
	status, body, next, err := p.browse(ctx, http.MethodPost, path, form, "en")
	if err == nil && next != "" {
		status, body, _, err = p.browse(ctx, http.MethodGet, next, nil, "en")
	}
	return status + " " + oneLine(body), err
}

// digestLink is how the link of a digest looks, in the text of the letter.
var digestLink = regexp.MustCompile(`https://[^/ ]+(/quarantine/[A-Z0-9]+)`)

// digest has digests written, opens the page behind the link of somebody's, and does
// there what is said.
func (p *play) digest(ctx context.Context, s Section) error {
	if _, err := p.house.do(ctx, "quarantine.tell", struct{}{}); err != nil {
		return err
	}
	var path string
	err := eventually(ctx, func() error {
		texts, err := p.texts(ctx, s.Arg+"@"+ourDomain)
		if err != nil {
			return err
		}
		for _, t := range texts {
			if m := digestLink.FindStringSubmatch(t); m != nil && strings.Contains(t, p.id) {
				path = m[1]
				return nil
			}
		}
		return &mismatch{p.where(s.Line), "a digest for " + s.Arg, fmt.Sprintf("%d letters without a link", len(texts))}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.log, "   (the page of %s's digest)\n", s.Arg)
	return p.onPage(ctx, s, path)
}

// onPage holds a page against lines, and presses its buttons.
func (p *play) onPage(ctx context.Context, s Section, path string) error {
	sent := "" // the page after a form
	for n, l := range s.lines {
		if verb, ok := strings.CutPrefix(l, "do "); ok {
			_, body, _, err := p.browse(ctx, http.MethodGet, path, nil, "en")
			if err != nil {
				return err
			}
			form, action, err := formWith(body, verb)
			if err != nil {
				return fmt.Errorf("%s: %w", p.where(n), err)
			}
			if sent, err = p.sendForm(ctx, action, form); err != nil {
				return err
			}
			fmt.Fprintf(&p.log, "   (%s)\n", verb)
			continue
		}
		lang, pattern := "en", l
		if rest, ok := strings.CutPrefix(l, "es "); ok {
			lang, pattern = "es", rest
		}
		text := sent
		if text == "" || lang != "en" {
			status, body, _, err := p.browse(ctx, http.MethodGet, path, nil, lang)
			if err != nil {
				return err
			}
			text = status + " " + oneLine(body)
		}
		if !match(pattern, text) {
			return &mismatch{p.where(n), l, text}
		}
		p.note(short(pattern), short(pattern))
	}
	return nil
}

var (
	forms  = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
)

// formWith is what the first form of a page sends that has a button of a name, and
// where to.
func formWith(page, button string) (url.Values, string, error) {
	for _, f := range forms.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(f[2], `name="do" value="`+button+`"`) {
			continue
		}
		v := url.Values{"do": {button}}
		for _, h := range hidden.FindAllStringSubmatch(f[2], -1) {
			v.Set(h[1], html.UnescapeString(h[2]))
		}
		return v, html.UnescapeString(f[1]), nil
	}
	return nil, "", fmt.Errorf("no button %q on the page", button)
}

// texts are the decoded texts of all that somebody has in INBOX.
func (p *play) texts(ctx context.Context, address string) (out []string, err error) {
	acc, st := p.account(address), p.house.state
	boxes, err := st.Store.ListMailboxes(ctx, acc)
	if err != nil {
		return nil, err
	}
	for _, b := range boxes {
		list, err := st.Store.Fetch(ctx, acc, b.ID, store.FetchQuery{From: max(1, p.since[address][b.ID]), Want: store.WantBytes})
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			body, err := blob.ReadAll(ctx, st.Blobs, m.Blob.ID, m.Blob.At)
			if err != nil {
				return nil, err
			}
			r, err := message.Open(strings.NewReader(string(body)), message.ParseBytes(body, message.Budget{}))
			if err != nil {
				return nil, err
			}
			text, err := io.ReadAll(io.LimitReader(r, maxPage))
			if err != nil {
				return nil, err
			}
			out = append(out, string(text))
		}
	}
	return out, nil
}

// changePassword sends the form of the page where people change their password.
func (p *play) changePassword(ctx context.Context, s Section) error {
	address := s.Arg + "@" + ourDomain
	form := url.Values{"login": {address}, "old": {p.lab.password(address)}}
	sent := ""
	for n, l := range s.lines {
		key, value, _ := strings.Cut(l, " ")
		switch key {
		case "old", "again":
			form.Set(key, value)
			continue
		case "new":
			form.Set("new", value)
			form.Set("again", value)
			continue
		}
		if sent == "" {
			const path = "/account/password"
			status, _, _, err := p.browse(ctx, http.MethodGet, path, nil, "en")
			if err != nil || status != "200 OK" {
				return errors.Join(err, fmt.Errorf("the page: %s", status))
			}
			if sent, err = p.sendForm(ctx, path+"?lang=en", form); err != nil {
				return err
			}
			fmt.Fprintf(&p.log, "   (%s sends the form of the password page)\n", s.Arg)
		}
		if !match(l, sent) {
			return &mismatch{p.where(n), l, sent}
		}
		p.note(short(l), short(l))
	}
	return nil
}
