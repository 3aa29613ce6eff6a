// Package daily writes the one letter a day that the people who run the house read in a
// minute (S152): what has changed since yesterday, and what waits for somebody.
//
// What there is to tell comes from sources, each of which knows one thing (lists, queue,
// quarantine, disk…); this package only asks them, writes, and sends to each owner once a day. A
// source that cannot answer is itself something to tell. With the setting "changes" a quiet
// day has no letter; with "always", the default, its subject says that all is quiet, and that no letter came
// says that nobody is there to write it.
package daily

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/jobs"
	"posta/internal/letter"
	"posta/internal/store"
	"posta/internal/words"
)

// Part is what one source has to tell, a line each, in the reader's language.
type Part struct {
	Changed []string // since the moment that was asked about
	Waiting []string // for somebody to act
	Good    []string // worth knowing, nothing to do
}

// Source tells what there is. It may block for as long as ctx lets it.
type Source func(ctx context.Context, l words.Lang, since time.Time) (Part, error)

// Named is a source and the name by which its failure is told: a key of the words below "daily.source.".
type Named struct {
	Name   string
	Source Source
}

// When says on which days there is a letter.
type When string

// The settings.
const (
	Always  When = "always"
	Changes When = "changes" // when something has changed or waits
	Off     When = "off"
)

// Config of a Writer. All but the last four are required.
type Config struct {
	Store     jobs.Adder
	Directory *directory.Directory
	Sources   []Named
	// Deposit files a letter durably; store.ErrExists if one of its id was before.
	Deposit  func(ctx context.Context, l letter.Letter) error
	Hostname string
	Node     string // name of this node, for the lease

	When     When // "" is Always
	Language func(a *store.Account) words.Lang
	Now      func() time.Time
	Log      *slog.Logger
}

const (
	hour      = 6 // of the node's day, local time
	sourceMax = 20 * time.Second
	maxLines  = 12 // of one source and kind; of more only the number is told
)

// New makes the regular work that writes the letter.
func New(cfg Config) *jobs.Regular {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Language == nil {
		cfg.Language = func(*store.Account) words.Lang { return "en" }
	}
	w := writer{cfg}
	return &jobs.Regular{
		Store: cfg.Store, Node: cfg.Node, Key: "daily", Next: nextMorning, Lease: 15 * time.Minute, Again: 10 * time.Minute, Now: cfg.Now, Log: cfg.Log, Do: w.write,
	}
}

// nextMorning is when the next letter is due.
func nextMorning(now time.Time) time.Time {
	y, m, d := now.Date()
	due := time.Date(y, m, d, hour, 0, 0, 0, now.Location())
	if !due.After(now) {
		due = time.Date(y, m, d+1, hour, 0, 0, 0, now.Location())
	}
	return due
}

type writer struct{ cfg Config }

// write writes to every owner whose language is heard of once.
func (w *writer) write(ctx context.Context) error {
	if w.cfg.When == Off {
		return nil
	}
	now := w.cfg.Now()
	texts := map[words.Lang]*digest{}
	var errs []error
	for _, acc := range owners(w.cfg.Directory.View()) {
		l := w.cfg.Language(acc)
		if texts[l] == nil {
			texts[l] = w.gather(ctx, l, now)
		}
		if d := texts[l]; w.cfg.When != Changes || !d.quiet() {
			errs = append(errs, w.send(ctx, acc, d, l, now))
		}
	}
	return errors.Join(errs...)
}

// owners are the accounts that run the house, in order of their logins.
func owners(v *directory.View) []*store.Account {
	var out []*store.Account
	for a := range v.Accounts() {
		if a.Role == store.Owner && !a.Disabled {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *store.Account) int { return strings.Compare(a.Login, b.Login) })
	return out
}

// digest is a day in one language.
type digest struct{ changed, waiting, good []string }

func (d *digest) quiet() bool { return len(d.changed)+len(d.waiting) == 0 }

// gather asks all sources about the last day.
func (w *writer) gather(ctx context.Context, l words.Lang, now time.Time) *digest {
	d := &digest{}
	for _, s := range w.cfg.Sources {
		sctx, cancel := context.WithTimeout(ctx, sourceMax)
		p, err := s.Source(sctx, l, now.Add(-24*time.Hour))
		cancel()
		if err != nil {
			w.cfg.Log.WarnContext(ctx, "the daily letter lacks a part", "source", s.Name, "err", err)
			d.waiting = append(d.waiting, l.Say("daily.lacks", l.Say("daily.source."+s.Name), err))
			continue
		}
		d.changed = append(d.changed, short(l, p.Changed)...)
		d.waiting = append(d.waiting, short(l, p.Waiting)...)
		d.good = append(d.good, short(l, p.Good)...)
	}
	return d
}

// short keeps the first lines, and says how many more there are.
func short(l words.Lang, lines []string) []string {
	if more := len(lines) - maxLines; more > 0 {
		return append(lines[:maxLines:maxLines], l.Say("daily.more", more))
	}
	return lines
}

func (w *writer) send(ctx context.Context, acc *store.Account, d *digest, l words.Lang, now time.Time) error {
	to, err := addr.ParseAddress(acc.Login)
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "no daily letter for an account", "account", acc.Login, "err", err)
		return nil
	}
	subject := l.Say("daily.subject", w.cfg.Hostname, len(d.changed), len(d.waiting))
	if d.quiet() {
		subject = l.Say("daily.subject.quiet", w.cfg.Hostname)
	}
	// One letter a day, though a run that failed for one reader is repeated. The hash of the password keeps
	// the id from being guessed.
	id := letter.IDOf(now.Truncate(24*time.Hour), fmt.Sprint("daily ", acc.ID, " ", now.Format(time.DateOnly), " ", acc.Password))
	err = w.cfg.Deposit(ctx, letter.New(w.cfg.Hostname, now, id, to, subject, d.text(l)))
	switch {
	case errors.Is(err, store.ErrExists):
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid): // the account is gone by now
		w.cfg.Log.WarnContext(ctx, "daily letter not filed", "to", acc.Login, "err", err)
		return nil
	}
	return err
}

// text is the letter, in the order in which one reads it.
func (d *digest) text(l words.Lang) string {
	var b strings.Builder
	block := func(key string, lines []string) {
		if len(lines) == 0 {
			return
		}
		b.WriteString(l.Say(key) + "\n\n")
		for _, line := range lines {
			b.WriteString("  - " + clean(line) + "\n")
		}
		b.WriteString("\n")
	}
	block("daily.waiting", d.waiting)
	block("daily.changed", d.changed)
	block("daily.good", d.good)
	if d.quiet() {
		b.WriteString(l.Say("daily.quiet") + "\n\n")
	}
	b.WriteString(l.Say("daily.outro") + "\n")
	return b.String()
}

// clean makes one line of what may hold a stranger's words.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}
