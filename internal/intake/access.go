package intake

import (
	"context"
	"slices"

	"posta/internal/access"
	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/iprev"
	"posta/internal/mail"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// The access map is asked before anything else of a recipient (DESIGN §2.4). With
// FEATURE delay_checks, which is how we run it, what it says of client and sender
// is said at RCPT too, so that a recipient may have a say in it (Spam:… FRIEND).
// It decides for every client that is not logged in, those of the local network
// too, and no level of policy changes it; our own users are held to entries about
// recipients only, as sendmail holds them.

// accessOptions are sendmail's FEATUREs that we run with.
var accessOptions = access.Defaults()

// sessionAccess has the facts of a connection for the access map.
type sessionAccess struct {
	facts access.Facts
	known bool // the client's name was awaited
}

// txAccess is what the access map says in one transaction.
type txAccess struct {
	m       *access.Map // in force at MAIL
	granted map[addr.Address]grant
	denied  []finding.Finding // for the trace
}

// grant is what the map says of a recipient that it does not refuse. The zero grant
// is nothing.
type grant struct {
	friend bool        // other rules that would refuse do not
	relay  bool        // its mail may leave again
	action mail.Action // Discard, Quarantine, or Accept for neither
	seen   access.Decision
}

// byAccess asks the access map for a recipient. With an empty map it costs nothing,
// and nothing is allocated where no entry matches.
func (s *session) byAccess(ctx context.Context, e *mail.Envelope, a addr.Address) (grant, *smtp.Reply) {
	tx := s.tx
	if tx.access.m.Len() == 0 {
		return grant{}, nil
	}
	d := tx.access.m.Decide(access.AtRcpt, s.accessFacts(ctx, e, a), accessOptions)
	// Relaying wants an entry: sendmail lets loopback relay, we do not. What it
	// refuses without an entry is relaying, and session.whereTo says that.
	g := grant{relay: d.Relay && !d.RelayBy.IsZero(), friend: d.Outcome == access.Trusted, seen: d}
	if d.Key.IsZero() || directory.IsPostmaster(a) && d.Outcome > access.Trusted {
		d.Outcome = access.Silent // RFC 5321 §4.5.1: postmaster@ stays reachable
	}
	switch d.Outcome {
	case access.Refused:
		return grant{}, s.accessRefusal(e, a, d)
	case access.Discarded:
		g.action = mail.Discard
	case access.Quarantine:
		g.action = mail.Quarantine
	}
	if g.friend || g.relay || g.action != mail.Accept {
		if tx.access.granted == nil {
			tx.access.granted = map[addr.Address]grant{}
		}
		tx.access.granted[a] = g
	}
	return g, nil
}

// accessFacts are those of the session and this recipient. The client's name is
// awaited once.
func (s *session) accessFacts(ctx context.Context, e *mail.Envelope, a addr.Address) *access.Facts {
	f := &s.access.facts
	if !s.access.known {
		s.access.known = true
		f.IP = e.Client.IP
		f.Name, f.PTR = s.judge.clientName(ctx)
		f.Local = func(d addr.Domain) bool { return s.tx.view.Local(d) }
	}
	f.Authenticated = e.Client.Class == mail.Authenticated
	f.From, f.To = addr.PathOf(e.ReversePath), addr.PathOf(a)
	return f
}

// clientName awaits what reverse DNS says of the client. Clients that are not judged
// have no name.
func (j *connJudge) clientName(ctx context.Context) (string, access.NameState) {
	if j.cancel == nil {
		return "", access.NoName
	}
	ctx, cancel := context.WithTimeout(ctx, j.in.cfg.Judge)
	defer cancel()
	r, ok := j.ptr.await(ctx)
	switch {
	case !ok || r.Status == iprev.TempError:
		return "", access.CannotTell
	case r.Status == iprev.Pass:
		return r.Confirmed[0], access.Resolved
	case r.Status == iprev.Fail:
		return "", access.Forged
	}
	return "", access.NoName
}

// accessRefusal is the reply of an entry: its own code and text, with our check and
// link behind it.
func (s *session) accessRefusal(e *mail.Envelope, a addr.Address, d access.Decision) *smtp.Reply {
	s.tx.access.denied = append(s.tx.access.denied, accessFinding(finding.AccessDenied, a, d))
	r := d.Reply.WithCheck(string(finding.AccessDenied), s.in.cfg.WhyURL+s.place(e, a, finding.AccessDenied).String())
	return &r
}

func accessFinding(id finding.ID, a addr.Address, d access.Decision) finding.Finding {
	return finding.Of(id, finding.Fail, a.String(), "entry", d.Key.String()+" "+d.Value.String())
}

// overrule puts what the map says of a recipient above what policy says.
func (x *txAccess) overrule(a addr.Address, v mail.Verdict) mail.Verdict {
	switch g := x.granted[a]; {
	case g.action == mail.Discard:
		return mail.Verdict{Action: mail.Discard, Check: string(finding.AccessDiscard)}
	case g.action == mail.Quarantine && v.Action < mail.Quarantine:
		v.Action, v.Check = mail.Quarantine, string(finding.AccessHeld)
	}
	return v
}

// tell writes into a trace what the map said.
func (x *txAccess) tell(r *trace.Record) {
	for _, f := range x.denied {
		r.Findings.Add(f)
	}
	if len(x.granted) == 0 {
		return
	}
	for i := range r.To {
		to := &r.To[i]
		a, err := addr.ParseAddress(to.Address)
		if err != nil || to.Reply != "" {
			continue
		}
		g := x.granted[a]
		to.Friend = g.friend
		switch g.action {
		case mail.Discard:
			r.Findings.Add(accessFinding(finding.AccessDiscard, a, g.seen))
		case mail.Quarantine:
			r.Findings.Add(accessFinding(finding.AccessHeld, a, g.seen))
		}
	}
}

// onlyDropped reports whether nothing of a message is kept.
func onlyDropped(effects []mail.Effect) bool {
	return !slices.ContainsFunc(effects, func(ef mail.Effect) bool { return ef.Kind != mail.Drop })
}
