package command

import (
	"context"
	"strconv"

	"posta/internal/finding"
	"posta/internal/mailbox"
	"posta/internal/policy"
	"posta/internal/spam"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally"
	"posta/internal/store"
)

// SpamModel is what a model of the spam filter has learned.
type SpamModel struct {
	Account  string `json:"account,omitempty"` // login; "" is the model that all share
	Spam     uint32 `json:"spam"`              // messages
	Ham      uint32 `json:"ham"`
	Features int    `json:"features"`
	Ready    bool   `json:"ready"` // it, with the shared one, has learned enough to judge
}

// SpamOf names a model by the login of its account; "" is the shared one.
type SpamOf struct {
	Account string `json:"account,omitempty"`
}

// SpamLesson is the argument of spam.train: messages of one kind, at most some
// hundred.
type SpamLesson struct {
	Account  string        `json:"account,omitempty"`
	Spam     bool          `json:"spam"`
	Messages []SpamMessage `json:"messages"`
}

// SpamMessage is what of a message can be learned.
type SpamMessage struct {
	ID       uint64 `json:"id,string"` // learn.ID
	Features []byte `json:"features"`  // as learn.Features marshals itself
}

// SpamTrained is the result of spam.train.
type SpamTrained struct {
	Learned int `json:"learned"`
	Known   int `json:"known"` // that had been learned as this kind already
}

// SpamQuestion is the argument of spam.explain: what reading a message showed.
type SpamQuestion struct {
	Account  string            `json:"account,omitempty"`
	Features []byte            `json:"features"`
	Findings []finding.Finding `json:"findings"`
	Facts    spam.Facts        `json:"facts"`
}

// SpamAnswer explains the score that a message's content has.
type SpamAnswer struct {
	spam.Score
	Junk    float64        `json:"junk"` // the thresholds of the policy
	High    float64        `json:"high"`
	Verdict string         `json:"verdict"` // the learner's: "spam", "ham", "unsure"
	Trained tally.Count    `json:"trained"` // messages behind it
	Words   []learn.Reason `json:"words"`   // what told most
}

var spamCommands = []Command{
	run("spam.show", store.Helpdesk, showSpam),
	run("spam.train", store.Owner, trainSpam),
	run("spam.reset", store.Owner, resetSpam),
	run("spam.explain", store.Helpdesk, explainSpam),
}

// model is the model of an account.
func (h *House) model(login string) (tally.Model, error) {
	if h.Spam == nil {
		return "", fail(ErrUsage, "error.spam.none")
	}
	if login == "" {
		return tally.Shared, nil
	}
	a := h.Directory.View().ByLogin(login)
	if a == nil {
		return "", fail(ErrMissing, "error.account.missing", login)
	}
	return tally.Account(int64(a.ID)), nil
}

func showSpam(ctx context.Context, h *House, _ Principal, a SpamOf) (any, error) {
	want, err := h.model(a.Account)
	if err != nil {
		return nil, err
	}
	out := []SpamModel{}
	var infos []tally.Info
	err = h.Spam.Models(ctx, func(i tally.Info) bool {
		if a.Account == "" || i.Model == want {
			infos = append(infos, i)
		}
		return true
	})
	if len(infos) == 0 || a.Account == "" && infos[0].Model != tally.Shared {
		infos = append([]tally.Info{{Model: want}}, infos...)
	}
	for _, i := range infos {
		if err != nil {
			break
		}
		m := SpamModel{Account: h.loginOf(i.Model), Spam: i.Messages.Spam, Ham: i.Messages.Ham, Features: i.Features}
		m.Ready, _, err = h.Spam.Ready(ctx, i.Model)
		out = append(out, m)
	}
	return out, err
}

// loginOf is the account of a model, or its number where that is gone.
func (h *House) loginOf(m tally.Model) string {
	id, err := strconv.ParseInt(string(m), 10, 64)
	if err != nil {
		return string(m)
	}
	if a := h.Directory.View().Account(mailbox.AccountID(id)); a != nil {
		return a.Login
	}
	return string(m)
}

func trainSpam(ctx context.Context, h *House, p Principal, a SpamLesson) (any, error) {
	m, err := h.model(a.Account)
	if err != nil {
		return nil, err
	}
	n, err := h.Spam.Import(ctx, m, func(yield func(learn.Sample, error) bool) {
		for _, x := range a.Messages {
			s := learn.Sample{Spam: a.Spam, ID: x.ID}
			if err := s.Features.UnmarshalBinary(x.Features); err != nil {
				yield(s, fail(ErrUsage, "error.arguments", "spam.train", err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	out := SpamTrained{Learned: int(n.Total())}
	out.Known = len(a.Messages) - out.Learned
	type learned struct {
		Spam, Ham uint32
	}
	return out, h.change(ctx, p, "spam.train", a.Account, func(store.DirectoryTx, *store.DirectoryView) (any, any, error) {
		return nil, learned{n.Spam, n.Ham}, nil
	})
}

func resetSpam(ctx context.Context, h *House, p Principal, a SpamOf) (any, error) {
	m, err := h.model(a.Account)
	if err != nil {
		return nil, err
	}
	was, err := h.Spam.Counts(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := h.Spam.Reset(ctx, m); err != nil {
		return nil, err
	}
	return SpamModel{Account: a.Account, Spam: was.Spam, Ham: was.Ham},
		h.change(ctx, p, "spam.reset", a.Account, func(store.DirectoryTx, *store.DirectoryView) (any, any, error) {
			return was, nil, nil
		})
}

func explainSpam(ctx context.Context, h *House, _ Principal, a SpamQuestion) (any, error) {
	m, err := h.model(a.Account)
	if err != nil {
		return nil, err
	}
	var f learn.Features
	if err := f.UnmarshalBinary(a.Features); err != nil {
		return nil, fail(ErrUsage, "error.arguments", "spam.explain", err)
	}
	o, err := h.Spam.Judge(ctx, m, f)
	if err != nil {
		return nil, err
	}
	var set finding.Set
	for _, found := range a.Findings {
		set.Add(found)
	}
	p, err := h.currentPolicy()
	if err != nil {
		p = policy.Profile(policy.Strict)
	}
	return SpamAnswer{
		Score: spam.Judge(&set, o, a.Facts), Junk: p.Spam.JunkAt(), High: p.Spam.HighAt(),
		Verdict: o.Verdict.String(), Trained: o.Trained, Words: o.Reasons,
	}, nil
}
