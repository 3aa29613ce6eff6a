package directory

import (
	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/rules"
)

// Stage says what was asked at one step of a walk.
type Stage string

// The stages, in their order (DESIGN §2.4).
const (
	StageDomain   Stage = "domain"    // is it ours? the value is "ours"
	StageName     Stage = "name"      // another name of a domain; the value is the domain
	StageAddress  Stage = "address"   // a rule of the full address
	StageAccount  Stage = "account"   // an account; the value is its login
	StageAlias    Stage = "alias"     // an alias of the directory itself
	StageRole     Stage = "role"      // what every domain has
	StageGlob     Stage = "glob"      // a pattern
	StageCatchAll Stage = "catch-all" // @dom
	StageFallback Stage = "fallback"  // the last of all
	StageOwner    Stage = "owner"     // owner-NAME; the value is the reverse-path from there on
	StageLoop     Stage = "loop"      // been here already
	StageSent     Stage = "sent"      // it leaves; the value is the address

	StageTransport  Stage = "transport"   // a rule of the way of a recipient
	StageSender     Stage = "sender"      // of a sender
	StageAccountWay Stage = "account-way" // of an account
)

// Step is one question of a walk. Value "" says that nothing is there, and that the
// walk went on.
type Step struct {
	Stage Stage  `json:"stage"`
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// maxWalk bounds the steps that are told.
const maxWalk = 1000

// Walk follows an address as Resolve does, and tells each step. more says that there
// were too many to tell them all.
func (v *View) Walk(a addr.Address) (steps []Step, more bool) {
	r := newResolution(v)
	r.log = &steps
	r.begin(a)
	if len(steps) > maxWalk {
		return steps[:maxWalk], true
	}
	return steps, false
}

// WalkOut tells which rules Way asks for a recipient elsewhere.
func (v *View) WalkOut(from addr.Address, account mailbox.AccountID, to addr.Address) []Step {
	steps := []Step{{StageDomain, string(to.Domain), ""}}
	if n := v.Renamed(to); n != to {
		steps = append(steps, Step{StageName, string(to.Domain), string(n.Domain)})
		to = n
	}
	for r := range v.waysOf(from, account, to) {
		stage := map[rules.Kind]Stage{rules.Transport: StageTransport, rules.Sender: StageSender, rules.Account: StageAccountWay}[r.Kind]
		if steps = append(steps, Step{stage, r.Key, r.Value}); r.Value != "" {
			break
		}
	}
	return steps
}
