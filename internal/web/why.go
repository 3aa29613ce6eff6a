package web

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/store"
	"posta/internal/trace"
	"posta/internal/words"
)

// frame is what every page has.
type frame struct {
	Lang  string
	Other string // the other language's code
	Host  string
	Say   func(key string, args ...any) string
}

// whyPage is what why.html reads.
type whyPage struct {
	frame
	ID       string
	At       string
	Reply    string
	From, To string
	IP, HELO string
	Merged   string // how often, of a record that stands for many
	Items    []whyItem
}

type whyItem struct {
	ID       finding.ID
	Text     finding.Text
	Standard string
	Links    []string // where the standard is read
	Outcome  string   // "" on the page of a check by itself
	Facts    []finding.Fact
	Private  bool // it decided, and what was seen is not shown
}

// limited answers so many requests of a network in a minute, and no more; our own
// networks are not counted.
func (h *Handler) limited(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a := remote(r); !h.cfg.Trusted(a) && !h.allow(a) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, language(r).Say("why.slow"), http.StatusTooManyRequests)
			return
		}
		serve(w, r)
	}
}

// allow counts a view of a network.
func (h *Handler) allow(a netip.Addr) bool { return h.take(h.views, a) }

// take counts something of a network.
func (h *Handler) take(t *ratelimit.Table[netip.Prefix], a netip.Addr) bool {
	network := ratelimit.Host(a)
	if a.Is4() {
		network = ratelimit.Network(a)
	}
	if !network.IsValid() {
		return true // not TCP: a test or a unix socket
	}
	return t.Take(network, h.cfg.Now(), 1).Allowed
}

// showWhy explains one refusal, or one check.
func (h *Handler) showWhy(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	if k, ok := finding.Lookup(finding.ID(r.PathValue("id"))); ok {
		h.send(w, r, "why.html", h.checkPage(lang, k))
		return
	}
	id, err := mail.ParseID(r.PathValue("id"))
	if err == nil {
		err = h.cfg.House.Store.FlushTraces(r.Context())
	}
	var t *command.Trace
	if err == nil {
		t, err = h.cfg.House.Trace(r.Context(), id)
	}
	if err == nil && !tells(t) {
		err = store.ErrNotFound
	}
	switch {
	case err == nil:
		h.send(w, r, "why.html", h.page(lang, t))
	case errors.Is(err, store.ErrNotFound), errors.Is(err, mail.ErrBadID):
		http.Error(w, lang.Say("why.none"), http.StatusNotFound)
	default:
		h.cfg.Log.ErrorContext(r.Context(), "why page", "err", err)
		http.Error(w, lang.Say("why.later"), http.StatusServiceUnavailable)
	}
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, name string, page any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language")
	if err := h.pages.ExecuteTemplate(w, name, page); err != nil {
		h.cfg.Log.WarnContext(r.Context(), "page not sent", "page", name, "err", err)
	}
}

func (h *Handler) frame(lang words.Lang) frame {
	f := frame{Lang: string(lang), Other: "es", Host: h.cfg.Hostname, Say: lang.Say}
	if lang == "es" {
		f.Other = "en"
	}
	return f
}

// itemOf is a check as a page tells of it.
func itemOf(lang words.Lang, c finding.Check) whyItem {
	return whyItem{ID: c.ID, Text: finding.TextOf(c.ID, string(lang)), Standard: c.Standard, Links: c.Links()}
}

// checkPage explains a check by itself, for refusals that have no transaction.
func (h *Handler) checkPage(lang words.Lang, k finding.Check) whyPage {
	return whyPage{frame: h.frame(lang), ID: string(k.ID), Items: []whyItem{itemOf(lang, k)}}
}

// refused reports whether a recipient was refused or put off.
func refused(to *trace.Recipient) bool {
	return to.Action == mail.Reject.String() || to.Action == mail.Defer.String()
}

// tells reports whether there is something to tell: what became of a message that
// was accepted is its recipient's business.
func tells(t *command.Trace) bool {
	return t.Stage != trace.Accepted || slices.ContainsFunc(t.To, func(to trace.Recipient) bool { return refused(&to) })
}

// page takes from a trace what the refused side may know: its own address, name
// and words, our reply, and of the evidence what is for anyone
// (finding.Disclosure). Not who else was addressed, nor what we think of the
// content. Of a check whose evidence is not for anyone it tells that it decided.
func (h *Handler) page(lang words.Lang, t *command.Trace) whyPage {
	p := whyPage{frame: h.frame(lang), ID: t.ID, At: t.At.UTC().Format(time.RFC1123), Reply: t.Reply, IP: t.IP, HELO: t.HELO}
	if t.Stage != trace.AtConnect {
		p.From = "<" + t.From + ">"
	}
	if m := t.Merged; m != nil {
		p.IP, p.From = m.Network, ""
		p.Merged = lang.Say("why.merged.text", m.Count, m.Last.UTC().Format(time.RFC1123))
	}
	var decided []finding.ID
	for i := range t.To {
		if to := &t.To[i]; refused(to) && to.Check != "" {
			if p.To == "" {
				p.To = to.Address
				if to.Reply != "" {
					p.Reply = to.Reply
				}
			}
			decided = append(decided, finding.ID(to.Check))
		}
	}
	p.Items = items(lang, t, decided)
	return p
}

// items lists the checks that decided, then, of what was refused as a whole, what
// else was found. Where no recipient was refused by name all findings decided.
func items(lang words.Lang, t *command.Trace, decided []finding.ID) (out []whyItem) {
	add := func(id finding.ID, outcome finding.Outcome, decides bool, facts []finding.Fact) {
		c, ok := finding.Lookup(id)
		public := ok && c.Disclosure() == finding.ToAnyone
		if !ok || !public && !decides || slices.ContainsFunc(out, func(i whyItem) bool { return i.ID == id }) {
			return
		}
		item := itemOf(lang, c)
		item.Outcome = lang.Say("outcome." + strings.ReplaceAll(outcome.String(), " ", "-"))
		if public {
			item.Facts = facts
		} else {
			item.Private = true
		}
		out = append(out, item)
	}
	for _, id := range decided {
		f, _ := t.Findings.Find(id)
		add(id, finding.Fail, true, f.Evidence)
	}
	if t.Stage == trace.Accepted {
		return out // its other findings are about what was accepted
	}
	for _, f := range t.Findings.Others {
		// The sender of what is dropped or held by the access map was told 250.
		told250 := f.Check == finding.AccessDiscard || f.Check == finding.AccessHeld
		if f.Outcome != finding.Pass && !told250 {
			add(f.Check, f.Outcome, len(decided) == 0, f.Evidence)
		}
	}
	return out
}

// checksPage is what checks.html reads.
type checksPage struct {
	frame
	Sections []checksSection
}

type checksSection struct {
	Title  string
	Checks []checkLine
}

type checkLine struct {
	ID    finding.ID
	Title string
}

// showChecks lists all checks, each with its page.
func (h *Handler) showChecks(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	p := checksPage{frame: h.frame(lang)}
	section := ""
	for _, c := range finding.All() {
		if s := c.ID.Section(); s != section {
			section = s
			p.Sections = append(p.Sections, checksSection{Title: finding.SectionTitle(s, string(lang))})
		}
		last := &p.Sections[len(p.Sections)-1]
		last.Checks = append(last.Checks, checkLine{c.ID, finding.TextOf(c.ID, string(lang)).Title})
	}
	h.send(w, r, "checks.html", p)
}

// maxAsked bounds the languages of a browser that are looked at.
const maxAsked = 10

// language is ?lang=, else the first that the browser asks for and Posta speaks;
// browsers list them by preference.
func language(r *http.Request) words.Lang {
	if l := r.URL.Query().Get("lang"); l != "" {
		return words.Parse(l)
	}
	for i, l := range strings.SplitN(r.Header.Get("Accept-Language"), ",", maxAsked+1) {
		l, _, _ = strings.Cut(l, ";")
		if l = strings.TrimSpace(l); i < maxAsked && words.Speaks(l) {
			return words.Parse(l)
		}
	}
	return words.Parse("")
}
