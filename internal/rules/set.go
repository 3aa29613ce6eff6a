package rules

import (
	"hash/maphash"
	"iter"
	"maps"
	"math/bits"
	"path"
	"slices"
	"strings"
)

// Set is an immutable set of rules; a nil *Set is empty. It may be used by many
// goroutines.
type Set struct {
	tables [kinds]table
	globs  []pattern // in order
}

// pattern is a glob rule, read.
type pattern struct {
	rule    Rule
	pattern string
}

// MaxGlobs is how many patterns are looked at: each address that nothing else knows
// meets all of them.
const MaxGlobs = 1000

// Change is a rule that came, or with an empty Value one that went.
type Change = Rule

// Len is how many rules of a kind there are.
func (s *Set) Len(k Kind) int {
	if s == nil {
		return 0
	}
	return s.tables[k].n
}

// Get gives the value of a rule, "" where there is none. It allocates nothing.
func (s *Set) Get(k Kind, key []byte) string {
	if s == nil || s.tables[k].n == 0 {
		return ""
	}
	return s.tables[k].get(key)
}

// Glob finds the first pattern that an address matches.
func (s *Set) Glob(address string) (Rule, bool) {
	if s == nil {
		return Rule{}, false
	}
	// In a path pattern no * goes over a slash: local parts may hold one.
	address = strings.ReplaceAll(address, "/", "\x00")
	for _, g := range s.globs {
		if ok, _ := path.Match(g.pattern, address); ok {
			return g.rule, true
		}
	}
	return Rule{}, false
}

// Globs lists the patterns in their order.
func (s *Set) Globs() []Rule {
	if s == nil {
		return nil
	}
	out := make([]Rule, len(s.globs))
	for i, g := range s.globs {
		out[i] = g.rule
	}
	return out
}

// All walks through the rules of a kind, in no order.
func (s *Set) All(k Kind) iter.Seq[Rule] {
	return func(yield func(Rule) bool) {
		if s == nil {
			return
		}
		for _, shard := range s.tables[k].shards {
			for key, value := range shard {
				if !yield(Rule{k, key, value}) {
					return
				}
			}
		}
	}
}

// Collect makes a set.
func Collect(all iter.Seq[Rule]) *Set {
	var byKind [kinds][]Rule
	for r := range all {
		byKind[r.Kind] = append(byKind[r.Kind], r)
	}
	s := &Set{}
	for k := range byKind {
		s.tables[k] = newTable(byKind[k])
	}
	s.order()
	return s
}

// With gives a set with changes made, in their order. The cost hardly depends on how
// many rules there are: the shards that change are written anew.
func (s *Set) With(changes []Change) *Set {
	next := &Set{}
	if s != nil {
		*next = *s
	}
	var byKind [kinds][]Change
	for _, c := range changes {
		byKind[c.Kind] = append(byKind[c.Kind], c)
	}
	for k, some := range byKind {
		if len(some) > 0 {
			next.tables[k] = next.tables[k].with(some)
		}
	}
	if len(byKind[Glob]) > 0 {
		next.order()
	}
	return next
}

// order reads the patterns.
func (s *Set) order() {
	rules := slices.SortedFunc(s.All(Glob), func(a, b Rule) int { return strings.Compare(a.Key, b.Key) })
	s.globs = nil
	for _, r := range rules[:min(len(rules), MaxGlobs)] {
		_, p, _ := strings.Cut(r.Key, " ")
		p = strings.NewReplacer(`\`, `\\`, "[", `\[`, "/", "\x00").Replace(p)
		s.globs = append(s.globs, pattern{r, p})
	}
}

// table holds the rules of one kind in many small maps, none of which is ever changed:
// a change writes one of them anew and copies the list.
type table struct {
	seed   maphash.Seed
	shards []map[string]string // a power of two
	n      int
}

// shardRules is how many rules a shard has on average, at most twice that.
const shardRules = 64

func newTable(rules []Rule) table {
	if len(rules) == 0 {
		return table{}
	}
	t := table{seed: maphash.MakeSeed(), shards: make([]map[string]string, 1<<bits.Len(uint(len(rules)/shardRules)))}
	for _, r := range rules {
		at := t.shard([]byte(r.Key))
		if t.shards[at] == nil {
			t.shards[at] = make(map[string]string, shardRules)
		}
		t.shards[at][r.Key] = r.Value
	}
	for _, s := range t.shards {
		t.n += len(s)
	}
	return t
}

func (t *table) shard(key []byte) int {
	return int(maphash.Bytes(t.seed, key) & uint64(len(t.shards)-1))
}

func (t *table) get(key []byte) string { return t.shards[t.shard(key)][string(key)] }

// with is the table with changes made; a removed rule has no value.
func (t table) with(changes []Change) table {
	if grown := t.n + len(changes); t.shards == nil || grown > 2*shardRules*len(t.shards) {
		return t.rebuilt(changes)
	}
	t.shards = slices.Clone(t.shards)
	own := map[int]bool{}
	for _, c := range changes {
		at := t.shard([]byte(c.Key))
		if !own[at] {
			own[at] = true
			if t.shards[at] = maps.Clone(t.shards[at]); t.shards[at] == nil {
				t.shards[at] = map[string]string{}
			}
		}
		t.n -= len(t.shards[at])
		if c.Value == "" {
			delete(t.shards[at], c.Key)
		} else {
			t.shards[at][c.Key] = c.Value
		}
		t.n += len(t.shards[at])
	}
	return t
}

// rebuilt is the table in as many shards as it should have. It costs as much as
// loading, once in a doubling.
func (t table) rebuilt(changes []Change) table {
	all := map[string]string{}
	for _, s := range t.shards {
		maps.Copy(all, s)
	}
	for _, c := range changes {
		if c.Value == "" {
			delete(all, c.Key)
		} else {
			all[c.Key] = c.Value
		}
	}
	rules := make([]Rule, 0, 2*len(all))
	for k, v := range all {
		rules = append(rules, Rule{Key: k, Value: v})
	}
	return newTable(rules)
}
