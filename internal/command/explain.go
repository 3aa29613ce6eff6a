package command

import (
	"context"

	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/store"
)

// Question is a message, or the beginning of one, whose way is to be explained.
// Everything may be left out: without To it is about the sender, without Message it
// ends at RCPT.
type Question struct {
	IP      string   `json:"ip,omitempty"`    // of the client; "" is one that is not judged
	HELO    string   `json:"helo,omitempty"`  // what it greets with; "" is its address
	Login   string   `json:"login,omitempty"` // an account of ours that has logged in
	Clear   bool     `json:"clear,omitempty"` // without TLS
	From    string   `json:"from"`            // reverse-path, "" is the null one
	To      []string `json:"to,omitempty"`
	Message []byte   `json:"message,omitempty"` // with CRLF, at most MaxExplained octets
}

// MaxExplained bounds the message of a Question.
const MaxExplained = 32 << 20

// Explanation is what real mail would meet, step by step.
type Explanation struct {
	IP         string            `json:"ip,omitempty"`
	PTR        string            `json:"ptr,omitempty"` // confirmed name
	HELO       string            `json:"helo,omitempty"`
	Class      string            `json:"class"`
	From       string            `json:"from"`
	MailReply  string            `json:"mail_reply,omitempty"` // of a refusal at MAIL
	Sender     *ExplainedRcpt    `json:"sender,omitempty"`     // of a question without recipients
	Recipients []ExplainedRcpt   `json:"recipients,omitempty"`
	SPF        []string          `json:"spf,omitempty"` // the evaluation as a tree, a line each
	Findings   []finding.Finding `json:"findings,omitempty"`
	Passes     []finding.ID      `json:"passes,omitempty"`
	Notes      []finding.Fact    `json:"notes,omitempty"` // what fails no check and is worth knowing
	Asked      string            `json:"asked,omitempty"` // what the From domain's DMARC record asks for, where it fails
	Reply      string            `json:"reply,omitempty"` // after the dot, of a question with a message
}

// ExplainedRcpt is the way of one recipient.
type ExplainedRcpt struct {
	Address string             `json:"address,omitempty"`
	Access  []ExplainedRuleset `json:"access,omitempty"`
	Where   string             `json:"where,omitempty"` // "here", "elsewhere", "unknown", "looping", "too-many", "refused"; "" was not asked
	Walk    []directory.Step   `json:"walk,omitempty"`  // through rules, accounts and aliases
	More    bool               `json:"more,omitempty"`  // the walk had more steps
	Rules   []ExplainedRule    `json:"rules,omitempty"` // of policy that say anything
	Reply   string             `json:"reply,omitempty"` // of a refusal at RCPT
	Action  string             `json:"action"`
	Check   string             `json:"check,omitempty"`
	Label   string             `json:"label,omitempty"`
	Friend  bool               `json:"friend,omitempty"`
	Effects []string           `json:"effects,omitempty"`
	Filters []string           `json:"filters,omitempty"` // "ana@example.org: rules": scripts that run, in their order
}

// ExplainedRuleset is what one of sendmail's rulesets asked of the access map, in
// order.
type ExplainedRuleset struct {
	Name    string          `json:"name"`
	Steps   []ExplainedStep `json:"steps,omitempty"`
	Outcome string          `json:"outcome"`         // "nothing", "trusted", "refused", "discarded", "quarantine"
	Entry   string          `json:"entry,omitempty"` // that decides
	Reply   string          `json:"reply,omitempty"` // of "refused"
	RelayBy string          `json:"relay_by,omitempty"`
}

// ExplainedStep is one key that was asked for; Value "" says that it is not there.
type ExplainedStep struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// ExplainedRule is a row of policy.
type ExplainedRule struct {
	Check   finding.ID `json:"check"`
	Outcome string     `json:"outcome"`
	Step    string     `json:"step"`
	Changed bool       `json:"changed,omitempty"` // not the level's own
}

var explainCommands = []Command{
	bounded(run("explain", store.Helpdesk, explain), 2*MaxExplained),
}

func explain(ctx context.Context, h *House, _ Principal, q Question) (any, error) {
	if h.Explain == nil {
		return nil, fail(ErrUsage, "error.explain.here")
	}
	if len(q.Message) > MaxExplained {
		return nil, fail(ErrUsage, "error.explain.large", MaxExplained>>20)
	}
	return h.Explain(ctx, q)
}

// WrongQuestion says what of a Question cannot be read.
func WrongQuestion(what string, err error) error {
	return fail(ErrUsage, "error.explain.question", what, err)
}
