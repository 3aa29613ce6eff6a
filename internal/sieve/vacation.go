package sieve

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Bounds of vacation's time (RFC 5230 §4.1, RFC 6131 §2).
const (
	day                 = 24 * 60 * 60
	vacationDefault     = 7 * day
	maxVacation         = 365 * day
	minVacationDays int = 1
)

// vacations are RFC 5230 and RFC 6131.
func vacations() []spec {
	return []spec{{
		name: "vacation", caps: []string{"vacation"}, args: []kind{str}, check: checkVacation, run: runVacation,
		tags: slices.Concat([]tag{
			{name: "days", args: []kind{num}, group: "time"},
			{name: "seconds", cap: "vacation-seconds", args: []kind{num}, group: "time"},
			{name: "subject", args: []kind{str}},
			{name: "from", args: []kind{str}},
			{name: "addresses", args: []kind{strs}},
			{name: "mime"},
			{name: "handle", args: []kind{str}},
		}, fccTags()),
	}}
}

// fccTags are those of a message that a script makes (RFC 8580).
func fccTags() []tag {
	out := []tag{{name: "fcc", cap: "fcc", args: []kind{str}}}
	for _, t := range storeTags() {
		if t.name != "copy" {
			t.with = "fcc"
			out = append(out, t)
		}
	}
	return out
}

// fcc is the copy of what k sends; nil if none is wanted.
func (r *run) fcc(k *call) *Action {
	args, ok := k.tag("fcc")
	if !ok {
		return nil
	}
	a := r.store(k, args[0])
	if flags, ok := k.tag("flags"); ok {
		a.Flags = addFlags(nil, r.texts(flags[0]))
	}
	return &a
}

func checkFcc(c *compiler, k *call) {
	checkSpecialUse(c, k)
	if args, ok := k.tag("fcc"); ok {
		if name, ok := args[0].constant(); ok && !mailboxName(name) {
			c.fail(args[0].pos, ":fcc: %s is no name of a mailbox", shown(name))
		}
	}
}

func checkVacation(c *compiler, k *call) {
	checkFcc(c, k)
	if args, ok := k.tag("from"); ok {
		if s, ok := args[0].constant(); ok {
			if _, err := oneAddress(s); err != nil {
				c.fail(args[0].pos, "vacation: :from takes one address, not %s", shown(s))
			}
		}
	}
}

func runVacation(r *run, k *call) {
	p := &Reply{Text: r.text(k.args[0]), MIME: k.has("mime"), Seconds: vacationDefault}
	if args, ok := k.tag("days"); ok {
		p.Seconds = min(max(args[0].num, int64(minVacationDays)), maxVacation/day) * day
	}
	if args, ok := k.tag("seconds"); ok {
		p.Seconds = min(args[0].num, maxVacation)
	}
	p.Subject = r.optional(k, "subject")
	if p.From = r.optional(k, "from"); p.From != "" {
		if _, err := oneAddress(p.From); err != nil {
			r.fail(k.pos, nil, "vacation: :from %s is not an address", shown(p.From))
			return
		}
	}
	if args, ok := k.tag("addresses"); ok {
		p.Own = r.texts(args[0])
	}
	if p.Handle = r.optional(k, "handle"); p.Handle != "" {
		p.Handle = "handle " + p.Handle
	} else { // RFC 5230 §4.2: then the arguments tell replies apart
		p.Handle = digest("reply", p.Subject, p.From, strconv.FormatBool(p.MIME), p.Text)
	}
	p.Fcc = r.fcc(k)
	if r.flow == goOn {
		r.add(k, Action{Kind: Vacation, Reply: p})
	}
}

// optional returns the string of a tag, "" without it.
func (r *run) optional(k *call, name string) string {
	if args, ok := k.tag(name); ok {
		return r.text(args[0])
	}
	return ""
}

// digest makes one short name of several strings.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
