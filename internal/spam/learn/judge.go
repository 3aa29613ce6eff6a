package learn

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"posta/internal/spam/tally"
)

// tuning is the numbers of the judgement that a corpus can tell.
type tuning struct {
	// doubt is how many sightings the belief "one half" is worth. With 0.1, a feature
	// that was seen once, in spam, is believed to 0.95.
	doubt float64
	// telling: features whose probability is nearer to one half say nothing. They
	// are many, and together they would drown those that tell.
	telling float64
	// spread: the sum over k features is divided by k^spread. With independent
	// features it would be k^0.5; those of a message are not independent.
	spread float64
	// structure is what a feature of the header, a link or the structure counts
	// against a word of the text. Words are many and alike in newsletters, wanted
	// or not; by where they come from one tells them apart.
	structure float64
	// Of each place the strongest features count, so many of the text and so many
	// of any other: a long text, or a field of many words that always come
	// together, is one piece of evidence, not hundreds.
	mostText, mostPlace int
}

// shipped is the tuning for everybody, found on the SpamAssassin public corpus (see the
// package's page).
func shipped() tuning {
	return tuning{doubt: 0.1, telling: 0.45, spread: 0.7, structure: 2, mostText: 30, mostPlace: 8}
}

const (
	// fewest messages of each kind before anything is judged
	fewest = 10
	// most sightings that the shared model's view of a feature is worth against
	// the account's own
	shared = 20
	// most reasons given
	maxReasons = 15
)

// Verdict is what the learner thinks of a message.
type Verdict uint8

// The verdicts; the zero value is Unsure.
const (
	Unsure Verdict = iota
	Spam
	Ham
)

func (v Verdict) String() string { return [...]string{"unsure", "spam", "ham"}[min(v, Ham)] }

// Outcome is the learner's judgement of one message.
type Outcome struct {
	Verdict Verdict
	// Score is between 0 and 1: from 0.9 on the verdict is spam, up to 0.1 ham;
	// 0.5 is what nothing is known of.
	Score float64
	// Evidence and Threshold are what the score is made from: the sum of what the
	// telling features say (above zero for spam), and how much is asked for. With
	// little training much is asked for.
	Evidence, Threshold float64
	Features, Telling   int         // how many there are, and how many of them tell
	Trained             tally.Count // messages that were learned, of both models
	Reasons             []Reason    // what told most, the strongest first
}

// Reason is one feature that told.
type Reason struct {
	Where       string      `json:"where"` // "text", or the field or place: "subject", "link", "from@"
	What        string      `json:"what"`  // the word, domain or shape
	Seen        tally.Count `json:"seen"`  // in how many learned messages, of both models
	Probability float64     `json:"probability"`
	Weight      float64     `json:"weight"` // its share of Evidence
}

// view is a model's answer about the features of one message.
type view struct {
	counts   []tally.Count
	messages tally.Count
}

// probability is how likely a feature is spam's in a balanced world, and how many
// sightings that rests on.
func (v *view) probability(i int) (p, n float64) {
	c := v.counts[i]
	if c.Total() == 0 {
		return 0.5, 0
	}
	spam := float64(c.Spam) / float64(max(v.messages.Spam, 1))
	ham := float64(c.Ham) / float64(max(v.messages.Ham, 1))
	return spam / (spam + ham), float64(c.Total())
}

// balance bounds what a model's view of a feature is worth: one that has learned
// hardly anything of one kind finds everything to be of the other.
func (v *view) balance() float64 {
	return 4 * (1 + float64(min(v.messages.Spam, v.messages.Ham)))
}

// judge weighs the features. common and own may be empty.
func (t tuning) judge(f Features, common, own view) Outcome {
	o := Outcome{
		Score:    0.5,
		Features: f.Len(),
		Trained: tally.Count{
			Spam: common.messages.Spam + own.messages.Spam,
			Ham:  common.messages.Ham + own.messages.Ham,
		},
	}
	o.Threshold = threshold(o.Trained)
	if math.IsInf(o.Threshold, 1) {
		return o
	}
	heard := make([]told, 0, f.Len())
	limit := own.balance()
	for i := range f.set.list {
		if p, ok := t.believed(i, &common, &own, limit); ok && math.Abs(p-0.5) >= t.telling {
			heard = append(heard, told{i, p, math.Log(p / (1 - p))})
		}
	}
	heard, heft := t.weigh(f, heard)
	o.Telling = len(heard)
	if o.Telling == 0 {
		return o
	}
	sum := 0.0
	for _, h := range heard {
		sum += h.w
	}
	scale := math.Pow(heft, -t.spread)
	o.Evidence = sum * scale
	o.Score = 1 / (1 + math.Pow(9, -o.Evidence/o.Threshold))
	switch {
	case o.Evidence >= o.Threshold:
		o.Verdict = Spam
	case o.Evidence <= -o.Threshold:
		o.Verdict = Ham
	}
	o.Reasons = reasons(f, heard[:min(len(heard), maxReasons)], scale, common, own)
	return o
}

// believed is the probability that is believed of a feature: what the account saw
// itself, with the shared model's view as if it were at most so many sightings of
// its own, and the doubt of both.
func (t tuning) believed(i int, common, own *view, limit float64) (p float64, ok bool) {
	p, n := common.probability(i)
	if own.messages.Total() > 0 {
		if q, m := own.probability(i); m > 0 {
			n, m = min(n, shared), min(m, limit)
			p, n = (n*p+m*q)/(n+m), n+m
		}
	}
	return (t.doubt*0.5 + n*p) / (t.doubt + n), n > 0
}

// told is a feature that tells.
type told struct {
	at   int // its place in the set
	p, w float64
}

// weigh keeps the strongest features of each place, the strongest first, and weighs
// them; heft is the sum of the weights.
func (t tuning) weigh(f Features, all []told) (kept []told, heft float64) {
	text := ranking{best: make([]told, 0, t.mostText), weight: 1}
	places := make(map[string]*ranking, 64)
	for _, h := range all {
		place := f.set.place(h.at)
		if len(place) == 0 {
			text.offer(h)
			continue
		}
		r := places[string(place)]
		if r == nil {
			r = &ranking{best: make([]told, 0, t.mostPlace), weight: t.structure}
			places[string(place)] = r
		}
		r.offer(h)
	}
	take := func(r *ranking) {
		for _, h := range r.best {
			h.w *= r.weight
			kept = append(kept, h)
			heft += r.weight
		}
	}
	take(&text)
	for _, r := range places {
		take(r)
	}
	slices.SortFunc(kept, stronger)
	return kept, heft
}

// ranking holds the strongest features of a place, in order.
type ranking struct {
	best   []told // its capacity is how many there may be
	weight float64
}

// offer takes a feature; the places of those that are offered grow.
func (r *ranking) offer(t told) {
	n := len(r.best)
	switch {
	case n < cap(r.best):
		r.best = append(r.best, t)
	case math.Abs(t.w) <= math.Abs(r.best[n-1].w):
		return
	default:
		r.best[n-1] = t
		n--
	}
	for ; n > 0 && math.Abs(r.best[n-1].w) < math.Abs(t.w); n-- {
		r.best[n], r.best[n-1] = r.best[n-1], r.best[n]
	}
}

func stronger(a, b told) int {
	return cmp.Or(cmp.Compare(math.Abs(b.w), math.Abs(a.w)), cmp.Compare(a.at, b.at))
}

// reasons tells of features in words.
func reasons(f Features, best []told, scale float64, common, own view) []Reason {
	out := make([]Reason, 0, len(best))
	for _, t := range best {
		r := Reason{Probability: t.p, Weight: t.w * scale}
		for _, v := range []view{common, own} {
			if v.counts != nil {
				r.Seen.Spam += v.counts[t.at].Spam
				r.Seen.Ham += v.counts[t.at].Ham
			}
		}
		r.Where, r.What = f.set.split(t.at)
		out = append(out, r)
	}
	return out
}

// threshold is how much evidence is asked for after so much training: at every
// size of training, about one ham in a thousand has more. What counts is the
// kind of which less was learned.
func threshold(trained tally.Count) float64 {
	least := min(trained.Spam, trained.Ham)
	if least < fewest {
		return math.Inf(1)
	}
	return max(1.5, 24*math.Pow(float64(least), -0.355))
}

// String is a reason in one line: `subject "free money": in 12 spam, 0 ham`.
func (r Reason) String() string {
	return fmt.Sprintf("%s %q: in %d spam, %d ham", r.Where, r.What, r.Seen.Spam, r.Seen.Ham)
}
