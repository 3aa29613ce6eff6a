package dnsbl

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posta/internal/resolver"
)

// About is what a subject is to the message.
type About uint8

// The subjects.
const (
	Client     About = iota // the client's address
	HELO                    // the name of its greeting
	Sender                  // a domain of the reverse-path, From field or signature
	BodyDomain              // a domain in the text
)

var aboutNames = [...]string{"client", "helo", "sender", "body"}

// String gives the subject as a word.
func (a About) String() string { return aboutNames[a] }

// Lists are the zones to ask about each subject.
type Lists struct {
	IP     []string // of addresses
	HELO   []string // of domains, as the two below
	Sender []string
	Body   []string
}

// Facts are what is asked about.
type Facts struct {
	IP     netip.Addr // private and loopback addresses are on no list and not asked about
	HELO   string     // "" or a literal: nothing is asked
	Sender []string
	Body   []string
}

// Question is one subject put to one list.
type Question struct {
	Zone   string
	About  About
	IP     netip.Addr // of Client
	Domain string     // of the others, in the form that the list wants
}

// Bounds of one Ask, however many domains a text has.
const (
	// Bound is how long one Ask takes at most; what is not answered by then could not be verified.
	Bound = 10 * time.Second
	// MaxQuestions is how many questions one message leads to; more body domains are not asked about.
	MaxQuestions = 128
	maxParallel  = 32
)

// Questions lists what is to be asked, the client first and the domains of the text last; no question twice.
func Questions(l Lists, f Facts) []Question {
	var out []Question
	if ip := f.IP.Unmap(); ip.IsGlobalUnicast() && !ip.IsPrivate() {
		for _, zone := range l.IP {
			out = append(out, Question{Zone: zone, About: Client, IP: ip})
		}
	}
	domains := func(about About, zones []string, names ...string) {
		for _, name := range names {
			if len(out) == MaxQuestions {
				return
			}
			name, err := resolver.Normalize(name)
			if err != nil || !strings.Contains(name, ".") || name == "." || name[0] == '[' {
				continue
			}
			if _, err := netip.ParseAddr(name); err == nil {
				continue
			}
			for _, zone := range zones {
				q := Question{Zone: zone, About: about, Domain: asked(zone, about, name)}
				twice := slices.ContainsFunc(out, func(o Question) bool { return o.Zone == zone && o.Domain == q.Domain })
				if !twice && len(out) < MaxQuestions {
					out = append(out, q)
				}
			}
		}
	}
	domains(HELO, l.HELO, f.HELO)
	domains(Sender, l.Sender, f.Sender...)
	domains(BodyDomain, l.Body, f.Body...)
	return out[:min(len(out), MaxQuestions)]
}

// asked is the form in which a list is asked about a name. Lists of what stands in texts want registered domains, unless
// we know better.
func asked(zone string, about About, name string) string {
	l := Find(zone)
	if l == nil && about == BodyDomain {
		return registered(name)
	}
	return l.form(name)
}

// Ask puts questions side by side and gives the results in their order. It blocks until all are answered, at most for
// [Bound]; results that came too late are Unverified with cause DNSFailure.
func (c *Checker) Ask(ctx context.Context, questions []Question) []Result {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	results := make([]Result, len(questions))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(len(questions), maxParallel) {
		wg.Go(func() {
			for i := range next {
				results[i] = c.question(ctx, questions[i])
			}
		})
	}
	for i := range questions {
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

func (c *Checker) question(ctx context.Context, q Question) (r Result) {
	if q.About == Client {
		r = c.IP(ctx, q.Zone, q.IP)
	} else {
		r = c.Domain(ctx, q.Zone, q.Domain)
	}
	r.About = q.About
	return r
}
