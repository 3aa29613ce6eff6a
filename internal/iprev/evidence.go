package iprev

import (
	"fmt"
	"strings"
)

const maxShown = 10 // addresses of one name

// Facts tells what was seen, in pairs of what and seen, in English: the address, then each of its names with where it leads
// and, for the one that leads back, how generic it looks.
func (r *Result) Facts() []string {
	f := []string{"address", r.IP.String(), "result", r.Status.String()}
	if len(r.Names) == 0 {
		switch {
		case r.Err != nil:
			f = append(f, "PTR", r.Err.Error())
		default:
			f = append(f, "PTR", "none ("+r.State.String()+")")
		}
		return f
	}
	for i := range r.Names {
		n := &r.Names[i]
		f = append(f, "PTR "+n.Name, n.seen())
	}
	if r.Total > len(r.Names) {
		f = append(f, "more names", fmt.Sprintf("%d that were not looked at", r.Total-len(r.Names)))
	}
	if len(r.Confirmed) > 0 {
		if kind, reason := Generic(r.Confirmed[0], r.IP); kind != Chosen {
			f = append(f, "the name is generic", kind.String()+": "+reason)
		}
	}
	return f
}

// seen tells where a name leads.
func (n *Name) seen() string {
	switch {
	case n.Err != nil:
		return n.Err.Error()
	case len(n.Addrs) == 0:
		return "has no address (" + n.State.String() + ")"
	}
	var b strings.Builder
	if n.Confirmed {
		b.WriteString("leads back:")
	} else {
		b.WriteString("leads elsewhere:")
	}
	for i, a := range n.Addrs {
		if i == maxShown {
			fmt.Fprintf(&b, " and %d more", len(n.Addrs)-i)
			break
		}
		b.WriteString(" " + a.String())
	}
	return b.String()
}
