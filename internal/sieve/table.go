package sieve

import "slices"

// The language is this table: what stands in it can be written, with those arguments,
// once the capability is required, and nothing else. An extension is a function that
// returns its entries, in a file of its own, named in language below; its tags for
// commands of others are written there with the capability that they need.
//
// What an entry's run and eval may use of the run's state: the message at hand is
// r.msg, to be changed with r.replace only; text and lists in arguments come from
// r.text and r.texts, which put variables in; a value is held against the keys with
// r.begin, try and end; fields of headers come from r.headers, where :mime can put
// those of parts; r.spend counts what is costly; r.fail ends the run; r.add takes an
// action; r.block runs a block and r.flow tells how it was left: a loop adds a flow of its
// own for break. State of an extension that lives as long as the run is a field of run.

// kind is the type of an argument.
type kind uint8

const (
	str  kind = iota // one string
	strs             // a list of strings; a single string is a list of one
	num
)

// spec is an entry of the table.
type spec struct {
	name string
	test bool
	caps []string // any of these capabilities makes it known; none: it always is
	tags []tag
	args []kind
	opt  int // how many arguments, from the first, may be missing

	match bool // it takes a comparator and a match type; the last argument is the keys
	tests arity
	block bool

	// check looks at a call beyond the types, and may keep what it prepares in call.prep.
	check func(c *compiler, k *call)
	run   func(r *run, k *call)      // of a command
	eval  func(r *run, k *call) bool // of a test
}

// arity tells how many tests follow.
type arity uint8

const (
	noTests arity = iota
	oneTest
	manyTests
)

// tag is a tagged argument.
type tag struct {
	name  string // without the colon
	cap   string // the capability that it needs beyond those of its command; "" for none
	args  []kind
	group string // of the tags of one group only one may stand; "" is a group of its own
	with  string // another tag that must stand too; "" for none
}

// language returns the entries of all extensions. Entries of one name that differ in
// test and command are two entries.
func language() []spec {
	return slices.Concat(
		controls(),
		actions(),
		tests(),
		variableCommands(),
		flagCommands(),
		bodyTests(),
		dateTests(),
		rejects(),
		vacations(),
		includes(),
		mailboxTests(),
		environments(),
		spamTests(),
		duplicates(),
		notifies(),
		listTests(),
		filters(),
		editors(),
	)
}

// capabilities lists what a script may require and nothing in the table is named for.
func capabilities() []string {
	return []string{
		"comparator-i;ascii-numeric", "comparator-i;unicode-casemap", "copy", "encoded-character", "fcc", "imapsieve", "index", "mailbox",
		"mboxmetadata", "relational", "regex", "servermetadata", "special-use", "subaddress", "vacation-seconds",
	}
}

// implied are the capabilities that come with another.
func implied(capability string) []string {
	switch capability {
	case "spamtestplus":
		return []string{"spamtest"}
	case "vacation-seconds":
		return []string{"vacation"} // RFC 6131 §2
	case "imapsieve":
		return []string{"environment"} // RFC 6785 §4.1
	}
	return nil
}

// matchTags are the tags of every test with a match type (RFC 5228 §2.7, 5231, 6134).
func matchTags() []tag {
	return []tag{
		{name: "comparator", args: []kind{str}},
		{name: "is", group: "match type"},
		{name: "contains", group: "match type"},
		{name: "matches", group: "match type"},
		{name: "regex", cap: "regex", group: "match type"},
		{name: "value", cap: "relational", args: []kind{str}, group: "match type"},
		{name: "count", cap: "relational", args: []kind{str}, group: "match type"},
		{name: "list", cap: "extlists", group: "match type"},
	}
}

// entryKey finds an entry.
type entryKey struct {
	name string
	test bool
}

// entries indexes the table.
func entries() map[entryKey]*spec {
	table := language()
	out := make(map[entryKey]*spec, len(table))
	for i := range table {
		s := &table[i]
		if s.match {
			s.tags = slices.Concat(s.tags, matchTags())
		}
		out[entryKey{s.name, s.test}] = s
	}
	return out
}

// Extensions lists the capabilities that a script may require, sorted.
func Extensions() []string {
	out := capabilities()
	for _, s := range language() {
		out = append(out, s.caps...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
