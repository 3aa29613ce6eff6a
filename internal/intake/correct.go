package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/reputation"
	"posta/internal/spam/tally"
	"posta/internal/store"
	"posta/internal/trace"
)

// Correct counts an accepted message anew for its sender's standing, since a reader
// said that it was spam, or wanted: is. was is what readers had said before, None that
// nobody had: then what became of it when it was accepted was counted. A message of
// which there is no trace any more, or that was no stranger's, has no standing to be
// corrected. It blocks on the store.
func (in *Intake) Correct(ctx context.Context, id mail.ID, was, is tally.Label) error {
	if in.cfg.Memory == nil {
		return nil
	}
	st, err := in.store.Trace(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil {
		return fmt.Errorf("trace %s: %w", id, err)
	}
	who, ok := senderOf(rec)
	if !ok {
		return nil
	}
	from, counted := fateOf(rec)
	if was != tally.None {
		from, counted = fateSaid(was), true
	}
	switch to := fateSaid(is); {
	case !counted:
		in.cfg.Memory.Record(who, to)
	case from != to:
		in.cfg.Memory.Correct(who, from, to)
	}
	return nil
}

// fateSaid is a reader's word as a fate.
func fateSaid(l tally.Label) reputation.Fate {
	if l == tally.Spam {
		return reputation.Junk
	}
	return reputation.Wanted
}

// senderOf is the sender whose standing a recorded message counted for, as remember
// counted it; false where it counted for none.
func senderOf(rec *trace.Record) (reputation.Sender, bool) {
	class, known := mail.ParseClass(rec.Class)
	ip, err := netip.ParseAddr(rec.IP)
	if !known || err != nil || rec.Stage != trace.Accepted || rec.Door != mail.MX.String() {
		return reputation.Sender{}, false
	}
	from, err := addr.ParseAddress(rec.From)
	if err != nil {
		return reputation.Sender{}, false
	}
	if _, ok := reputation.AsStranger(&mail.Client{Door: mail.MX, Class: class, IP: ip}, from); !ok {
		return reputation.Sender{}, false
	}
	return reputation.Sender{Domain: from.Domain, IP: ip, Proven: rec.Proven}, true
}

// fateOf is what rememberVerdicts made of a recorded message; false where the memory
// itself had decided and nothing was counted.
func fateOf(rec *trace.Record) (reputation.Fate, bool) {
	best, check := mail.Reject, ""
	for _, to := range rec.To {
		if a, ok := mail.ParseAction(to.Action); ok && a < best {
			best, check = a, to.Check
		}
	}
	return fates[best], finding.ID(check) != finding.ReputationBad
}
