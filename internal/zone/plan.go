package zone

import "slices"

// Action is what is to be done about one record at the zone's source.
type Action string

// The actions. Only Add, Replace, Merge and Remove change anything.
const (
	Nothing Action = "nothing" // it is there
	Add     Action = "add"     // it is not there, nor anything in its place
	Replace Action = "replace" // a value that we wrote gives way to the new one
	Merge   Action = "merge"   // somebody else's SPF gets our mechanisms; only when asked for
	Remove  Action = "remove"  // we wrote it, and it is not wanted any more
	Leave   Action = "leave"   // somebody else's record is in its place: by hand, if at all
)

// Step is one action. Old is the value that gives way, for Replace and Merge; for
// Leave it is what stands there.
type Step struct {
	Record
	Action Action `json:"action"`
	Old    string `json:"old,omitempty"`
}

// Changes tells whether the step writes.
func (s Step) Changes() bool { return s.Action != Nothing && s.Action != Leave }

// Plan says what makes the source of a zone have the wanted records. current are the
// canonical values there, of every Question of Sources; made are the records that we
// wrote, with the values that we wrote. Nothing else is ever changed, save that with
// merge somebody else's SPF record is made one with ours; it stays theirs.
func Plan(wanted, made []Record, current map[Question][]string, merge bool) []Step {
	var out []Step
	for _, r := range wanted {
		out = append(out, plan(r, made, current, merge))
	}
	for _, r := range made {
		gone := !there(r, current[r.Question()])
		given := slices.ContainsFunc(out, func(s Step) bool { return s.Action == Replace && s.Question() == r.Question() && s.Old == r.Value })
		if !gone && !given && !has(wanted, r) {
			out = append(out, Step{Record: r, Action: Remove})
		}
	}
	return out
}

func plan(r Record, made []Record, current map[Question][]string, merge bool) Step {
	q := r.Question()
	if there(r, current[q]) {
		return Step{Record: r, Action: Nothing}
	}
	if other := aliased(r, current); other != "" {
		return Step{Record: r, Action: Leave, Old: other}
	}
	for _, old := range rivals(r, current[q]) {
		ours := hasValue(made, q, old)
		switch {
		case ours && !sideBySide(r.Type):
			return Step{Record: r, Action: Replace, Old: old}
		case ours:
			continue
		case Purpose(r) == "v=spf1" && SPFCovers(old, r.Value):
			return Step{Record: r, Action: Nothing}
		case Purpose(r) == "v=spf1" && merge:
			r.Value = MergeSPF(old, r.Value)
			return Step{Record: r, Action: Merge, Old: old}
		}
		return Step{Record: r, Action: Leave, Old: old}
	}
	return Step{Record: r, Action: Add}
}

// aliased gives what keeps a record from its name: an alias has no records beside it
// (RFC 1034 §3.6.2).
func aliased(r Record, current map[Question][]string) string {
	name := r.Question().Name
	if r.Type != "CNAME" {
		if v := current[Question{name, "CNAME"}]; len(v) > 0 {
			return "CNAME " + v[0]
		}
		return ""
	}
	for _, t := range besideAlias {
		if v := current[Question{name, t}]; len(v) > 0 {
			return t + " " + v[0]
		}
	}
	return ""
}

// besideAlias are the types that names like those of our aliases have.
var besideAlias = []string{"A", "AAAA", "TXT", "MX"}

// Sources lists what must be read at a zone's source to plan: the questions of the
// records, and what an alias has beside it.
func Sources(wanted, made []Record) []Question {
	out := Questions(wanted, made)
	for _, r := range slices.Concat(wanted, made) {
		types := []string{"CNAME"}
		if r.Type == "CNAME" {
			types = besideAlias
		}
		for _, t := range types {
			if q := (Question{r.Question().Name, t}); !slices.Contains(out, q) {
				out = append(out, q)
			}
		}
	}
	return out
}

// Undo gives the steps that take others back, in reverse, as far as the values that
// those wrote are still there and nothing has come into the place of what they took.
func Undo(steps []Step, current map[Question][]string) []Step {
	var out []Step
	for _, s := range slices.Backward(steps) {
		back := Step{Record: s.Record, Action: s.Action}
		switch s.Action {
		case Add:
			back.Action = Remove
		case Remove:
			back.Action = Add
		case Replace, Merge:
			back.Value, back.Old = s.Old, s.Value
		default:
			continue
		}
		mine := there(s.Record, current[s.Question()])
		switch {
		case s.Action == Remove && mine:
			back.Action = Nothing
		case s.Action == Remove:
			if r := rivals(s.Record, current[s.Question()]); len(r) > 0 && !sideBySide(s.Type) {
				back.Action, back.Old = Leave, r[0]
			}
		case !mine:
			back.Action = Leave
			back.Old = ""
		}
		out = append(out, back)
	}
	return out
}
