// Package links looks at the URLs of a message for what spam and phishing do with
// them, and lists the hosts they lead to, for blocklists.
//
// URLs are read as browsers read them (the WHATWG URL standard, as far as the host
// goes): white space within is dropped, a backslash is a slash, one slash or three
// after the scheme are two, 0x7f.1 and 2130706433 are addresses, hosts may be
// percent-encoded. Registrable domains are those of the public suffix list that
// golang.org/x/net carries.
//
// Limits: the links that package content kept (1,000); 200 hosts, of
// one domain 4; the report is bounded. Time is linear in the octets of the links.
package links

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"posta/internal/spam/content"
)

// Rule is something that is wrong with links.
type Rule string

// The rules.
const (
	Address   Rule = "address"   // the host is an address, not a name
	UserInfo  Rule = "userinfo"  // a name before "@" pretends to be the host (RFC 3986 §7.6)
	Script    Rule = "script"    // a label mixes alphabets that look alike (Unicode TS 39)
	Shortener Rule = "shortener" // the target is hidden by a shortener
	Mismatch  Rule = "mismatch"  // the words on the link name another domain
	Flood     Rule = "flood"     // more links than anybody reads
)

// Bounds of a report, and what is too many.
const (
	maxSeen  = 5
	maxHosts = 200
	// ofDomain: one domain does not use up what blocklists are asked, however many
	// hosts its links name.
	ofDomain = 4
	flood    = 1000
)

// Hit is a rule that was broken, how often, and the first cases.
type Hit struct {
	Rule  Rule
	Count int
	Seen  []string
}

// Report is what was found.
type Report struct {
	Hits  []Hit        // at most one for each rule, in the order of the rules
	Hosts []string     // host names in the order of their appearance, in A-labels
	IPs   []netip.Addr // hosts that are addresses
	Over  bool         // there were more hosts or links than are listed

	of map[string]int // how many of Hosts belong to a registrable domain
}

// Inspect looks at the links of a message.
func Inspect(c *content.Content) Report {
	var r Report
	r.Over = c.AllLinks > len(c.Links)
	for i := range c.Links {
		r.link(&c.Links[i])
	}
	if c.AllLinks > flood {
		r.hit(Flood, "")
		r.Hits[len(r.Hits)-1].Count = c.AllLinks
	}
	order := []Rule{Address, UserInfo, Script, Shortener, Mismatch, Flood}
	slices.SortFunc(r.Hits, func(a, b Hit) int { return slices.Index(order, a.Rule) - slices.Index(order, b.Rule) })
	return r
}

func (r *Report) hit(rule Rule, seen string) {
	i := slices.IndexFunc(r.Hits, func(h Hit) bool { return h.Rule == rule })
	if i < 0 {
		i = len(r.Hits)
		r.Hits = append(r.Hits, Hit{Rule: rule})
	}
	h := &r.Hits[i]
	h.Count++
	if seen != "" && len(h.Seen) < maxSeen && !slices.Contains(h.Seen, seen) {
		h.Seen = append(h.Seen, seen)
	}
}

func (r *Report) link(l *content.Link) {
	u, ok := Parse(l.URL)
	if !ok {
		return
	}
	shown := l.URL[:min(len(l.URL), 200)]
	if u.UserInfo != "" && strings.Contains(u.UserInfo, ".") {
		r.hit(UserInfo, shown)
	}
	if u.Addr.IsValid() {
		r.hit(Address, shown)
		r.addr(u.Addr)
	} else {
		r.host(u.Host, u.Domain)
		if mixed(u.Host) {
			r.hit(Script, u.Host)
		}
		if slices.Contains(shorteners, u.Domain) && l.In != "img" {
			r.hit(Shortener, u.Host)
		}
	}
	if l.In == "a" {
		if claimed := claimedDomain(l.Text); claimed != "" && claimed != u.Domain {
			r.hit(Mismatch, l.Text+" → "+u.Host)
		}
	}
}

func (r *Report) host(h, domain string) {
	if h == "" || slices.Contains(r.Hosts, h) {
		return
	}
	if len(r.Hosts) >= maxHosts || r.of[domain] >= ofDomain {
		r.Over = true
		return
	}
	if r.of == nil {
		r.of = map[string]int{}
	}
	r.of[domain]++
	r.Hosts = append(r.Hosts, h)
}

func (r *Report) addr(a netip.Addr) {
	if len(r.IPs) < maxHosts && !slices.Contains(r.IPs, a) {
		r.IPs = append(r.IPs, a)
	}
}

// shorteners are services that anybody may hide a target behind.
var shorteners = []string{
	"bit.ly", "bitly.com", "buff.ly", "cutt.ly", "goo.gl", "is.gd", "j.mp", "lnkd.in", "ow.ly", "rb.gy", "rebrand.ly", "s.id",
	"shorturl.at", "t.co", "t.ly", "tiny.cc", "tinyurl.com", "urlz.fr", "v.gd", "acortar.link", "n9.cl",
}

// claimedDomain is the registrable domain that the words on a link name, when they
// are a URL or one host name; "" otherwise.
func claimedDomain(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, "@") {
		return ""
	}
	first, rest, _ := strings.Cut(text, " ")
	lower := strings.ToLower(first)
	explicit := strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "www.")
	if !explicit && (rest != "" || strings.ContainsAny(first, "…") || !strings.Contains(first, ".")) {
		return ""
	}
	u, ok := Parse(first)
	if !ok || u.Domain == "" {
		return ""
	}
	tld := u.Domain[strings.LastIndexByte(u.Domain, '.')+1:]
	if explicit {
		return u.Domain
	}
	if suffix, icann := publicsuffix.PublicSuffix(u.Domain); slices.Contains(fileTypes, tld) || !icann && !strings.Contains(suffix, ".") {
		return "" // a file's name, or no top-level domain that exists
	}
	return u.Domain
}

// fileTypes are top-level domains that are ends of file names too.
var fileTypes = []string{"zip", "mov", "md", "py", "sh", "pl", "rs", "ps", "cc", "ai", "app"}

// mixed tells whether a label mixes Latin with letters of other alphabets that
// look like Latin ones.
func mixed(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if strings.HasPrefix(label, "xn--") {
			if u, err := idna.ToUnicode(label); err == nil {
				label = u
			}
		}
		latin, other := false, false
		for _, r := range label {
			latin = latin || unicode.Is(unicode.Latin, r)
			other = other || unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee)
		}
		if latin && other {
			return true
		}
	}
	return false
}
