package reportout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/store"
)

// Keys of facts about whom reports go to.
const (
	noKey   = "no/"   // + address: it refused, and nothing is sent there for a while
	sentKey = "sent/" // + day/kind/domain: what became of a report
	toKey   = "to/"   // + address: it was sent a report lately
)

const (
	pause     = 30 * 24 * time.Hour // for an address that refused
	sentFor   = 30 * 24 * time.Hour
	bounceFor = 10 * 24 * time.Hour // the queue's five days, and some
)

// Setting is the directory's setting that holds whom the administrator suppresses.
const Setting = "reports.suppressed"

// MaxSuppressed bounds that list.
const MaxSuppressed = 1000

// Suppressed is an address, a domain or an https URL that gets no reports.
type Suppressed struct {
	Target string    `json:"target"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"` // who said so; "" is Posta itself, after a refusal
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: for ever
}

// ErrTarget says that a target is none.
var ErrTarget = errors.New("neither an address, a domain, nor an https URL")

// normal is a target as keys have it.
func normal(t string) (string, error) {
	t = strings.TrimPrefix(t, "mailto:")
	if strings.HasPrefix(t, "https://") {
		return t, nil
	}
	if a, err := addr.ParseAddress(t); err == nil {
		return a.Fold().String(), nil
	}
	d, err := addr.ParseDomain(t)
	if err != nil || len(noKey)+len(d) > store.MaxFactKey {
		return "", ErrTarget
	}
	return string(d), nil
}

// Suppressions reads the setting; one that cannot be read is an empty list.
func Suppressions(setting string) []Suppressed {
	var list []Suppressed
	if json.Unmarshal([]byte(setting), &list) != nil {
		return nil
	}
	return list
}

// Suppress adds to a setting, in place of an earlier entry about the same.
func Suppress(setting string, s Suppressed) (string, error) {
	s.Reason, s.By = text(s.Reason, 300), text(s.By, 100)
	setting, _, err := Unsuppress(setting, s.Target)
	if err != nil {
		return "", err
	}
	list := Suppressions(setting)
	if len(list) >= MaxSuppressed {
		return "", fmt.Errorf("at most %d addresses and domains are suppressed", MaxSuppressed)
	}
	s.Target, _ = normal(s.Target) // Unsuppress has read it
	b, err := json.Marshal(append(list, s))
	return string(b), err
}

// Unsuppress takes out of a setting; was tells whether there was anything to take.
func Unsuppress(setting, target string) (changed string, was bool, err error) {
	if target, err = normal(target); err != nil {
		return "", false, err
	}
	list := Suppressions(setting)
	left := slices.DeleteFunc(list, func(s Suppressed) bool { return s.Target == target })
	b, err := json.Marshal(left)
	return string(b), len(left) < len(list), err
}

// Pausing lists the addresses that refused a report lately, at most 1,000.
func Pausing(ctx context.Context, facts Facts) ([]Suppressed, error) {
	return listed[Suppressed](ctx, facts, noKey)
}

// Resume forgets that an address refused; was tells whether it had.
func Resume(ctx context.Context, facts Facts, target string) (was bool, err error) {
	if target, err = normal(target); err != nil {
		return false, err
	}
	err = facts.ChangeFacts(ctx, store.ReportTo, []string{noKey + target}, func(f store.Fact) store.Fact {
		was = !f.Until.IsZero()
		return store.Fact{Key: f.Key}
	})
	return was, err
}

// Sent is what became of one report.
type Sent struct {
	Kind   string    `json:"kind"` // "dmarc" or "tls"
	Domain string    `json:"domain"`
	Day    string    `json:"day"` // UTC, "20260302"
	At     time.Time `json:"at"`
	To     []string  `json:"to,omitempty"`  // none: nobody was told
	Why    string    `json:"why,omitempty"` // of those who were not told, in English

	later error // nothing was sent, and it may be another time
}

// ListSent lists what became of the reports of the last thirty days, at most 1,000, by day.
func ListSent(ctx context.Context, facts Facts) ([]Sent, error) {
	return listed[Sent](ctx, facts, sentKey)
}

// Unsent lists the reports of the last days of which nobody was told, since a moment: why
// says so. It reads at most 1,000.
func Unsent(ctx context.Context, facts Facts, since time.Time) ([]Sent, error) {
	const tried = 7 * 24 * time.Hour // a day's report may be tried for some days more
	first := sentKey + day(since.Add(-tried))
	list, err := facts.ListFacts(ctx, store.ReportTo, sentKey, first, 1000)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(decoded[Sent](list), func(s Sent) bool {
		return len(s.To) > 0 || s.Why == "" || s.At.Before(since)
	}), nil
}

func listed[T any](ctx context.Context, facts Facts, prefix string) ([]T, error) {
	list, err := facts.ListFacts(ctx, store.ReportTo, prefix, "", 1000)
	if err != nil {
		return nil, err
	}
	return decoded[T](list), nil
}

// decoded reads facts; one that cannot be read is left out.
func decoded[T any](list []store.Fact) []T {
	out := make([]T, 0, len(list))
	for _, f := range list {
		var v T
		if json.Unmarshal(f.Value, &v) == nil {
			out = append(out, v)
		}
	}
	return out
}

// suppressed says why a target is not told; nil: it is.
func (r *Reporter) suppressed(ctx context.Context, t target) error {
	names := []string{t.https}
	if t.https == "" {
		names = []string{t.mail.Fold().String(), string(t.mail.Domain)}
	}
	for _, s := range Suppressions(r.cfg.Suppressed()) {
		if slices.Contains(names, s.Target) {
			return fmt.Errorf("%s is suppressed", s.Target)
		}
	}
	facts, err := r.cfg.Facts.FactsOf(ctx, store.ReportTo, noKey+names[0])
	if err != nil {
		return err
	}
	if !facts[0].Until.IsZero() {
		return fmt.Errorf("%s refused a report lately", names[0])
	}
	return nil
}

// Refused tells that mail from the null reverse-path was refused for good. If it was a
// report, its address is left alone for a while. It does not block.
func (r *Reporter) Refused(address, reply string) {
	select {
	case r.refusals <- refusal{address, reply}:
	default: // the next day's report is refused again
	}
}

type refusal struct{ address, reply string }

// refused suppresses the address of a report that was refused.
func (r *Reporter) refused(ctx context.Context, x refusal) error {
	a, err := addr.ParseAddress(x.address)
	if err != nil {
		return nil
	}
	key := toKey + a.Fold().String()
	facts, err := r.cfg.Facts.FactsOf(ctx, store.ReportTo, key)
	if err != nil || facts[0].Until.IsZero() {
		return err // it was something else
	}
	now := r.cfg.Now()
	r.cfg.Log.InfoContext(ctx, "an address refuses reports", "address", x.address, "reply", x.reply)
	value, err := json.Marshal(Suppressed{Target: a.Fold().String(), Reason: text("refused: "+x.reply, 300), At: now, Until: now.Add(pause)})
	if err != nil {
		return err
	}
	return r.cfg.Facts.ChangeFacts(ctx, store.ReportTo, []string{noKey + a.Fold().String()}, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: value, Until: now.Add(pause)}
	})
}
