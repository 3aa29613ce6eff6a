package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"posta/internal/addr"
	"posta/internal/arc"
	"posta/internal/dkim"
	"posta/internal/dmarc"
	"posta/internal/durable"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/smtp"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// sink takes the bytes of one message while they arrive: it keeps them, hashes
// them, parses their structure and computes the body hashes of their signatures
// in one pass.
type sink struct {
	s      *session
	tx     *transaction
	env    *mail.Envelope
	spool  *spool
	parser *message.Parser

	received int64 // octets that came, once all have
	replaced bool  // the spool's bytes are no longer those received
	again    bool  // the client repeats what we have for some of its recipients

	end3     [3]byte // the last octets of the header so far
	header   int     // where the body begins, -1 until the header has ended
	verifier *dkim.Verifier
	chain    *arc.Verifier       // beside the verifier
	cancel   context.CancelFunc  // of the verifier's look-ups
	own      [][]finding.Finding // the score's, of recipients for whom it is another; nil: of none
	to       []reputation.Party  // see parties; nil: not looked up yet
}

// Data implements smtpserver.Session.
func (s *session) Data(ctx context.Context, e *mail.Envelope) (smtpserver.Sink, *smtp.Reply) {
	return &sink{
		s: s, tx: s.tx, env: e, spool: s.in.spools.open(e.Size),
		parser: message.NewParser(message.Budget{}), header: -1, end3: [3]byte{0, '\r', '\n'},
	}, nil
}

// Write takes the next bytes. An error is the disk's, with its reply.
func (k *sink) Write(p []byte) (int, error) {
	from := k.spool.size
	if _, err := k.spool.Write(p); err != nil {
		if durable.IsFull(err) {
			err = errors.Join(store.ErrFull, err)
		}
		k.s.in.cfg.Log.Error("spool", "err", err)
		return 0, k.s.in.storeReply(mail.ID{}, err)
	}
	k.parser.Write(p)
	switch {
	case k.verifier != nil:
		k.verifier.Write(p)
	case k.header < 0 && from <= maxHeader:
		k.findHeader(p, int(from))
	}
	return len(p), nil
}

var endOfHeader = []byte("\r\n\r\n")

// findHeader looks for the end of the header in what has just arrived, and begins to
// verify the signatures when it is there. from is where the new bytes begin.
func (k *sink) findHeader(p []byte, from int) {
	seam := append(k.end3[:], p[:min(len(p), len(k.end3))]...)
	n := bytes.Index(seam, endOfHeader)
	if n >= 0 {
		n -= len(k.end3)
	} else if n = bytes.Index(p, endOfHeader); n < 0 {
		copy(k.end3[:], seam[len(seam)-len(k.end3):])
		if len(p) > len(k.end3) {
			copy(k.end3[:], p[len(p)-len(k.end3):])
		}
		return
	}
	n += len(endOfHeader)
	k.header = from + n
	k.verify(p[n:])
}

// verify begins to verify signatures and chain. body is what has arrived of it.
func (k *sink) verify(body []byte) {
	if k.env.Client.Class == mail.Authenticated {
		return
	}
	if k.header > maxHeader {
		return // it is refused
	}
	// The header is read into memory of its own: the spool's may move while keys are
	// awaited.
	h, err := readRange(k.spool.body(), 0, int64(k.header))
	if err != nil {
		k.s.in.cfg.Log.Error("spool", "err", err)
		return // read meets the error again, and answers
	}
	v := dkim.NewVerifier(h, dkim.VerifyOptions{Lookup: k.s.in.lookupTXT, Keys: k.s.in.keys, Now: k.s.in.cfg.Now()})
	chain := arc.NewVerifier(v)
	if v.Signatures() == 0 && !chain.Present() {
		return
	}
	var ctx context.Context
	ctx, k.cancel = context.WithTimeout(context.Background(), k.s.in.cfg.Judge)
	v.Start(ctx)
	v.Write(body)
	k.verifier, k.chain = v, chain
}

// Abort forgets the message.
func (k *sink) Abort() {
	k.end()
	k.s.tx = k.tx
}

// end gives back what the message held.
func (k *sink) end() {
	if k.verifier != nil {
		k.verifier.Close()
		k.cancel()
	}
	k.spool.free()
}

// facts are what intake reads out of a message.
type facts struct {
	header  message.Header
	inSpool int64 // octets at the start of the spool that header stands for
	tree    *message.Part
	hops    int
	from    []string // domains of the From field, "" for an address without one
	author  string   // for the trace
	list    bulkFields
	dkim    []dkim.Result
	arc     arc.Result
	dmarc   *dmarc.Result // nil: it was not judged
	defects message.Defects
	// override tells why a failure of DMARC does not count; nil: it does, or there is
	// none.
	override *trace.Override
	chain    *trace.Chain // for a dry run, see trace.Record.Chain

	complete  bool   // the fields below are made
	missing   []byte // what is put above header: fields that were missing, an empty line
	rewritten bool   // header is not what the spool has in its place
	renamed   bool   // and has other addresses than what came
}

// maxAuthors bounds the From addresses that are looked at.
const maxAuthors = 50

// read gathers the facts. The header is what lies before the body, or, for what
// has no empty line, the part that is one.
func (k *sink) read(ctx context.Context) (*facts, error) {
	tree, err := k.parser.Close()
	if err != nil {
		return nil, err
	}
	n := tree.Body
	if k.header >= 0 {
		n = int64(k.header)
	}
	if n > maxHeader {
		return nil, errHeader
	}
	head, err := readRange(k.spool.body(), 0, n)
	if err != nil {
		return nil, err
	}
	k.received = k.spool.size
	f := &facts{header: head, inSpool: n, tree: tree}
	f.defects = message.Inspect(f.header) | tree.Defects
	for fd := range f.header.Fields() {
		f.note(fd)
	}
	f.readAuthors()
	if k.verifier != nil {
		f.dkim = k.verifier.Finish(ctx)
		f.arc = k.chain.Finish()
	}
	return f, nil
}

// readAuthors takes the domains of every From field, for DMARC (RFC 9989
// §5.3.1).
func (f *facts) readAuthors() {
	for fd := range f.header.All("From") {
		entries, _ := addr.ParseList(fd.Value(), maxAuthors)
		for _, e := range entries {
			a, err := e.Address()
			if err != nil {
				f.from = append(f.from, "")
				continue
			}
			f.from = append(f.from, string(a.Domain))
			if f.author != "" {
				f.author += ", "
			}
			f.author += a.String()
		}
	}
}

func readRange(r io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if m, err := r.ReadAt(b, off); int64(m) < n {
		return nil, err
	}
	return b, nil
}

// lookupTXT adapts the resolver to the evaluators that ask for text only.
func (in *Intake) lookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	r, err := in.dns.LookupTXT(ctx, name)
	if err != nil {
		if !resolver.Temporary(err) {
			return nil, false, nil // a name that cannot exist has no records
		}
		return nil, false, err
	}
	return r.Records, len(r.Records) > 0, nil
}

// date is the Date field's time, zero if it cannot be read.
func (f *facts) date() time.Time {
	t, err := message.ParseDate(f.tree.Envelope.Date)
	if err != nil {
		return time.Time{}
	}
	return t
}
