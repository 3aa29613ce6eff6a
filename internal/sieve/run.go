package sieve

import (
	"fmt"
	"slices"
	"strings"
)

// flow tells how a block was left.
type flow uint8

const (
	goOn     flow = iota
	stopped       // stop, or an error: the run is over
	returned      // return: the included script is over (RFC 6609 §3.3)
)

// run is one execution. It starts with the script and its message, and is thrown
// away at the end.
type run struct {
	env    *Env
	limits Limits

	first *Message // as it came
	msg   *Message // as it is now; see replace
	view  view     // what was read of msg

	script   *frame
	global   map[string]string // RFC 6609 §3.4
	flow     flow
	implicit bool // the implicit keep holds
	flags    []string
	steps    int
	work     int64
	at       pos             // of the command or test at hand
	count    [Notify + 1]int // of actions, by kind
	included map[string]bool
	includes int
	filters  int

	result Result
}

// frame is a script at work: the one that was run, or one that is included.
type frame struct {
	name    string
	script  *Script
	vars    map[string]string
	globals map[string]bool // names that the script declared global
	matches []string        // ${0} … of the last match
	depth   int
}

// Run executes the script. It ends, whatever the script and the message are, within
// the limits of Options; it blocks only as env's functions do.
func (s *Script) Run(m *Message, env *Env) Result {
	r := &run{env: env, limits: s.limits, first: m, implicit: true, flags: slices.Clone(env.Before)}
	r.replace(m)
	r.script = &frame{script: s}
	r.applicable(pos{1, 1}, s)
	r.block(s.body)
	if r.implicit && !r.later() {
		r.add(nil, Action{Kind: Keep, Flags: r.keepFlags()})
		r.tracef(pos{}, "implicit keep")
	}
	r.result.Steps = r.steps
	if r.result.Err != nil {
		r.result.Note = nil // RFC 7352 §3.2: only of a script that came to its end
	}
	return r.result
}

// later reports whether the run is to be repeated.
func (r *run) later() bool {
	err, ok := r.result.Err.(*RunError)
	return ok && err.Err == ErrTryLater
}

// fail ends the run with an error, unless one ended it already. What is kept then is
// not refused.
func (r *run) fail(at pos, err error, format string, args ...any) {
	r.flow = stopped
	if r.result.Err != nil {
		return
	}
	r.implicit = true // RFC 5228 §2.10.6
	r.result.Actions = slices.DeleteFunc(r.result.Actions, func(a Action) bool { return refuses(a.Kind) })
	e := &RunError{Script: r.script.name, Line: at.line, Col: at.col, Text: fmt.Sprintf(format, args...), Err: err}
	r.result.Err = e
	r.tracef(at, "error: %s", e.Text)
}

// replace puts a message in the place of the one at hand.
func (r *run) replace(m *Message) {
	r.msg = m
	r.view = view{msg: m}
}

// step counts a command or test.
func (r *run) step(k *call) bool {
	if r.flow != goOn {
		return false
	}
	r.at = k.pos
	if r.steps++; r.steps > r.limits.Steps {
		r.fail(k.pos, ErrBudget, "the script takes more than %d steps", r.limits.Steps)
		return false
	}
	return true
}

// What costs more than its octets counts for so many.
const (
	valueCost  = 20   // a value held against a key, besides its octets
	dateCost   = 500  // a date that is read
	askCost    = 1000 // a question to Env
	expandCost = 8    // an octet that variables make, as it is kept
)

// spend counts octets that are looked at, and reports whether the run goes on.
func (r *run) spend(n int) bool {
	if r.work += int64(n); r.work > r.limits.Work && r.flow == goOn {
		r.fail(r.at, ErrBudget, "the script compares more text than it may")
	}
	return r.flow == goOn
}

// block runs commands until one changes the flow.
func (r *run) block(calls []*call) {
	for i := 0; i < len(calls) && r.flow == goOn; i++ {
		k := calls[i]
		if k.spec.name == "if" {
			i = r.branch(calls, i)
			continue
		}
		if r.step(k) {
			k.spec.run(r, k)
		}
	}
}

// branch runs an if with its elsif and else, and returns the last of them.
func (r *run) branch(calls []*call, i int) int {
	last := i
	for last+1 < len(calls) && (calls[last+1].spec.name == "elsif" || calls[last+1].spec.name == "else") {
		last++
	}
	for ; i <= last && r.flow == goOn; i++ {
		if !r.step(calls[i]) {
			break
		}
		if calls[i].spec.name == "else" || r.test(calls[i].tests[0]) {
			if r.flow == goOn {
				r.block(calls[i].block)
			}
			break
		}
	}
	return last
}

// test evaluates a test; false once the run is over.
func (r *run) test(k *call) bool {
	if !r.step(k) {
		return false
	}
	ok := k.spec.eval(r, k) && r.flow == goOn
	if r.env.Trace {
		r.tracef(k.pos, "%s: %t", k.spec.name, ok)
	}
	return ok
}

// maxTrace is how many lines a trace has.
const maxTrace = 10_000

// tracef adds a line to the trace, if one is kept.
func (r *run) tracef(at pos, format string, args ...any) {
	if !r.env.Trace || len(r.result.Trace) >= maxTrace {
		return
	}
	line := fmt.Sprintf(format, args...)
	if at.line > 0 {
		line = fmt.Sprintf("%d:%d: %s", at.line, at.col, line)
		if r.script.name != "" {
			line = r.script.name + ":" + line
		}
	}
	r.result.Trace = append(r.result.Trace, line)
}

// text returns the first string of a value with its variables put in.
func (r *run) text(v value) string {
	if len(v.strs) == 0 {
		return ""
	}
	return r.expand(v.strs[0])
}

// texts returns all strings of a value with their variables put in.
func (r *run) texts(v value) []string {
	out := make([]string, len(v.strs))
	for i, t := range v.strs {
		out[i] = r.expand(t)
	}
	return out
}

// expand puts variables into a text; what grows beyond the limit of a string is cut.
func (r *run) expand(t text) string {
	if t.parts == nil {
		return t.s
	}
	var b strings.Builder
	for _, p := range t.parts {
		s := p.lit
		if p.isRef {
			s = r.variable(p)
		}
		if b.Len()+len(s) > r.limits.String {
			b.WriteString(cut(s, r.limits.String-b.Len()))
			break
		}
		b.WriteString(s)
	}
	r.spend(expandCost * b.Len())
	return b.String()
}

// cut shortens s to n octets, at the beginning of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// add takes an action. k is the command, nil for the implicit keep.
func (r *run) add(k *call, a Action) {
	switch {
	case r.msg == r.first:
	case a.Kind == Keep && !r.event(), a.Kind == FileInto, a.Kind == Redirect:
		a.Edited = r.msg
	}
	if k != nil {
		if !r.admit(k, &a) {
			return
		}
		r.tracef(k.pos, "%s", a.describe())
	}
	if i := slices.IndexFunc(r.result.Actions, func(b Action) bool { return b.same(a) }); i >= 0 {
		// RFC 5228 §2.10.3: a message goes to the same place once; the flags are those of
		// the last command.
		if k != nil {
			r.result.Actions[i].Flags, r.result.Actions[i].Edited = a.Flags, a.Edited
		}
		return
	}
	r.count[a.Kind]++
	r.result.Actions = append(r.result.Actions, a)
}

// admit holds an action against the limits and against the others.
func (r *run) admit(k *call, a *Action) bool {
	what := k.spec.name
	if len(r.result.Actions) >= r.limits.Actions {
		r.fail(k.pos, ErrBudget, "%s: the script takes more than %d actions", what, r.limits.Actions)
		return false
	}
	if a.Kind == Redirect && r.count[Redirect] >= r.limits.Redirects {
		r.fail(k.pos, ErrBudget, "redirect: the script takes more than %d of them", r.limits.Redirects)
		return false
	}
	if a.Kind == Notify && r.count[Notify] >= r.limits.Notices {
		r.fail(k.pos, ErrBudget, "notify: the script takes more than %d of them", r.limits.Notices)
		return false
	}
	for i := range r.result.Actions {
		if other := r.result.Actions[i].Kind; conflict(a.Kind, other) {
			r.fail(k.pos, nil, "%s cannot be taken together with %s", what, other)
			return false
		}
	}
	return true
}

// conflict tells which actions exclude each other: a refusal those that deliver or
// answer and a second one (RFC 5429 §2.4), a reply a second one (RFC 5230 §4.7).
func conflict(a, b Kind) bool {
	quiet := func(k Kind) bool { return k == Notify || k == Discard }
	if refuses(a) || refuses(b) {
		return !quiet(a) && !quiet(b)
	}
	return a == Vacation && b == Vacation
}

func refuses(k Kind) bool { return k == Reject || k == EReject }

// event reports whether the run is for an event in a mailbox, not a delivery (RFC
// 6785). A message there cannot change: edits hold for fileinto and redirect (§3.1).
func (r *run) event() bool { return r.env.Items["imap.cause"] != "" }

// applicable ends the run for a script that answers senders in a mailbox, where there
// are none (RFC 6785 §3.11).
func (r *run) applicable(at pos, s *Script) {
	for _, name := range s.requires {
		if r.event() && (name == "reject" || name == "ereject" || name == "vacation" || name == "vacation-seconds") {
			r.fail(at, nil, "%s has no sense in a mailbox: there is nobody to answer", name)
		}
	}
}

// same tells whether two actions go to the same place.
func (a *Action) same(b Action) bool {
	stores := func(k Kind) bool { return k == Keep || k == FileInto }
	switch {
	case stores(a.Kind) && stores(b.Kind):
		return a.place() == b.place() && a.MailboxID == b.MailboxID && a.SpecialUse == b.SpecialUse
	case a.Kind == Redirect && b.Kind == Redirect:
		return a.Address == b.Address && a.List == b.List
	}
	return a.Kind == Discard && b.Kind == Discard
}

// place is the mailbox of an action that stores.
func (a *Action) place() string {
	if a.Kind == Keep || strings.EqualFold(a.Mailbox, "INBOX") {
		return "INBOX"
	}
	return a.Mailbox
}

// String says what an action is, for people: "fileinto \"Lists\" \"\\Seen\"".
func (a Action) String() string { return a.describe() }

// describe says what an action is, for the trace.
func (a *Action) describe() string {
	s := a.Kind.String()
	for _, v := range []string{a.Mailbox, a.MailboxID, a.SpecialUse, a.Address, a.List, strings.Join(a.Flags, " ")} {
		if v != "" {
			s += " " + shown(v)
		}
	}
	return s
}

// String gives the name of the command that takes the action.
func (k Kind) String() string {
	return [...]string{"keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation", "notify"}[k]
}
