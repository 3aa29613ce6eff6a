// Package web is the HTTP door: health for load balancers, metrics for
// Prometheus, and the page behind the link in each refusal, where the other
// side's administrator reads what was seen and how it is mended (S53), and the page
// behind the link in each digest of held mail (S58).
//
// It is plain and without scripts. The ids of /why are unguessable and are the
// only key; the page tells only what the refused side told or could look up
// itself. Strangers are limited by network.
package web

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/words"
)

//go:embed *.html
var pages embed.FS

// Config of the door.
type Config struct {
	Hostname string
	House    *command.House
	Ready    func(context.Context) error // nil error: mail is taken
	Metrics  http.Handler
	Trusted  func(netip.Addr) bool // who may read /metrics
	Log      *slog.Logger
	Now      func() time.Time
}

// Handler serves the door.
type Handler struct {
	cfg  Config
	why  *template.Template
	held *template.Template
	mux  *http.ServeMux
	mu   sync.Mutex
	seen map[netip.Prefix]*bucket
}

// bucket counts one network's page views in one minute.
type bucket struct {
	minute int64
	n      int
}

// Limits of the page: views of one /24 or /64 in a minute, and networks that are
// remembered.
const (
	perMinute   = 60
	maxNetworks = 10_000
)

// New makes the handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t, err := template.ParseFS(pages, "why.html")
	if err != nil {
		return nil, err
	}
	held, err := template.ParseFS(pages, "held.html")
	if err != nil {
		return nil, err
	}
	h := &Handler{cfg: cfg, why: t, held: held, mux: http.NewServeMux(), seen: map[netip.Prefix]*bucket{}}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	h.mux.HandleFunc("GET /readyz", h.ready)
	h.mux.HandleFunc("GET /metrics", h.metrics)
	h.mux.HandleFunc("GET /why/{id}", h.showWhy)
	h.addHeld()
	return h, nil
}

// ServeHTTP sets what every answer has and hands on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hd := w.Header()
	hd.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Referrer-Policy", "no-referrer")
	hd.Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := h.cfg.Ready(ctx); err != nil {
		h.cfg.Log.WarnContext(ctx, "not ready", "err", err)
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n"))
}

func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	if a := remote(r); !h.cfg.Trusted(a) {
		http.Error(w, "metrics are for the local network", http.StatusForbidden)
		return
	}
	h.cfg.Metrics.ServeHTTP(w, r)
}

func remote(r *http.Request) netip.Addr {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	a, _ := netip.ParseAddr(host)
	return a.Unmap()
}

// whyPage is what the template reads.
type whyPage struct {
	Lang     string
	Other    string // the other language's code
	Host     string
	ID       string
	At       string
	Reply    string
	From, To string
	IP, HELO string
	Merged   string // how often, of a record that stands for many
	Items    []whyItem
	Say      func(key string, args ...any) string
}

type whyItem struct {
	ID       finding.ID
	Text     finding.Text
	Standard string
	Outcome  string
	Facts    []finding.Fact
}

// showWhy explains one refusal.
func (h *Handler) showWhy(w http.ResponseWriter, r *http.Request) {
	lang := words.Parse(firstLanguage(r))
	if !h.allow(remote(r)) {
		http.Error(w, lang.Say("why.slow"), http.StatusTooManyRequests)
		return
	}
	if k, ok := finding.Lookup(finding.ID(r.PathValue("id"))); ok {
		h.send(w, r, h.checkPage(lang, k))
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
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, mail.ErrBadID) {
			h.cfg.Log.ErrorContext(r.Context(), "why page", "err", err)
			http.Error(w, lang.Say("why.later"), http.StatusServiceUnavailable)
			return
		}
		http.Error(w, lang.Say("why.none"), http.StatusNotFound)
		return
	}
	h.send(w, r, h.page(lang, t))
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, p whyPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language")
	if err := h.why.Execute(w, p); err != nil {
		h.cfg.Log.WarnContext(r.Context(), "why page not sent", "err", err)
	}
}

// blank is a page without a transaction.
func (h *Handler) blank(lang words.Lang) whyPage {
	p := whyPage{Lang: string(lang), Other: "es", Host: h.cfg.Hostname, Say: lang.Say}
	if lang == "es" {
		p.Other = "en"
	}
	return p
}

// checkPage explains a check by itself, for refusals that have no transaction.
func (h *Handler) checkPage(lang words.Lang, k finding.Check) whyPage {
	p := h.blank(lang)
	p.ID = string(k.ID)
	p.Items = []whyItem{{ID: k.ID, Text: finding.TextOf(k.ID, string(lang)), Standard: k.Standard, Outcome: lang.Say("outcome.fail")}}
	return p
}

// page takes from a trace what the refused side may know: its own address, name
// and words, what is published in DNS, and our reply. Not who else was addressed,
// nor what we think of the content.
func (h *Handler) page(lang words.Lang, t *command.Trace) whyPage {
	p := h.blank(lang)
	p.ID, p.At, p.Reply, p.IP, p.HELO = t.ID, t.At.UTC().Format(time.RFC1123), t.Reply, t.IP, t.HELO
	p.From = "<" + t.From + ">"
	if m := t.Merged; m != nil {
		p.IP, p.From = m.Network, ""
		p.Merged = lang.Say("why.merged.text", m.Count, m.Last.UTC().Format(time.RFC1123))
	}
	shown := map[finding.ID]bool{}
	add := func(id finding.ID, outcome finding.Outcome, facts []finding.Fact) {
		c, ok := finding.Lookup(id)
		if !ok || shown[id] {
			return
		}
		shown[id] = true
		p.Items = append(p.Items, whyItem{
			ID: id, Text: finding.TextOf(id, string(lang)), Standard: c.Standard, Facts: facts,
			Outcome: lang.Say("outcome." + strings.ReplaceAll(outcome.String(), " ", "-")),
		})
	}
	for _, to := range t.To {
		if to.Check == "" || to.Check == string(finding.AccessDiscard) || to.Check == string(finding.AccessHeld) {
			continue // it was told 250, and no more
		}
		if p.To == "" {
			p.To = to.Address
		}
		if p.Reply == "" {
			p.Reply = to.Reply
		}
		f, _ := t.Findings.Find(finding.ID(to.Check))
		add(finding.ID(to.Check), finding.Fail, f.Evidence)
	}
	for _, f := range t.Findings.Others {
		if f.Check == finding.AccessDiscard || f.Check == finding.AccessHeld {
			continue
		}
		add(f.Check, f.Outcome, f.Evidence)
	}
	return p
}

// firstLanguage is ?lang=, else the first language that the browser asks for.
func firstLanguage(r *http.Request) string {
	if l := r.URL.Query().Get("lang"); l != "" {
		return l
	}
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	first, _, _ = strings.Cut(first, ";")
	return strings.TrimSpace(first)
}

// allow counts a view of a network.
func (h *Handler) allow(a netip.Addr) bool {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return true // not TCP: a test or a unix socket
	}
	minute := h.cfg.Now().Unix() / 60
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.seen[p]
	if b == nil {
		if len(h.seen) >= maxNetworks {
			clear(h.seen)
		}
		b = &bucket{}
		h.seen[p] = b
	}
	if b.minute != minute {
		b.minute, b.n = minute, 0
	}
	b.n++
	return b.n <= perMinute
}
