// Package refusal reads what other servers answer when they refuse our mail or put it
// off, and says which of our own checks they speak of and what to do next.
//
// Large providers document codes of their own (Gmail's 5.7.26, Microsoft's S3150, Yahoo's
// TSS04); others answer with the codes of RFC 7372 and RFC 7505, or with the sentences of the
// servers that everybody runs. [Read] knows the first by the host that answered, and takes
// the second and third for what they are everywhere. The table is in rules.go.
//
// A reply is a stranger's text: of it only the first 4 KiB are read, nothing of it is
// believed beyond its own meaning, and a link is given only when it is http or https.
package refusal

import (
	"net/url"
	"regexp"
	"strings"

	"posta/internal/finding"
)

// Reading is what a reply means. The zero Reading means that nobody knows.
type Reading struct {
	Provider string     `json:"provider,omitempty"` // who answered: "Gmail", "Microsoft", "Yahoo"; "" for anybody else
	Code     string     `json:"code,omitempty"`     // as its owner documents it: "5.7.26", "S3150", "TSS04"
	Check    finding.ID `json:"check,omitempty"`    // the check of ours that it speaks of
	Advice   string     `json:"advice,omitempty"`   // what to do next: key of the words catalogue below "refusal."
	List     string     `json:"list,omitempty"`     // a DNS list that it names
	Link     string     `json:"link,omitempty"`     // a page that it names
}

// Known reports whether the reply was understood.
func (r Reading) Known() bool { return r.Advice != "" }

// maxReply bounds what is read of a reply, in octets.
const maxReply = 4 << 10

// enhanced finds a status code of RFC 3463 behind the reply code; the lines of a
// long reply repeat it.
var (
	enhanced = regexp.MustCompile(`^\s*[245]\d\d[ -]+([245]\.\d{1,3}\.\d{1,3})\b`)
	codes    = regexp.MustCompile(`\b([45]\.\d{1,3}\.\d{1,3})\b`)
	again    = regexp.MustCompile(`\n[245]\d\d[ -](?:[245]\.\d{1,3}\.\d{1,3} )?`)
	link     = regexp.MustCompile(`https?://[^\s<>"'()\[\]]+`)
	zone     = regexp.MustCompile(`(?i)\b(?:using|listed (?:at|in|on|by)|blocked by|by|rbl|dnsbl)[: ]+((?:[a-z0-9-]+\.){1,6}[a-z]{2,})\b`)
)

// Read reads a reply ("550-5.7.26 This mail…", one line or many) of a host, by its DNS name.
func Read(host, reply string) Reading {
	if len(reply) > maxReply {
		reply = strings.ToValidUTF8(reply[:maxReply], "")
	}
	status := ""
	if m := enhanced.FindStringSubmatch(reply); m != nil {
		status = m[1]
	} else if m := codes.FindStringSubmatch(reply); m != nil {
		status = m[1]
	}
	flat := strings.ToLower(strings.Join(strings.Fields(again.ReplaceAllString(reply, " ")), " "))
	out := Reading{Provider: ProviderOf(host), Link: firstLink(reply)}
	for _, r := range rules {
		if !r.matches(out.Provider, status, flat) {
			continue
		}
		out.Check, out.Advice, out.Code = r.check, r.advice, status
		if r.own != "" {
			out.Code = strings.ToUpper(r.own)
		}
		if r.advice == "listed" {
			if m := zone.FindStringSubmatch(flat); m != nil {
				out.List = m[1]
			}
		}
		break
	}
	return out
}

// firstLink is the first page that a reply names.
func firstLink(reply string) string {
	s := strings.TrimRight(link.FindString(reply), ".,;:!?")
	if u, err := url.Parse(s); err != nil || u.Host == "" || len(s) > 300 {
		return ""
	}
	return s
}

// ProviderOf names the large provider that a host belongs to, "" for all others.
func ProviderOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, p := range providers {
		if host == p.below || strings.HasSuffix(host, "."+p.below) {
			return p.name
		}
	}
	return ""
}

// rule is one row of the table; what is empty matches all. status has no class ("7.26"), or
// is whole ("4.7.28"); text must all stand in the reply, in lower case.
type rule struct {
	provider, status string
	own              string // the provider's own code, in lower case: it must stand in the reply
	text             []string
	check            finding.ID
	advice           string
}

func (r *rule) matches(provider, status, text string) bool {
	if r.provider != "" && r.provider != provider {
		return false
	}
	if r.status != "" && r.status != status && (len(status) < 2 || r.status != status[2:]) {
		return false
	}
	if !strings.Contains(text, r.own) {
		return false
	}
	for _, t := range r.text {
		if !strings.Contains(text, t) {
			return false
		}
	}
	return true
}
