// Package web is the HTTP door: health for load balancers, metrics for
// Prometheus, and the page behind the link in each refusal, where the other
// side's administrator reads what was seen and how it is mended (S53), and the page
// behind the link in each digest of held mail (S58), and the one where people change
// their own password. What our domains say of themselves is in wellknown.go: MTA-STS
// policies, and the settings of mail programs.
//
// It is plain and without scripts. The ids of /why are unguessable and are the
// only key; the page tells only what the refused side told or could look up
// itself. Strangers are limited by network.
package web

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"posta/internal/autoconf"
	"posta/internal/command"
	"posta/internal/ratelimit"
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
	Logins   Logins                // verifies passwords; nil: nobody can change his here
	Log      *slog.Logger
	Now      func() time.Time
	Doors    []autoconf.Door // for mail programs; none: they are told nothing
}

// Handler serves the door.
type Handler struct {
	cfg   Config
	pages *template.Template
	mux   *http.ServeMux
	views *ratelimit.Table[netip.Prefix]
	tries *ratelimit.Table[netip.Prefix] // of the password page
}

// Limits of the pages: views of one /24 or /64 in a minute, and networks that are
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
	t, err := template.ParseFS(pages, "*.html")
	if err != nil {
		return nil, err
	}
	h := &Handler{
		cfg: cfg, pages: t, mux: http.NewServeMux(),
		views: ratelimit.NewTable[netip.Prefix](ratelimit.Limit{Count: perMinute, Period: time.Minute, Burst: perMinute}, maxNetworks),
	}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	h.mux.HandleFunc("GET /readyz", h.ready)
	h.mux.HandleFunc("GET /metrics", h.metrics)
	h.mux.HandleFunc("GET /why/{$}", h.limited(h.showChecks))
	h.mux.HandleFunc("GET /why/{id}", h.limited(h.showWhy))
	h.addHeld()
	h.addAccount()
	h.addWellKnown()
	return h, nil
}

// ServeHTTP sets what every answer has and hands on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hd := w.Header()
	hd.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Referrer-Policy", "no-referrer")
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Robots-Tag", "noindex, nofollow")
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
