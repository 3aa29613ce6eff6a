package feedback

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"posta/internal/counts"
	"posta/internal/store"
)

// Sent is how many recipients got mail of a domain of ours on one day at another domain.
type Sent struct {
	Day   int32
	To    string // domain of the recipients
	Count int64
}

const keepSent = 100 * 24 * time.Hour

// SentLog counts what leaves, by day, domain and destination, so that reports can be held
// against it (package counts). Safe for concurrent use.
type SentLog struct{ counts *counts.Gatherer[int64] }

// NewSentLog makes a SentLog; Run writes down what it notes.
func NewSentLog(facts counts.Facts, log *slog.Logger) *SentLog {
	return &SentLog{counts.New(counts.Config[int64]{
		Facts: facts, Kind: store.SentMail, What: "sent mail", Log: log,
		Add: func(a, b int64) int64 { return a + b },
		Keep: func(kept store.Fact, n int64) store.Fact {
			old, _ := strconv.ParseInt(string(kept.Value), 10, 64)
			_, rest, _ := strings.Cut(kept.Key, "|")
			day, _, _ := strings.Cut(rest, "|")
			at, _ := time.Parse(time.DateOnly, day)
			return store.Fact{Key: kept.Key, Value: strconv.AppendInt(nil, old+n, 10), Until: at.Add(keepSent)}
		},
	})}
}

func sentKey(domain, day, to string) string { return domain + "|" + day + "|" + to }

// Note counts a recipient who got mail. It does not block.
func (l *SentLog) Note(at time.Time, domain, to string) {
	if domain != "" {
		l.counts.Note(sentKey(domain, at.UTC().Format(time.DateOnly), to), 1)
	}
}

// Run writes down what was noted until ctx ends, and what is left then. It returns nil.
func (l *SentLog) Run(ctx context.Context) error { return l.counts.Run(ctx) }

// Flush writes down what was noted so far.
func (l *SentLog) Flush(ctx context.Context) { l.counts.Flush(ctx) }

// maxSent bounds how many rows one SentOf reads.
const maxSent = 100_000

// SentOf tells what left in a domain's name on the last days (today is one).
func SentOf(ctx context.Context, facts store.Facts, domain string, now time.Time, days int) (out []Sent, err error) {
	first := now.UTC().AddDate(0, 0, 1-days).Format(time.DateOnly)
	after := domain + "|" + first
	for len(out) < maxSent {
		rows, err := facts.ListFacts(ctx, store.SentMail, domain+"|", after, 1000)
		if err != nil {
			return nil, err
		}
		for _, f := range rows {
			parts := strings.Split(f.Key, "|")
			n, nerr := strconv.ParseInt(string(f.Value), 10, 64)
			if len(parts) != 3 || nerr != nil {
				continue
			}
			if at, err := time.Parse(time.DateOnly, parts[1]); err == nil {
				out = append(out, Sent{int32(at.Unix() / daySeconds), parts[2], n})
			}
		}
		if len(rows) < 1000 {
			break
		}
		after = rows[len(rows)-1].Key
	}
	return out, nil
}

// answersFor reports whether a reporter answers for a domain: by its own name, or as one of
// the large ones, whose domains are known. Domains that they host are not.
func answersFor(org, domain string) bool {
	o := strings.ToLower(org)
	if o == domain || strings.HasSuffix(domain, "."+o) || strings.HasSuffix(o, "."+domain) {
		return true
	}
	host, _, _ := strings.Cut(domain, ".")
	switch {
	case o == "google.com":
		return domain == "gmail.com" || domain == "googlemail.com"
	case strings.Contains(o, "outlook"), strings.Contains(o, "microsoft"), strings.Contains(o, "hotmail"):
		return host == "outlook" || host == "hotmail" || host == "live" || host == "msn"
	case o == "yahoo", o == "yahoo! inc.", o == "aol":
		return host == "yahoo" || host == "ymail" || host == "rocketmail" || host == "aol"
	case strings.HasPrefix(o, "mail.ru"):
		return domain == "mail.ru" || domain == "inbox.ru" || domain == "bk.ru" || domain == "list.ru"
	case strings.HasPrefix(o, "fastmail"):
		return host == "fastmail"
	}
	return false
}
