package imapserver

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posta/internal/imap"
	"posta/internal/mailbox"
)

// The runs must behave as a plain ascending slice does.
func TestUIDListAgainstSlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list uidList
		var model []mailbox.UID
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				u := list.last() + mailbox.UID(rapid.IntRange(0, 4).Draw(t, "gap"))
				list.append(u)
				if len(model) == 0 && u > 0 || len(model) > 0 && u > model[len(model)-1] {
					model = append(model, u)
				}
			},
			"remove": func(t *rapid.T) {
				uids := rapid.SliceOf(rapid.Map(rapid.IntRange(1, int(list.last())+2), func(n int) mailbox.UID { return mailbox.UID(n) })).Draw(t, "uids")
				slices.Sort(uids)
				list.remove(uids, func(seq uint32, u mailbox.UID) {
					if int(seq) > len(model) || model[seq-1] != u {
						t.Fatalf("EXPUNGE %d is not UID %d of %v", seq, u, model)
					}
					model = slices.Delete(model, int(seq)-1, int(seq))
				})
				for _, u := range uids {
					if slices.Contains(model, u) {
						t.Fatalf("%d was not removed", u)
					}
				}
			},
			"": func(t *rapid.T) {
				if list.len() != len(model) || !slices.Equal(list.all(), model) {
					t.Fatalf("%v is not %v", list.all(), model)
				}
				for i, u := range model {
					if list.at(uint32(i+1)) != u || list.seq(u) != uint32(i+1) {
						t.Fatalf("message %d of %v: %d, %d", i+1, model, list.at(uint32(i+1)), list.seq(u))
					}
				}
				if list.at(0) != 0 || list.at(uint32(len(model)+1)) != 0 || list.seq(list.last()+1) != 0 {
					t.Fatalf("beyond the ends of %v", model)
				}
				if n := uint32(len(model)); n > 1 && !slices.Equal(list.numbered([]imap.Range{{First: 2, Last: n + 3}}), model[1:]) {
					t.Fatalf("numbered 2:* of %v", model)
				}
				for i := 1; i < len(list.runs); i++ {
					if p := list.runs[i-1]; p.uid+p.n >= list.runs[i].uid && len(model) < 3 {
						t.Fatalf("runs %v touch", list.runs)
					}
				}
			},
		})
	})
}

func TestMatchName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%/%", "a/b", true}, {"a*b", "a/x/b", true}, {"a%b", "a/b", false},
		{"", "", true}, {"", "a", false}, {"a", "A", false}, {"%%%%*", "abc", true}, {"*/", "a/", true}, {"INBOX", "INBOX", true}, {"I%", "INBOX", true},
	} {
		if got := matchName(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

func BenchmarkUIDList(b *testing.B) {
	uids := make([]mailbox.UID, 100_000)
	for i := range uids {
		uids[i] = mailbox.UID(i + i/10 + 1) // a hole after each ten
	}
	b.ReportAllocs()
	for b.Loop() {
		l := newUIDs(uids)
		if l.seq(uids[77_777]) != 77_778 {
			b.Fatal("wrong number")
		}
	}
}
