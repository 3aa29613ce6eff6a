package zone

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Question is the records of one name and type.
type Question struct{ Name, Type string }

// Question is what one asks for the record.
func (r Record) Question() Question { return Question{strings.ToLower(r.Name), r.Type} }

// Questions lists what is to be asked to compare records with the world, each once.
// Where an alias is wanted its target's addresses are asked for too: a name of its own
// does as well.
func Questions(lists ...[]Record) []Question {
	var out []Question
	add := func(q Question) {
		if !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	for _, l := range lists {
		for _, r := range l {
			q := r.Question()
			add(q)
			if r.Type == "CNAME" {
				add(Question{q.Name, "A"})
			}
		}
	}
	return out
}

// Answer is what a server said to a Question: canonical values, none where there are
// no such records.
type Answer struct {
	Values []string
	TTL    time.Duration // how long the answer may still be cached
	Err    error         // not nil: it did not answer, and nothing else is set
}

// View is what one server says.
type View struct {
	Server        string // for people: "ns1.example.net (192.0.2.53)"
	Authoritative bool   // it has the zone itself; otherwise a resolver, which may remember old answers
	Answers       map[Question]Answer
}

// State is what came of comparing one record.
type State string

// The states.
const (
	Present    State = "present"    // every server that answered has it
	Missing    State = "missing"    // no server that has the zone has it
	Different  State = "different"  // another value of ours stands in its place, or the one that is there does not do
	Kept       State = "kept"       // somebody else's record does its work, and is left alone
	Pending    State = "pending"    // published, and not yet known everywhere
	Extra      State = "extra"      // of ours, and not wanted any more
	Unverified State = "unverified" // nobody answered
)

// Item is one record compared with the world.
type Item struct {
	Record
	State State `json:"state"`
	// Seen are the values in its place, where they differ from it.
	Seen []string `json:"seen,omitempty"`
	// Behind are the servers that do not have it yet, or did not answer.
	Behind []string `json:"behind,omitempty"`
	// Left is how long a server that is behind may still remember what was, in seconds
	// at most.
	Left int `json:"left,omitempty"`
	// Merge is the value to publish instead of what is seen, where somebody else's
	// record and ours become one: SPF.
	Merge string `json:"merge,omitempty"`
}

// Compare says of each wanted record what the servers show, and of each that we made
// and do not want any more whether it is still there. Records of others are never
// counted wrong: they only say why ours is not there.
func Compare(wanted, made []Record, views []View) []Item {
	var out []Item
	for _, r := range wanted {
		out = append(out, compare(r, made, views))
	}
	for _, r := range made {
		if has(wanted, r) || replaced(wanted, r) {
			continue
		}
		if it := compare(r, made, views); it.State == Present || it.State == Pending {
			out = append(out, Item{Record: r, State: Extra})
		}
	}
	return out
}

// has tells whether the list has the record, whatever its Why.
func has(list []Record, r Record) bool {
	return slices.ContainsFunc(list, func(o Record) bool { return o.Question() == r.Question() && Same(r.Type, o.Value, r.Value) })
}

// replaced tells whether another value is wanted in the place of the record, whose
// own item tells of it.
func replaced(wanted []Record, r Record) bool {
	return slices.ContainsFunc(wanted, func(o Record) bool { return inPlaceOf(o, r) })
}

// inPlaceOf tells whether one of two records takes the other's place: the same name
// and purpose.
func inPlaceOf(a, b Record) bool {
	p := Purpose(a)
	return p != "" && a.Question() == b.Question() && p == Purpose(b) && !sideBySide(a.Type)
}

// sideBySide are the types of which one name of ours has several.
func sideBySide(typ string) bool { return typ == "A" || typ == "AAAA" || typ == "PTR" }

// compare looks for one record in every view.
func compare(r Record, made []Record, views []View) Item {
	it := Item{Record: r}
	var zoneHas, zoneSaid, has, said bool
	for _, v := range views {
		a, asked := v.Answers[r.Question()]
		if !asked {
			continue
		}
		if a.Err != nil {
			it.Behind = append(it.Behind, v.Server)
			continue
		}
		said, zoneSaid = true, zoneSaid || v.Authoritative
		if there(r, a.Values) {
			has, zoneHas = true, zoneHas || v.Authoritative
			continue
		}
		it.Behind = append(it.Behind, v.Server)
		it.Left = max(it.Left, int(a.TTL/time.Second))
		it.Seen = union(it.Seen, rivals(r, a.Values))
		if alias := v.Answers[Question{r.Question().Name, "A"}]; r.Type == "CNAME" && alias.Err == nil {
			it.Seen = union(it.Seen, alias.Values)
		}
	}
	switch {
	case !said:
		it.State = Unverified
	case has && len(it.Behind) == 0:
		it.State = Present
	case zoneHas || has && !zoneSaid:
		it.State = pending(&it, views)
	default:
		it.absent(made)
	}
	return it
}

// pending tells servers that do not know a record yet from those that only did not
// answer.
func pending(it *Item, views []View) State {
	for _, v := range views {
		if a, asked := v.Answers[it.Question()]; asked && a.Err == nil && !there(it.Record, a.Values) {
			return Pending
		}
	}
	return Present
}

// absent judges what stands where a record is not.
func (it *Item) absent(made []Record) {
	it.Left, it.Behind = 0, nil // it is not on its way: there is nothing to wait for
	foreign := slices.DeleteFunc(slices.Clone(it.Seen), func(v string) bool {
		return hasValue(made, it.Question(), v)
	})
	switch {
	case len(it.Seen) == 0 || sideBySide(it.Type):
		it.State = Missing
	case len(foreign) == 0:
		it.State = Different
	case Purpose(it.Record) == "v=spf1":
		it.State = Kept
		if !SPFCovers(foreign[0], it.Value) {
			it.State, it.Merge = Different, MergeSPF(foreign[0], it.Value)
		}
	case keeps(it.Record, foreign):
		it.State = Kept
	default:
		it.State = Different
		if it.Type == "MX" { // theirs is not wrong; only ours is not there
			it.State = Missing
		}
	}
}

func hasValue(list []Record, q Question, value string) bool {
	return slices.ContainsFunc(list, func(o Record) bool { return o.Question() == q && Same(q.Type, o.Value, value) })
}

// keeps tells whether somebody else's values do the work of a record: a DMARC, TLSRPT
// or BIMI policy of their own, a service elsewhere, our host with another preference,
// an address instead of an alias.
func keeps(r Record, foreign []string) bool {
	switch p := Purpose(r); p {
	case "v=DMARC1", "v=TLSRPTv1", "v=BIMI1", "SRV", "CNAME":
		return true
	case "MX":
		return slices.ContainsFunc(foreign, func(v string) bool { return lastWord(v) == lastWord(r.Value) && r.Value != "0 ." })
	}
	return false
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }

// there tells whether the record is among values.
func there(r Record, values []string) bool {
	want, err := Canonical(r.Type, r.Data())
	if err != nil {
		want = r.Value
	}
	return slices.ContainsFunc(values, func(v string) bool { return Same(r.Type, v, want) })
}

// rivals are the values that stand in the place of a record: at a name with texts of
// many kinds only those of its kind.
func rivals(r Record, values []string) []string {
	p := Purpose(r)
	if p == "" {
		return nil // others stand beside it
	}
	var out []string
	for _, v := range values {
		if Purpose(Record{Type: r.Type, Value: v}) == p {
			out = append(out, v)
		}
	}
	return out
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// Worst is what a comparison comes to: the first of Different, Pending, Unverified,
// Present that there is. Missing and Extra are Different, Kept is Present.
func Worst(items []Item) State {
	rank := map[State]int{Present: 0, Kept: 0, Unverified: 1, Pending: 2, Different: 3, Missing: 3, Extra: 3}
	worst := 0
	for _, it := range items {
		worst = max(worst, rank[it.State])
	}
	return []State{Present, Unverified, Pending, Different}[worst]
}

// SortViews puts the servers that have the zone first, each kind by name.
func SortViews(views []View) {
	slices.SortFunc(views, func(a, b View) int {
		if a.Authoritative != b.Authoritative {
			if a.Authoritative {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Server, b.Server)
	})
}
