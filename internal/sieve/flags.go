package sieve

import (
	"slices"
	"strings"
)

// flagCommands are RFC 5232. Without a variable they work on the internal one, which
// keep and fileinto take when they have no :flags.
func flagCommands() []spec {
	caps := []string{"imap4flags"}
	args := []kind{str, strs}
	check := func(c *compiler, k *call) {
		if k.args[0].given {
			checkVariableNames(c, k.args[0], k.spec.name)
		}
	}
	return []spec{
		{name: "setflag", caps: caps, args: args, opt: 1, check: check, run: func(r *run, k *call) {
			r.setFlags(k, addFlags(nil, r.texts(k.args[1])))
		}},
		{name: "addflag", caps: caps, args: args, opt: 1, check: check, run: func(r *run, k *call) {
			r.setFlags(k, addFlags(r.flagsIn(k.args[0]), r.texts(k.args[1])))
		}},
		{name: "removeflag", caps: caps, args: args, opt: 1, check: check, run: func(r *run, k *call) {
			gone := addFlags(nil, r.texts(k.args[1]))
			r.setFlags(k, slices.DeleteFunc(r.flagsIn(k.args[0]), func(f string) bool { return hasFlag(gone, f) }))
		}},
		{name: "hasflag", test: true, caps: caps, args: []kind{strs, strs}, opt: 1, match: true, check: check, eval: evalHasFlag},
	}
}

// maxFlags is how many flags one list may have.
const maxFlags = 100

// addFlags adds the flags in list, of which a string may hold several parted by
// spaces, without the ones that are there and those that no flag can be (§2).
func addFlags(flags, list []string) []string {
	for _, s := range list {
		for f := range strings.FieldsSeq(s) {
			if len(flags) < maxFlags && isFlag(f) && !hasFlag(flags, f) {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

func hasFlag(flags []string, f string) bool {
	return slices.ContainsFunc(flags, func(g string) bool { return strings.EqualFold(f, g) })
}

// isFlag: a system flag that can be stored, or a keyword, an atom (RFC 9051 §9).
func isFlag(f string) bool {
	if name, ok := strings.CutPrefix(f, `\`); ok {
		switch fold(name) {
		case "seen", "answered", "flagged", "deleted", "draft":
			return true
		}
		return false
	}
	return len(f) <= 100 && !strings.ContainsFunc(f, func(c rune) bool {
		return c <= ' ' || c >= 0x7F || strings.ContainsRune(`(){%*"\]`, c)
	})
}

// flagsIn returns the flags in a variable, or the internal ones.
func (r *run) flagsIn(name value) []string {
	if !name.given {
		return slices.Clone(r.flags)
	}
	p := piece{name: strings.ToLower(r.text(name))}
	return addFlags(nil, []string{r.variable(p)})
}

func (r *run) setFlags(k *call, flags []string) {
	if k.args[0].given {
		r.set(k, strings.ToLower(r.text(k.args[0])), strings.Join(flags, " "))
		return
	}
	r.flags = flags
	r.tracef(k.pos, "flags are %s", shown(strings.Join(flags, " ")))
}

// flagsOf returns the flags of an action: those of :flags, or the internal ones.
func (r *run) flagsOf(k *call) []string {
	if args, ok := k.tag("flags"); ok {
		return addFlags(nil, r.texts(args[0]))
	}
	return r.keepFlags()
}

func (r *run) keepFlags() []string { return slices.Clone(r.flags) }

func evalHasFlag(r *run, k *call) bool {
	t := r.begin(k)
	flags := r.flags
	if k.args[0].given {
		flags = nil
		for _, name := range k.args[0].strs {
			flags = addFlags(flags, []string{r.variable(piece{name: strings.ToLower(name.s)})})
		}
	}
	for _, f := range flags {
		if t.try(f, "") {
			return true
		}
	}
	return t.end()
}
