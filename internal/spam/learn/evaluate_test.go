//go:build corpus

package learn

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"posta/internal/spam/tally"
)

// sampleOf is a message of a corpus, ready to be learned.
type sampleOf struct {
	name string
	Sample
}

// readCorpus reads the messages of <dir>/spam and <dir>/ham, which hold files,
// maildirs or mboxes.
func readCorpus(t testing.TB, dir string) []sampleOf {
	t.Helper()
	var out []sampleOf
	for _, kind := range []string{"spam", "ham"} {
		if _, err := os.Stat(filepath.Join(dir, kind)); err != nil {
			t.Fatalf("POSTA_SPAM_CORPUS must name a folder with the folders spam and ham: %v", err)
		}
		n := 0
		for b, err := range Corpus(os.DirFS(dir), kind) {
			if err != nil {
				t.Fatal(err)
			}
			f, err := Read(b)
			if err != nil {
				t.Fatal(err)
			}
			n++
			out = append(out, sampleOf{fmt.Sprintf("%s %d", kind, n), Sample{Features: f, Spam: kind == "spam"}})
		}
	}
	return out
}

// score is what came out on the half that was not learned.
type score struct{ spam, caught, ham, junked, hamFound int }

func (s score) String() string {
	return fmt.Sprintf("caught %d of %d spam (%.2f %%), junked %d of %d ham (%.3f %%), sure of %.1f %% of the ham",
		s.caught, s.spam, 100*float64(s.caught)/float64(max(s.spam, 1)),
		s.junked, s.ham, 100*float64(s.junked)/float64(max(s.ham, 1)), 100*float64(s.hamFound)/float64(max(s.ham, 1)))
}

// halves learns one half of a corpus and judges the other.
func halves(t testing.TB, learnt, judged []sampleOf) score {
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
	var out score
	for _, s := range judged {
		o, err := l.Judge(t.Context(), tally.Shared, s.Features)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case s.Spam:
			out.spam++
			if o.Verdict == Spam {
				out.caught++
			}
		default:
			out.ham++
			if o.Verdict == Spam {
				out.junked++
				t.Logf("junked %s: %.2f of %.2f: %+v", s.name, o.Evidence, o.Threshold, o.Reasons[:min(5, len(o.Reasons))])
			}
			if o.Verdict == Ham {
				out.hamFound++
			}
		}
	}
	return out
}

// halved measures a corpus: one half is learned and the other judged, and the other way
// round, for four ways to cut it. The folder POSTA_SPAM_CORPUS has the folders spam and
// ham; what measures is behind the build tag corpus, for nobody else has such a folder.
func halved(t *testing.T, measure func(learnt, judged []sampleOf) score) {
	t.Helper()
	all := readCorpus(t, os.Getenv("POSTA_SPAM_CORPUS"))
	var total score
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		a, b := all[:len(all)/2], all[len(all)/2:]
		for range 2 {
			s := measure(a, b)
			fmt.Println(s)
			total.spam, total.caught = total.spam+s.spam, total.caught+s.caught
			total.ham, total.junked, total.hamFound = total.ham+s.ham, total.junked+s.junked, total.hamFound+s.hamFound
			a, b = b, a
		}
	}
	fmt.Println("all:", total)
}

// POSTA_SPAM_CORPUS=dir go test -tags corpus -run TestEvaluate -v ./internal/spam/learn
//
// prints what was caught and what was junked with the numbers that we ship.
func TestEvaluate(t *testing.T) {
	halved(t, func(a, b []sampleOf) score { return halves(t, a, b) })
}
