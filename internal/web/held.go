package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/words"
)

// heldPath is where the links of digests lead; a token follows.
const heldPath = "/quarantine/"

// heldPage is what the template of a digest's page reads.
type heldPage struct {
	frame
	Path  string // of the page itself, with the language: where forms go
	Done  string // what the last form did, in words
	For   string
	Items []heldItem
	Key   string
}

type heldItem struct {
	ID                int64
	Key               string
	From, Subject, To string
	Held, Expires     string
	Size              int64
	Reasons           []heldReason
}

type heldReason struct{ Title, Seen string }

// maxForm bounds what a form may send.
const maxForm = 4 << 10

// addHeld adds the page of digests: GET shows it and changes nothing, since mail
// scanners follow links; POST does what a form of the page says.
func (h *Handler) addHeld() {
	h.mux.HandleFunc("GET "+heldPath+"{token}", h.showHeld)
	h.mux.HandleFunc("POST "+heldPath+"{token}", h.actOnHeld)
}

// heldHeaders lets forms of the page come back to us. The token is in the address, so
// other sites must not learn it; our own needs the origin to tell a foreign form.
func heldHeaders(w http.ResponseWriter) {
	hd := w.Header()
	hd.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	hd.Set("Referrer-Policy", "same-origin")
	hd.Set("X-Robots-Tag", "noindex")
}

func (h *Handler) showHeld(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	heldHeaders(w)
	if !h.allow(remote(r)) {
		http.Error(w, lang.Say("why.slow"), http.StatusTooManyRequests)
		return
	}
	token := r.PathValue("token")
	var page command.DigestPage
	err := h.command(r.Context(), "digest.show", map[string]string{"token": token}, &page)
	if err != nil {
		h.heldError(w, r, lang, err)
		return
	}
	out := h.heldPage(lang, token, &page)
	switch done := r.URL.Query().Get("done"); done {
	case "release", "delete", "seen":
		out.Done = lang.Say("heldpage.done." + done)
	}
	h.send(w, r, "held.html", out)
}

// actOnHeld does what a form says and leads back to the page, so that a reload does
// nothing.
func (h *Handler) actOnHeld(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	heldHeaders(w)
	if !h.allow(remote(r)) {
		http.Error(w, lang.Say("why.slow"), http.StatusTooManyRequests)
		return
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, lang.Say("heldpage.foreign"), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, lang.Say("heldpage.form"), http.StatusBadRequest)
		return
	}
	c := command.DigestChoice{Token: r.PathValue("token"), Key: r.PostForm.Get("key"), Do: r.PostForm.Get("do")}
	var err error
	if c.ID, err = strconv.ParseInt(r.PostForm.Get("id"), 10, 64); err != nil {
		http.Error(w, lang.Say("heldpage.form"), http.StatusBadRequest)
		return
	}
	if err := h.command(r.Context(), "digest.act", c, nil); err != nil {
		h.heldError(w, r, lang, err)
		return
	}
	http.Redirect(w, r, heldURL(c.Token, lang)+"&done="+url.QueryEscape(c.Do), http.StatusSeeOther)
}

func heldURL(token string, lang words.Lang) string {
	return heldPath + url.PathEscape(token) + "?lang=" + string(lang)
}

// command gives a command as whoever holds the link: the token is the authority.
func (h *Handler) command(ctx context.Context, name string, args, out any) error {
	return h.give(ctx, command.Principal{Name: "web"}, name, args, out)
}

// give gives a command in somebody's name.
func (h *Handler) give(ctx context.Context, p command.Principal, name string, args, out any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	result, err := command.Do(ctx, h.cfg.House, p, name, raw)
	if err != nil || out == nil {
		return err
	}
	if raw, err = json.Marshal(result); err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

// heldError answers what went wrong. A wrong token, an old one and a message that is
// gone are not told apart by a status.
func (h *Handler) heldError(w http.ResponseWriter, r *http.Request, lang words.Lang, err error) {
	text, status := "heldpage.later", http.StatusServiceUnavailable
	e, known := errors.AsType[*command.Error](err)
	switch {
	case known && e.Key == "error.digest.none":
		text, status = "heldpage.none", http.StatusNotFound
	case errors.Is(err, command.ErrMissing):
		text, status = "heldpage.gone", http.StatusNotFound
	case errors.Is(err, command.ErrDenied), errors.Is(err, command.ErrUsage):
		text, status = "heldpage.form", http.StatusForbidden
	default:
		h.cfg.Log.ErrorContext(r.Context(), "digest page", "err", err)
	}
	http.Error(w, lang.Say(text), status)
}

// heldPage is the page of a digest. What strangers wrote is escaped by the template.
func (h *Handler) heldPage(lang words.Lang, token string, d *command.DigestPage) heldPage {
	p := heldPage{
		frame: h.frame(lang), Path: heldURL(token, lang), Key: d.Key,
		For: lang.Say("heldpage.for", d.To, d.Until.UTC().Format(time.RFC1123)),
	}
	for _, it := range d.Items {
		out := heldItem{
			ID: it.ID, Key: it.Key, From: it.Author, Subject: it.Subject, To: it.Recipient, Size: it.Size,
			Held: it.Held.UTC().Format(time.RFC1123),
		}
		if out.From == "" {
			out.From = "<" + it.From + ">"
		}
		if !it.Expires.IsZero() {
			out.Expires = it.Expires.UTC().Format(time.RFC1123)
		}
		for _, r := range it.Reasons {
			out.Reasons = append(out.Reasons, heldReason{finding.TextOf(finding.ID(r.Check), string(lang)).Title, r.Seen})
		}
		p.Items = append(p.Items, out)
	}
	return p
}
