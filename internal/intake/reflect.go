package intake

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/dkim"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/message/charset"
	"posta/internal/ratelimit"
	"posta/internal/reflector"
	"posta/internal/smtp"
	"posta/internal/spf"
	"posta/internal/store"
	"posta/internal/trace"
)

// The reflector, check-auth@: a message to it is judged as any, refused for a loop
// or a virus only, and answered with what was found. The answer takes the place of
// the message in the accept transaction: it is durable before the client reads 250,
// a repeat (RFC 1047) gets no second one, and nothing of the message is kept but its
// trace.
//
// It makes no backscatter (DESIGN §5.6): who is not proved to be the sender is
// refused in the session, and reads what was found on the page behind the reply's
// link.

// alone keeps mail to the reflector apart: its answer is not that of others, so one
// transaction has it alone (RFC 5321 §4.5.3.1.10 has the client try the rest again).
func (s *session) alone(e *mail.Envelope, where filing.Answer) *smtp.Reply {
	if len(e.Recipients) == 0 {
		return nil
	}
	if where != filing.Reflector && !s.tx.view.Reflects(e.Recipients[0].Address) {
		return nil
	}
	r := smtp.New(452, "4.5.3", "The address that tests mail takes a message of its own")
	return &r
}

// reflects reports whether the message is for the reflector. What the administrator
// has dropped is dropped there too.
func (k *sink) reflects(verdicts []mail.Verdict) bool {
	return len(verdicts) == 1 && verdicts[0].Action != mail.Discard && k.tx.view.Reflects(k.env.Recipients[0].Address)
}

// reflect answers the message, or says why not.
func (k *sink) reflect(ctx context.Context, f *facts, sum [32]byte, asked mail.Action, rec *trace.Record) []smtp.Reply {
	defer k.s.endTransaction(ctx)
	in, e := k.s.in, k.env
	rec.To[0].Friend = true // no policy would refuse it: for the dry run
	keys := confirmKeys(e, sum)
	repeated, err := in.store.Repeated(ctx, keys)
	if err != nil {
		return k.answer(k.putOff(rec, err))
	}
	done := smtp.New(250, "2.0.0", "Ok: answered as "+e.ID.String())
	if repeated[0] {
		in.counts.Repeated.Add(1)
		return k.answer(done)
	}
	if no := k.unanswered(f, rec); no != nil {
		return k.answer(*no)
	}
	text := k.report(f, asked).Message()
	a := &store.Accept{ID: e.ID, Confirm: keys, Unread: in.cfg.Shared}
	own := &mail.Envelope{
		ID: e.ID, UTF8: !isASCII(e.ReversePath.String()),
		Client:     mail.Client{Door: mail.Internal, Class: mail.Authenticated, HELO: in.cfg.Hostname},
		Recipients: []mail.Recipient{{Address: e.ReversePath, Notify: mail.NotifyNever}},
	}
	if _, err = in.write(a, own, text, &rec.To[0]); err == nil {
		rec.Stage, rec.Reply, rec.Replied = trace.Accepted, done.String(), in.cfg.Now()
		t := rec.Encode()
		a.Trace = &t
		_, err = in.commit(ctx, a, blob.Bytes(text))
	}
	if err != nil {
		in.counts.Failed.Add(1)
		in.cfg.Log.ErrorContext(ctx, "answer not kept", "id", e.ID.String(), "err", err)
		return k.answer(k.putOff(rec, err))
	}
	in.counts.Accepted.Add(1)
	in.counts.Octets.Add(k.spool.size)
	k.s.last = &accepted{e.ID, keys}
	return k.answer(done)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// unanswered is the refusal of a message that gets no answer, with its record; nil
// if it gets one.
func (k *sink) unanswered(f *facts, rec *trace.Record) *smtp.Reply {
	e := k.env
	check, code, seen := finding.ID(""), 550, ""
	switch proof, unverified := k.proof(f); {
	case e.ReversePath.IsZero():
		check, seen = finding.ReflectAutomatic, "MAIL FROM:<>"
	case k.tx.view.Reflects(e.ReversePath):
		check, seen = finding.ReflectAutomatic, "MAIL FROM:<"+e.ReversePath.String()+">"
	case reflector.Automatic(f.header) != "":
		check, seen = finding.ReflectAutomatic, reflector.Automatic(f.header)
	case proof == "" && unverified:
		check, code = finding.ReflectUnproven, 451
	case proof == "":
		check, seen = finding.ReflectUnproven, "SPF "+k.tx.judge.spfSeen.Status.String()+" for "+string(e.ReversePath.Domain)
	default:
		if check = k.s.in.asked.take(e, k.s.in.cfg.Now()); check == "" {
			return nil
		}
		code = 451
	}
	outcome := finding.Fail
	if check == finding.ReflectUnproven && code == 451 {
		outcome = finding.Unverified
	}
	found := finding.Of(check, outcome, e.ReversePath.String())
	if seen != "" {
		found.Evidence = []finding.Fact{{What: "seen", Seen: seen}}
	}
	rec.Findings.Add(found)
	return k.refuse(rec, check, code)
}

// refuse records that the message was refused as a whole by a check, and gives the
// reply.
func (k *sink) refuse(rec *trace.Record, check finding.ID, code int) *smtp.Reply {
	in, e := k.s.in, k.env
	reply := in.refusal(k.s.place(e, addr.Address{}, check), check, code, "", "")
	rec.Stage, rec.Reply, rec.Replied = trace.AtData, reply.String(), in.cfg.Now()
	rec.To[0].Action, rec.To[0].Check = actionOf(reply), string(check)
	in.counts.refused(reply.Check)
	if k.tx.placed == e.ID {
		in.store.KeepRefused(rec.Encode())
	}
	return reply
}

// proof tells what proves that the reverse-path wrote the message: a login, SPF, or
// a signature of its domain or of one above it. "" is nothing; unverified says that
// it may be proved when DNS answers.
func (k *sink) proof(f *facts) (proof string, unverified bool) {
	from := k.env.ReversePath.Domain
	class := k.env.Client.Class
	if class == mail.Authenticated || class == mail.LocalNetwork && k.tx.view.Local(from) {
		return "login", false
	}
	seen := &k.tx.judge.spfSeen
	// A record that lets everybody pass proves nothing.
	if seen.Status == spf.Pass && k.tx.set.Outcome(finding.SPFBroad) != finding.Fail {
		return "spf", false
	}
	unverified = seen.Status == spf.TempError
	for _, r := range f.dkim {
		if !within(string(from), r.SDID) {
			continue
		}
		if r.Status == dkim.Pass {
			return "dkim", false
		}
		unverified = unverified || r.Status == dkim.TempError
	}
	return "", unverified
}

// within reports whether a domain is another or below it.
func within(domain, parent string) bool {
	domain, parent = strings.ToLower(domain), strings.ToLower(parent)
	return parent != "" && (domain == parent || strings.HasSuffix(domain, "."+parent))
}

// report gathers what the answer tells.
func (k *sink) report(f *facts, asked mail.Action) *reflector.Report {
	in, e := k.s.in, k.env
	var random [16]byte
	rand.Read(random[:]) // never fails since Go 1.24
	ordinary := k.tx.policyFacts(addr.Address{}, asked)
	ordinary.Postmaster, ordinary.Friend = false, false
	subject := charset.DecodeHeader(f.tree.Envelope.Subject)
	return &reflector.Report{
		Host: in.cfg.Hostname, From: e.Recipients[0].Address, To: e.ReversePath, Date: in.cfg.Now(),
		MessageID: message.NewMessageID(random[:], addr.Domain(in.cfg.Hostname)), ID: e.ID, Why: in.cfg.WhyURL,
		Client: e.Client, PTR: k.s.judge.name(), Author: f.author, Subject: subject, InReplyTo: f.tree.Envelope.MessageID,
		Judged: k.tx.judge.cancel != nil, Results: k.tx.judge.results, Findings: k.tx.set,
		Level: k.tx.policy.Level.String(), Verdict: k.tx.policy.Fold(k.tx.set, ordinary),
		Languages: reflector.Languages(f.header, subject),
	}
}

// How often the reflector answers: a sender, a network, and all together.
var (
	ofSender    = ratelimit.Limit{Count: 20, Period: time.Hour, Burst: 10}
	ofNetwork   = ratelimit.Limit{Count: 60, Period: time.Hour, Burst: 30}
	ofEverybody = ratelimit.Limit{Count: 1000, Period: time.Hour, Burst: 200}
)

// maxAskers bounds the senders, and the networks, that are remembered.
const maxAskers = 4096

// reflections counts answers. It is safe for concurrent use.
type reflections struct {
	senders  *ratelimit.Table[string]
	networks *ratelimit.Table[string]

	mu  sync.Mutex
	all ratelimit.State
}

func newReflections() *reflections {
	return &reflections{senders: ratelimit.NewTable[string](ofSender, maxAskers), networks: ratelimit.NewTable[string](ofNetwork, maxAskers)}
}

// take counts one answer; the check of the limit that it would break, "" for none.
// Our own people are counted by sender alone.
func (r *reflections) take(e *mail.Envelope, now time.Time) finding.ID {
	if !r.senders.Take(e.ReversePath.Fold().String(), now, 1).Allowed {
		return finding.RateSender
	}
	if e.Client.Class >= mail.LocalNetwork {
		return ""
	}
	if !r.networks.Take(ratelimit.Network(e.Client.IP).String(), now, 1).Allowed {
		return finding.RateClient
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var d ratelimit.Decision
	if r.all, d = ofEverybody.Take(r.all, now, 1); !d.Allowed {
		return finding.SystemBusy
	}
	return ""
}
