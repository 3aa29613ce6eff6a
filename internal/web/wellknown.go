package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"posta/internal/addr"
	"posta/internal/autoconf"
	"posta/internal/command"
)

// stsPath is where a policy of MTA-STS is asked for (RFC 8461 §3.3).
const stsPath = "/.well-known/mta-sts.txt"

// maxAddress is how long an address in a question may be (RFC 5321 §4.5.3.1.3).
const maxAddress = 254

// addWellKnown adds what our domains say of themselves over HTTPS: to other servers the
// MTA-STS policy, to mail programs their settings. The domain is told by the name that
// the client asked for, or by the address in the question; only ours are answered for.
func (h *Handler) addWellKnown() {
	h.mux.HandleFunc("GET "+stsPath, h.showSTS) // cheap, and big providers ask for many domains
	h.mux.HandleFunc("GET "+autoconf.AutoconfigPath, h.limited(h.showAutoconfig))
	h.mux.HandleFunc("GET "+autoconf.WellKnownPath, h.limited(h.showAutoconfig))
	h.mux.HandleFunc("GET "+autoconf.PACCPath, h.limited(h.showPACC))
	// Programs write the path in one of these ways.
	for _, path := range []string{autoconf.AutodiscoverPath, "/Autodiscover/Autodiscover.xml", "/AutoDiscover/AutoDiscover.xml", "/Autodiscover/autodiscover.xml"} {
		h.mux.HandleFunc("POST "+path, h.limited(h.showAutodiscover))
	}
}

// named is the name that a client asked for, in lower case, without a port.
func named(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// ours is a domain if it is one of ours.
func (h *Handler) ours(name string) (string, bool) {
	d, err := addr.ParseDomain(name)
	if err != nil || h.cfg.House.Directory == nil || !h.cfg.House.Directory.View().Local(d) {
		return "", false
	}
	return string(d), true
}

// domainOf is the domain of ours that a name is about: itself, or behind a prefix.
func (h *Handler) domainOf(name string, prefixes ...string) (string, bool) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(name, p); ok {
			return h.ours(rest)
		}
	}
	return h.ours(name)
}

func (h *Handler) showSTS(w http.ResponseWriter, r *http.Request) {
	// RFC 8461 §3.3: the name is mta-sts. and the domain, nothing else.
	domain, ok := "", false
	if rest, prefixed := strings.CutPrefix(named(r), "mta-sts."); prefixed {
		domain, ok = h.ours(rest)
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	p, err := command.STSOf(h.cfg.House.Directory.View().Setting(command.STSSetting(domain)))
	if err != nil {
		// No answer leaves senders with the policy that they know, which is safe.
		h.cfg.Log.ErrorContext(r.Context(), "MTA-STS policy", "domain", domain, "err", err)
		http.Error(w, "the policy cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, p.Policy(h.cfg.Hostname).Text())
}

// account is whose settings a program asks for: by the address, which may be "", or by
// the name that it asked.
func (h *Handler) account(r *http.Request, address string) (autoconf.Account, bool) {
	a := autoconf.Account{Host: h.cfg.Hostname, Doors: h.cfg.Doors}
	domain, ok := "", false
	if address != "" {
		at, err := addr.ParseAddress(address)
		if len(address) > maxAddress || err != nil {
			return a, false
		}
		a.Address = address
		domain, ok = h.ours(string(at.Domain))
	} else {
		domain, ok = h.domainOf(named(r), "autoconfig.", "autodiscover.", "ua-auto-config.")
	}
	a.Domain = domain
	return a, ok && len(a.Doors) > 0
}

func (h *Handler) showAutoconfig(w http.ResponseWriter, r *http.Request) {
	// Whether the address exists is not looked at: no door tells that.
	a, ok := h.account(r, r.URL.Query().Get("emailaddress"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Write(autoconf.Autoconfig(a))
}

func (h *Handler) showAutodiscover(w http.ResponseWriter, r *http.Request) {
	address, err := autoconf.ParseRequest(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a, ok := h.account(r, address)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Write(autoconf.Autodiscover(a))
}

func (h *Handler) showPACC(w http.ResponseWriter, r *http.Request) {
	a, ok := h.account(r, "")
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(autoconf.PACC(a))
}

// Door makes an autoconf.Door of the address of a listener; false for one that is no
// door of mail programs, or no TCP socket.
func Door(name, address string) (autoconf.Door, bool) {
	kinds := map[string]autoconf.Door{
		"imaps": {Protocol: autoconf.IMAP, Implicit: true}, "imap": {Protocol: autoconf.IMAP},
		"pop3s": {Protocol: autoconf.POP3, Implicit: true}, "pop3": {Protocol: autoconf.POP3},
		"submissions": {Protocol: autoconf.SMTP, Implicit: true}, "submission": {Protocol: autoconf.SMTP},
	}
	d, ok := kinds[name]
	_, port, err := net.SplitHostPort(address)
	if !ok || err != nil {
		return d, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	d.Port = uint16(n)
	return d, err == nil && n > 0
}

// Preferred sorts doors as programs should take them: TLS from the first octet before
// STARTTLS (RFC 8314 §3), IMAP before POP3.
func Preferred(a, b autoconf.Door) int { return strings.Compare(rank(a), rank(b)) }

func rank(d autoconf.Door) string {
	return fmt.Sprintf("%s %t %05d", d.Protocol, !d.Implicit, d.Port)
}
