package intake

import (
	"context"
	"strconv"
	"sync"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
)

// heldRoom knows about how much the quarantine holds. What is held counts for no
// quota, and much of it goes only when somebody has looked, so without a bound
// strangers could fill the disk (DESIGN §5.7).
type heldRoom struct {
	mu     sync.Mutex
	octets int64
	until  time.Time // when the store is asked again
}

// heldFresh is how long the store's answer serves; other nodes hold too.
const heldFresh = time.Minute

// used is how many octets are held. It may wait for the store.
func (r *heldRoom) used(ctx context.Context, st Store, now time.Time) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.until) {
		return r.octets, nil
	}
	stats, err := st.HeldStats(ctx)
	if err != nil {
		return 0, err
	}
	r.octets, r.until = 0, now.Add(heldFresh)
	for _, s := range stats {
		r.octets += s.Octets
	}
	return r.octets, nil
}

// add counts what was held since.
func (r *heldRoom) add(octets int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.octets += octets
}

// roomToHold puts a message off for which there is no room in the quarantine; the
// sender's server keeps it meanwhile. Over SMTP one reply is for all recipients: when
// another one takes the message, or drops it, it is held as ever.
func (k *sink) roomToHold(ctx context.Context, verdicts []mail.Verdict, set *finding.Set) {
	held := 0
	for _, v := range verdicts {
		switch {
		case v.Action == mail.Quarantine:
			held++
		case v.Action < mail.Defer && k.env.Client.Door != mail.LMTP:
			return
		}
	}
	if held == 0 {
		return
	}
	in := k.s.in
	used, err := in.held.used(ctx, in.store, in.cfg.Now())
	room := k.tx.policy.Quarantine.Room()
	if err != nil || used+int64(held)*k.spool.size <= room {
		return // a store that does not answer will not take the message either
	}
	set.Add(finding.Of(finding.QuarantineFull, finding.Fail, "", "held", strconv.FormatInt(used, 10), "bound", strconv.FormatInt(room, 10)))
	for i := range verdicts {
		if verdicts[i].Action == mail.Quarantine {
			verdicts[i] = mail.Verdict{Action: mail.Defer, Check: string(finding.QuarantineFull)}
		}
	}
}
