package intake

import (
	"strings"

	"posta/internal/mail"
	"posta/internal/spf"
)

// provider is one of the big mailbox providers: a host is its own when reverse DNS,
// confirmed forward, gives it a name below hosts, or when SPF passed for a domain in
// domains, those in which it gives people their addresses.
type provider struct {
	name    string
	hosts   []string
	domains []string
}

// providers are those for whom policy has a column of its own: so much wanted mail
// comes from their hosts that a host's name or neighbours say little. They give
// mailboxes to people; who only sends for others in bulk (Amazon SES, SendGrid,
// Mailchimp…) is not among them, nor is whoever rents out servers. Where customers'
// own lines or machines have names below the provider's domain, hosts names only the
// part in which its mail servers are.
var providers = [...]provider{
	{"Google", []string{"google.com"}, []string{"gmail.com", "googlemail.com"}},
	{"Microsoft", []string{"protection.outlook.com", "prod.outlook.com", "hotmail.com"},
		[]string{"outlook.com", "outlook.es", "outlook.fr", "outlook.de", "hotmail.com", "hotmail.es", "hotmail.fr", "hotmail.it", "hotmail.co.uk", "live.com", "msn.com"}},
	{"Yahoo", []string{"yahoo.com", "yahoodns.net", "mail.aol.com"},
		[]string{"yahoo.com", "yahoo.es", "yahoo.fr", "yahoo.de", "yahoo.it", "yahoo.co.uk", "yahoo.co.jp", "yahoo.com.br", "yahoo.com.mx", "yahoo.com.ar", "ymail.com", "rocketmail.com", "aol.com"}},
	{"Apple", []string{"apple.com", "icloud.com", "me.com"}, []string{"icloud.com", "me.com", "mac.com"}},
	{"GMX and WEB.DE", []string{"mout.gmx.net", "mout.gmx.com", "mout.web.de"}, []string{"gmx.net", "gmx.de", "gmx.com", "gmx.es", "gmx.fr", "gmx.at", "gmx.ch", "web.de", "mail.com"}},
	{"Telekom", []string{"t-online.de"}, []string{"t-online.de", "magenta.de"}},
	{"Proton", []string{"protonmail.ch", "proton.ch"}, []string{"proton.me", "protonmail.com", "protonmail.ch", "pm.me"}},
	{"Zoho", []string{"zoho.com", "zoho.eu", "zoho.in", "zohomail.com"}, []string{"zoho.com", "zoho.eu", "zohomail.com", "zohomail.eu"}},
	{"Fastmail", []string{"messagingengine.com"}, []string{"fastmail.com", "fastmail.fm"}},
	{"Yandex", []string{"mail.yandex.net", "mail.yandex.com"}, []string{"yandex.ru", "yandex.com", "ya.ru"}},
	{"VK (mail.ru)", []string{"mail.ru"}, []string{"mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru"}},
	{"Orange", []string{"smtpout.orange.fr"}, []string{"orange.fr", "wanadoo.fr", "orange.es"}},
	{"Telefónica", []string{"e.movistar.es"}, []string{"movistar.es", "telefonica.net"}},
}

// providerOf finds the big provider that a client is, and by what; "" for none.
func providerOf(confirmed string, r *spf.Result) (name, by string) {
	for i := range providers {
		p := &providers[i]
		if below(confirmed, p.hosts) {
			return p.name, "reverse name " + confirmed
		}
		if r.Status == spf.Pass && r.Identity == spf.MailFrom && below(r.Domain, p.domains) {
			return p.name, "SPF of " + r.Domain
		}
	}
	return "", ""
}

// below reports whether a name is one of domains or below it. All are lower-case
// A-labels.
func below(name string, domains []string) bool {
	for _, d := range domains {
		if rest, ok := strings.CutSuffix(name, d); ok && (rest == "" || rest[len(rest)-1] == '.') {
			return true
		}
	}
	return false
}

// classify tells the big providers from strangers with a server of their own, before
// policy or a limit is asked. confirmed is the client's reverse name, "" if none.
func (tx *transaction) classify(confirmed string) {
	c := &tx.env.Client
	if c.Class != mail.OwnServer {
		return
	}
	name, by := providerOf(confirmed, &tx.judge.spfSeen)
	if name == "" {
		return
	}
	c.Class, tx.regard.Provider = mail.BigProvider, name
	tx.noteFact("big provider", name+", by "+by)
}
