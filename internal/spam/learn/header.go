package learn

import (
	"strings"

	"posta/internal/message"
	"posta/internal/message/charset"
)

// Bounds on the header.
const (
	maxFields   = 200 // fields that are looked at
	maxValue    = 300 // octets of an ordinary field
	maxSubject  = 1000
	maxReceived = 8 // of the topmost fields
)

// ignored are the beginnings of names of fields that filters and mailboxes
// write: what others thought of the message, or where it rested. Further dates are
// ignored too: they tell when a corpus was collected.
var ignored = [...]string{
	"x-spam", "x-ham", "x-bogosity", "x-dspam", "x-pyzor", "x-virus", "x-rspam", "x-crm114", "x-posta", "x-antispam", "x-forefront",
	"x-ms-exchange", "x-microsoft-antispam", "x-mozilla", "x-uid", "x-status", "x-keywords", "x-original-to", "x-gm-", "x-google",
	"authentication-results", "arc-", "received-spf", "delivered-to", "return-path", "envelope-to", "status", "replied", "forwarded",
}

// random are fields whose values never come again; that they are there counts.
var random = [...]string{"references", "in-reply-to", "thread-index", "x-received", "content-length", "lines", "dkim-signature", "domainkey-signature"}

func begins(name string, list []string) bool {
	for _, p := range list {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func takeHeader(s *set, h message.Header) {
	received, fields := 0, 0
	var buf [64]byte
	for f := range h.Fields() {
		if fields++; fields > maxFields {
			s.add("has:", "(many fields)")
			return
		}
		b := append(buf[:0], f.NameBytes()...)
		for i, c := range b {
			b[i] = lower(c)
		}
		name := string(b)
		if begins(name, ignored[:]) || name != "date" && strings.HasSuffix(name, "date") {
			continue
		}
		s.add("has:", name)
		if name == "received" {
			if received++; received > maxReceived {
				continue
			}
		}
		takeField(s, name, f.Value())
	}
	s.add("hops:", size(received))
}

// takeField takes one field by what it is.
func takeField(s *set, name, v string) {
	switch name {
	case "subject":
		takeSubject(s, v)
	case "from", "reply-to", "sender":
		takeAddress(s, name, v)
	case "to", "cc":
		s.add(name+"-count:", size(strings.Count(v, "@")))
		takeWords(s, name+":", cut(v, maxValue), false)
	case "received":
		takeReceived(s, v)
	case "message-id":
		left, domain, _ := strings.Cut(strings.Trim(v, "<> "), "@")
		s.add("message-id-shape:", shape(left))
		takeDomain(s, "message-id:@", domain)
	case "date":
		if i := strings.LastIndexByte(v, ' '); i >= 0 && len(v)-i < 10 {
			s.addLower("zone:", v[i+1:])
		}
	case "content-type":
		if i := strings.Index(v, "oundary="); i >= 0 {
			s.add("boundary:", shape(v[i+len("oundary="):]))
			v = strings.TrimRight(v[:max(i-1, 0)], "; ")
		}
		s.addLower("content-type:", v)
	case "list-id":
		_, domain, _ := strings.Cut(v, "<")
		takeDomain(s, "list-id:", domain)
		takeWords(s, "list-id:", cut(v, maxValue), false)
	case "x-mailer", "user-agent", "x-mimeole":
		takeWords(s, "mailer:", cut(v, maxValue), true)
	default:
		if !begins(name, random[:]) {
			takeWords(s, name+":", cut(v, maxValue), false)
		}
	}
}

func takeSubject(s *set, v string) {
	if _, after, ok := strings.Cut(v, "=?"); ok {
		label, _, _ := strings.Cut(after, "?")
		s.addLower("subject-charset:", label)
	}
	v = charset.DecodeHeader(cut(v, maxSubject))
	takeWords(s, "subject:", v, true)
	if len(v) > 3 && v == strings.ToUpper(v) && v != strings.ToLower(v) {
		s.add("subject:", "(capitals)")
	}
}

// takeAddress takes the display name and address of the first mailbox, read
// loosely: what is malformed counts as it is.
func takeAddress(s *set, name, v string) {
	v = cut(v, maxSubject)
	display, address := "", v
	if i := strings.LastIndexByte(v, '<'); i >= 0 {
		display, address = v[:i], strings.TrimRight(v[i+1:], "> ")
	}
	takeWords(s, name+":", charset.DecodeHeader(display), false)
	local, domain, _ := strings.Cut(address, "@")
	s.addLower(name+"-local:", local)
	s.add(name+"-shape:", shape(local))
	takeDomain(s, name+":@", domain)
}

// takeReceived takes the hosts, addresses and words of one hop, without its id
// and date, which never come again.
func takeReceived(s *set, v string) {
	v, _, _ = strings.Cut(v, ";")
	v = cut(v, maxValue)
	previous := ""
	for word := range strings.FieldsSeq(v) {
		switch previous {
		case "from":
			s.add("helo-shape:", shape(word))
		case "id":
			previous = ""
			continue
		}
		previous = word
		if bare := strings.Trim(word, "()[]<>;,"); strings.IndexByte(bare, '.') > 0 {
			if _, domain, ok := strings.Cut(bare, "@"); ok {
				bare = domain
			}
			takeHost(s, "received:", bare)
		} else {
			takeWords(s, "received:", word, false)
		}
	}
}

// takeHost takes a host name by its domains, an address by its networks.
func takeHost(s *set, prefix, host string) {
	if host == "" || host[0] < '0' || host[0] > '9' || strings.Trim(host, "0123456789.") != "" {
		takeDomain(s, prefix, host)
		return
	}
	s.add(prefix, "(address)")
	for range 3 { // the address, its /24 and its /16
		s.add(prefix, host)
		i := strings.LastIndexByte(host, '.')
		if i < 0 {
			return
		}
		host = host[:i]
	}
}

// takeDomain takes a domain and those above it, at most four.
func takeDomain(s *set, prefix, d string) {
	d = strings.Trim(cut(d, 253), ". >)]")
	for n := 0; d != "" && n < 4; n++ {
		s.addLower(prefix, d)
		_, d, _ = strings.Cut(d, ".")
	}
}

// shape is what a string looks like: 9 for digits, a and A for letters, the rest
// as it is; more than two of a kind are two.
func shape(v string) string {
	const most = 60
	var b [most]byte
	out := b[:0]
	for i := 0; i < len(v) && len(out) < most && v[i] != ' '; i++ {
		c := v[i]
		switch {
		case c >= '0' && c <= '9':
			c = '9'
		case c >= 'a' && c <= 'z':
			c = 'a'
		case c >= 'A' && c <= 'Z':
			c = 'A'
		}
		if n := len(out); n < 2 || out[n-1] != c || out[n-2] != c {
			out = append(out, c)
		}
	}
	return string(out)
}

func cut(s string, n int) string { return s[:min(len(s), n)] }
