//go:build corpus

package learn

import (
	"fmt"
	"slices"
	"testing"

	"posta/internal/spam/tally"
)

// known is a message with what a model knows of its features.
type known struct {
	Sample
	view view
}

// meet learns one part of a corpus and asks about another.
func meet(t testing.TB, learnt, judged []sampleOf) []known {
	t.Helper()
	l := New(new(tally.Memory))
	_, err := l.Import(t.Context(), tally.Shared, func(yield func(Sample, error) bool) {
		for _, s := range learnt {
			if !yield(s.Sample, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]known, len(judged))
	for i, s := range judged {
		v, err := l.view(t.Context(), tally.Shared, s.Features.Hashes())
		if err != nil {
			t.Fatal(err)
		}
		out[i] = known{s.Sample, v}
	}
	return out
}

// crossed asks about each fifth of a part what the other four have taught.
func crossed(t testing.TB, part []sampleOf) []known {
	const folds = 5
	var out []known
	for i := range folds {
		from, to := i*len(part)/folds, (i+1)*len(part)/folds
		out = append(out, meet(t, slices.Concat(part[:from], part[to:]), part[from:to])...)
	}
	return out
}

// evidence is that of all messages against the threshold, the lowest first.
func (t tuning) evidence(all []known) (ham, spam []float64) {
	for _, k := range all {
		o := t.judge(k.Features, k.view, view{})
		if k.Spam {
			spam = append(spam, o.Evidence/o.Threshold)
		} else {
			ham = append(ham, o.Evidence/o.Threshold)
		}
	}
	slices.Sort(ham)
	slices.Sort(spam)
	return ham, spam
}

// from counts what has at least so much evidence.
func from(sorted []float64, least float64) int {
	i, _ := slices.BinarySearch(sorted, least)
	return len(sorted) - i
}

// worth is how much spam is caught where one to four ham are junked, and the evidence
// above which one is.
func (t tuning) worth(all []known) (caught, least float64) {
	const above = 1e-9
	ham, spam := t.evidence(all)
	for n := 1; n <= 4; n++ {
		caught += float64(from(spam, ham[len(ham)-1-n]+above)) / float64(len(spam)) / 4
	}
	return caught, ham[len(ham)-2] + above
}

// near are the tunings that differ from one in a single number.
func (t tuning) near() (out []tuning) {
	for _, x := range []float64{0.05, 0.1, 0.2, 0.4, 0.8} {
		out = append(out, t, t, t, t)
		n := out[len(out)-4:]
		n[0].doubt, n[1].telling, n[2].spread, n[3].structure = x, 0.49-x/4, 0.5+x/2, 5*x+0.75
	}
	for _, x := range []int{3, 4, 6, 8, 12} {
		out = append(out, t, t)
		n := out[len(out)-2:]
		n[0].mostPlace, n[1].mostText = x, 5*x
	}
	return out
}

// search climbs to the tuning that is worth most.
func search(all []known) (best tuning, least float64) {
	best = shipped()
	worth, least := best.worth(all)
	for better := true; better; {
		better = false
		for _, n := range best.near() {
			if w, l := n.worth(all); w > worth {
				best, worth, least, better = n, w, l, true
			}
		}
	}
	return best, least
}

// POSTA_SPAM_CORPUS=dir go test -tags corpus -run TestNested -v ./internal/spam/learn
//
// measures as TestEvaluate does, but nothing that is judged has had a part in the
// numbers that judge it: for each half they are chosen anew, by fifths of the other
// half alone, and the threshold with them. So it tells what a house may expect whose
// mail is like that, and what the shipped numbers flatter by.
func TestNested(t *testing.T) {
	halved(t, func(a, b []sampleOf) score {
		best, least := search(crossed(t, a))
		ham, spam := best.evidence(meet(t, a, b))
		fmt.Printf("%+v from %.2f of the threshold\n", best, least)
		return score{spam: len(spam), caught: from(spam, least), ham: len(ham), junked: from(ham, least), hamFound: len(ham) - from(ham, -least)}
	})
}
