package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"posta/internal/admit"
	"posta/internal/command"
	"posta/internal/ratelimit"
	"posta/internal/store"
	"posta/internal/words"
)

// PasswordPath is where people change their own password.
const PasswordPath = "/account/password"

// Logins verifies a password as every door does: a wrong one is answered late, and
// nothing tells whether there is such an account.
type Logins interface {
	Login(ctx context.Context, remote netip.Addr, login, password string) (admit.Identity, error)
}

// passwordPage is what the template of the page reads.
type passwordPage struct {
	frame
	Path  string // where the form goes, with the language
	Login string // as it was typed
	Wrong string // what is wrong with the last form, in words
	Done  bool
}

// Limits of the page.
const (
	triesPerMinute  = 10       // forms of one /24 or /64
	maxPasswordForm = 16 << 10 // octets: three passwords of 1024, each written as %XX
)

// addAccount adds the page where people change their own password. It is there where
// there is somebody to verify the old one.
func (h *Handler) addAccount() {
	if h.cfg.Logins == nil {
		return
	}
	h.tries = newTries()
	h.mux.HandleFunc("GET "+PasswordPath, h.showPassword)
	h.mux.HandleFunc("POST "+PasswordPath, h.changePassword)
}

func newTries() *ratelimit.Table[netip.Prefix] {
	return ratelimit.NewTable[netip.Prefix](ratelimit.Limit{Count: triesPerMinute, Period: time.Minute, Burst: triesPerMinute}, maxNetworks)
}

// private refuses what did not come over TLS: no password in clear, and no page that
// would have it typed where somebody in between may have changed the page.
func (h *Handler) private(w http.ResponseWriter, r *http.Request, lang words.Lang) bool {
	heldHeaders(w)
	if r.TLS != nil {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		return true
	}
	if r.Method == http.MethodGet {
		http.Redirect(w, r, "https://"+h.cfg.Hostname+passwordURL(lang), http.StatusPermanentRedirect)
	} else {
		http.Error(w, lang.Say("passwordpage.clear"), http.StatusForbidden)
	}
	return false
}

func passwordURL(lang words.Lang) string { return PasswordPath + "?lang=" + string(lang) }

func (h *Handler) showPassword(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	if !h.private(w, r, lang) {
		return
	}
	if !h.allow(remote(r)) {
		http.Error(w, lang.Say("why.slow"), http.StatusTooManyRequests)
		return
	}
	h.send(w, r, "password.html", passwordPage{frame: h.frame(lang), Path: passwordURL(lang), Done: r.URL.Query().Has("done")})
}

// changePassword does what the form says and leads back to the page, so that a reload
// sends no password again. There is no cookie and no session: who sends the form has to
// know the old password, so another site has nothing to borrow; its forms are refused all
// the same.
func (h *Handler) changePassword(w http.ResponseWriter, r *http.Request) {
	lang := language(r)
	if !h.private(w, r, lang) {
		return
	}
	if !h.take(h.tries, remote(r)) {
		http.Error(w, lang.Say("why.slow"), http.StatusTooManyRequests)
		return
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, lang.Say("heldpage.foreign"), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPasswordForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, lang.Say("passwordpage.form"), http.StatusBadRequest)
		return
	}
	f := r.PostForm
	wrong, status := h.replacePassword(r, lang, f.Get("login"), f.Get("old"), f.Get("new"), f.Get("again"))
	if wrong == "" {
		http.Redirect(w, r, passwordURL(lang)+"&done", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	h.send(w, r, "password.html", passwordPage{frame: h.frame(lang), Path: passwordURL(lang), Login: f.Get("login"), Wrong: wrong})
}

// replacePassword verifies the old password and gives the account the new one. What is
// wrong with the new one is said to who knows the old one only after it was verified.
func (h *Handler) replacePassword(r *http.Request, lang words.Lang, login, old, next, again string) (wrong string, status int) {
	if next != again {
		return lang.Say("passwordpage.twice"), http.StatusUnprocessableEntity
	}
	ctx := r.Context()
	id, err := h.cfg.Logins.Login(ctx, remote(r), login, old)
	switch {
	case errors.Is(err, admit.ErrRefused):
		h.cfg.Log.InfoContext(ctx, "password page: refused", "remote", remote(r).String())
		return lang.Say("passwordpage.refused"), http.StatusForbidden
	case err != nil && !errors.Is(err, admit.ErrExpired): // one that is too old is what the page is for
		return lang.Say("heldpage.later"), http.StatusServiceUnavailable
	}
	err = h.give(ctx, command.Principal{Name: id.Login, Role: store.User}, "account.own-password",
		command.OwnPassword{Old: old, New: next, Set: id.PasswordSet}, nil)
	switch e, known := errors.AsType[*command.Error](err); {
	case err == nil:
		h.cfg.Log.InfoContext(ctx, "password changed by its user", "account", id.Login, "remote", remote(r).String())
		return "", 0
	case known && e.Key == "error.password.short": // which says what an administrator may do
		return lang.Say("passwordpage.rules"), http.StatusUnprocessableEntity
	case known && (errors.Is(err, command.ErrUsage) || errors.Is(err, command.ErrDenied)):
		return lang.Say(e.Key, e.Args...), http.StatusUnprocessableEntity
	}
	h.cfg.Log.ErrorContext(ctx, "password page", "err", err)
	return lang.Say("heldpage.later"), http.StatusServiceUnavailable
}
