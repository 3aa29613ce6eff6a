package imapserver

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"posta/internal/store"
)

// view is a mailbox as a client believes it to be, from untagged responses alone.
type view struct {
	uids  []int // by message number, 0 unknown
	flags []string
}

var (
	countLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)$`)
	fetchLine = regexp.MustCompile(`^\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))?.*\)$`)
	vanished  = regexp.MustCompile(`^\* VANISHED (\S+)$`)
)

// take applies one line and says what would be a breach of the protocol.
func (v *view) take(line string, numbered bool) error {
	if m := countLine.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		if m[2] == "EXISTS" {
			if n < len(v.uids) {
				return fmt.Errorf("EXISTS falls from %d to %d", len(v.uids), n)
			}
			for len(v.uids) < n {
				v.uids, v.flags = append(v.uids, 0), append(v.flags, "?")
			}
			return nil
		}
		if numbered || n > len(v.uids) {
			return fmt.Errorf("%s of %d messages, numbered %v", line, len(v.uids), numbered)
		}
		v.uids, v.flags = slices.Delete(v.uids, n-1, n), slices.Delete(v.flags, n-1, n)
	}
	if m := vanished.FindStringSubmatch(line); m != nil {
		if numbered {
			return fmt.Errorf("%s while numbers are in use", line)
		}
		for part := range strings.SplitSeq(m[1], ",") {
			first, last, ok := strings.Cut(part, ":")
			if !ok {
				last = first
			}
			a, _ := strconv.Atoi(first)
			z, _ := strconv.Atoi(last)
			for u := a; u <= z; u++ {
				i := slices.Index(v.uids, u)
				if i < 0 {
					return fmt.Errorf("%s: %d is not in %v", line, u, v.uids)
				}
				v.uids, v.flags = slices.Delete(v.uids, i, i+1), slices.Delete(v.flags, i, i+1)
			}
		}
	}
	if m := fetchLine.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		if n > len(v.uids) {
			return fmt.Errorf("%s of %d messages", line, len(v.uids))
		}
		if m[2] != "" {
			u, _ := strconv.Atoi(m[2])
			if v.uids[n-1] != 0 && v.uids[n-1] != u {
				return fmt.Errorf("%s: it was UID %d", line, v.uids[n-1])
			}
			v.uids[n-1] = u
		}
		if strings.Contains(line, "FLAGS (") {
			f := strings.Fields(m[3])
			slices.Sort(f)
			v.flags[n-1] = strings.Join(f, " ")
		}
	}
	return nil
}

// TestTwoClientsAgainstModel: two clients change one mailbox at random. Whatever
// they do, what each was told makes, at the end, the mailbox as it is.
func TestTwoClientsAgainstModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			twoClients(t, newBench(t, ImplicitTLS, nil), rand.New(rand.NewPCG(seed, 9051)), seed%3 == 2)
		})
	}
}

func twoClients(t *testing.T, b *bench, r *rand.Rand, qresync bool) {
	for range 5 {
		b.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	}
	var cs [2]*client
	var views [2]view
	run := func(i int, command string, numbered bool) {
		t.Helper()
		for _, line := range cs[i].run("T", command) {
			if err := views[i].take(line, numbered); err != nil {
				t.Fatalf("client %d, %s: %v", i, command, err)
			}
			if strings.HasPrefix(line, "T BAD") || line == "(closed)" {
				t.Fatalf("client %d, %s: %s", i, command, line)
			}
		}
	}
	for i := range cs {
		cs[i] = b.dial().login()
		if qresync {
			run(i, "ENABLE QRESYNC", false)
		}
		run(i, "SELECT INBOX", false)
		run(i, "FETCH 1:* (UID FLAGS)", true)
	}
	flags := []string{`\Seen`, `\Deleted`, `\Flagged`, "$Work"}
	for range 120 {
		i := r.IntN(2)
		n := len(views[i].uids)
		set := "1:*"
		if n > 0 {
			a, z := r.IntN(n)+1, r.IntN(n)+1
			set = fmt.Sprintf("%d:%d", a, z)
		}
		flag := flags[r.IntN(len(flags))]
		switch op := r.IntN(12); op {
		case 0, 1:
			run(i, fmt.Sprintf("STORE %s +FLAGS (%s)", set, flag), true)
		case 2:
			run(i, fmt.Sprintf("STORE %s -FLAGS (%s)", set, flag), true)
		case 3:
			run(i, fmt.Sprintf("UID STORE %d:%d FLAGS (%s)", r.IntN(20)+1, r.IntN(20)+1, flag), false)
		case 4:
			run(i, "EXPUNGE", false)
		case 5, 6:
			b.deliver("INBOX", "Subject: y\r\n\r\nbody\r\n")
		case 7:
			run(i, fmt.Sprintf("UID MOVE %d Trash", r.IntN(25)+1), false)
		case 8:
			run(i, fmt.Sprintf("UID COPY %d INBOX", r.IntN(25)+1), false)
		case 9:
			run(i, fmt.Sprintf("FETCH %s (UID FLAGS)", set), true)
		case 10:
			run(i, "NOOP", false)
		case 11:
			run(i, "SEARCH UNSEEN", true)
		}
		// VANISHED names UIDs, so a client of QRESYNC asks for those it does not know.
		for n == 0 && len(views[i].uids) > 0 || qresync && slices.Contains(views[i].uids, 0) {
			n = len(views[i].uids)
			run(i, "FETCH 1:* (UID FLAGS)", true)
		}
	}
	for i := range cs {
		run(i, "NOOP", false)
		known := views[i]
		views[i] = view{uids: slices.Clone(known.uids), flags: slices.Clone(known.flags)}
		run(i, "UID FETCH 1:* (FLAGS)", false)
		for k := range known.uids {
			if known.uids[k] != 0 && known.uids[k] != views[i].uids[k] {
				t.Errorf("client %d: message %d is UID %d, it believed %d", i, k+1, views[i].uids[k], known.uids[k])
			}
			if known.flags[k] != "?" && known.flags[k] != views[i].flags[k] {
				t.Errorf("client %d: message %d has (%s), it believed (%s)", i, k+1, views[i].flags[k], known.flags[k])
			}
		}
	}
	var want view
	found, err := b.at.store.Fetch(t.Context(), b.at.account, b.box("INBOX"), store.FetchQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		f := append(m.Flags.Names(), m.Keywords...)
		slices.Sort(f)
		want.uids, want.flags = append(want.uids, int(m.UID)), append(want.flags, strings.Join(f, " "))
	}
	for i := range cs {
		if !slices.Equal(views[i].uids, want.uids) || !slices.Equal(views[i].flags, want.flags) {
			t.Errorf("client %d sees\n%v\n%q\nthe mailbox is\n%v\n%q", i, views[i].uids, views[i].flags, want.uids, want.flags)
		}
	}
}
