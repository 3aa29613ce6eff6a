package arc

import (
	"strconv"
	"strings"
	"time"

	"posta/internal/dkim"
)

// Facts tells what was seen of the chain, in pairs of what and seen, in English:
// the outcome, then each set from the newest down with its seal, its message
// signature and what its sealer recorded. now is when the message came; zero leaves
// ages out. Text from the message or the DNS is printable and bounded. A message
// without a chain has no facts.
func (r *Result) Facts(now time.Time) []string {
	if r.Status == None {
		return nil
	}
	outcome := r.Status.String()
	if r.Reason != ReasonNone {
		outcome += " " + string(r.Reason)
	}
	f := []string{"ARC", outcome}
	if r.Detail != "" {
		f = append(f, "detail", r.Detail)
	}
	if r.Instance > 0 {
		f = append(f, "failed at set", strconv.Itoa(r.Instance))
	}
	switch {
	case r.OldestPass > 0:
		f = append(f, "unchanged since set", strconv.Itoa(r.OldestPass))
	case r.Status == Pass:
		f = append(f, "unchanged since set", "1")
	}
	for i := len(r.Sets) - 1; i >= 0; i-- {
		s := &r.Sets[i]
		set := "set " + strconv.Itoa(s.Instance)
		if s.Seal != nil {
			f = append(f, set+" seal", "cv="+orNone(s.Seal.ChainValidation)+", "+signature(s.Seal, now))
		}
		if s.Message != nil {
			f = append(f, set+" message signature", signature(s.Message, now))
		}
		f = append(f, set+" recorded", s.recorded())
	}
	return f
}

// signature is the facts about one signature in one line.
func signature(r *dkim.Result, now time.Time) string {
	if r.Status == dkim.None {
		return "not verified: d=" + r.SDID + " s=" + r.Selector
	}
	facts := r.Facts(now)
	var b strings.Builder
	for i := 0; i+1 < len(facts); i += 2 {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(facts[i] + " " + facts[i+1])
	}
	return b.String()
}

// recorded is what the sealer says that it saw.
func (s *Set) recorded() string {
	switch {
	case s.ResultsErr != nil:
		return s.ResultsErr.Error()
	case s.Results.ServerID == "":
		return "nothing"
	}
	text := strings.TrimPrefix(s.Results.String(), "Authentication-Results: ")
	return strings.ReplaceAll(text, "\r\n", "")
}

func orNone(cv string) string {
	if cv == "" || len(cv) > 10 {
		return "?"
	}
	return cv
}
