package rotate

import (
	"cmp"
	"crypto"
	"maps"
	"slices"
	"time"

	"posta/internal/command"
	"posta/internal/dkim"
)

func sorted(wanted map[string]string) []string { return slices.Sorted(maps.Keys(wanted)) }

// compare tells what the servers do not show of the records that are wanted at some
// names ("" is none), and how long at most their answers may be remembered.
func compare(wanted map[string]string, seen map[string][]Sight) (lacks []command.Lack, ttl time.Duration) {
	for _, name := range sorted(wanted) {
		if len(seen[name]) == 0 {
			lacks = append(lacks, command.Lack{Name: name, What: "unknown"})
		}
		for _, s := range seen[name] {
			ttl = max(ttl, s.TTL)
			if what := lacking(wanted[name], s); what != "" {
				lacks = append(lacks, command.Lack{Server: s.Server, Name: name, What: what})
			}
		}
	}
	slices.SortStableFunc(lacks, func(a, b command.Lack) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server))
	})
	return lacks, ttl
}

// lacking is what is wrong with one server's answer, as command.Lack.What has it; "" is
// nothing.
func lacking(want string, s Sight) string {
	switch {
	case s.Err != nil:
		return "silent"
	case want == "" && len(s.Records) > 0:
		return "left"
	case want == "":
		return ""
	case len(s.Records) > 1:
		return "several" // RFC 6376 §3.6.2.2: the result is undefined
	}
	w, err := dkim.ParseKey(want)
	if err != nil {
		return "other" // ours cannot be read: nothing is like it
	}
	if len(s.Records) == 0 {
		if w.Revoked {
			return "" // somebody removed it already: nobody can sign with it either
		}
		return "missing"
	}
	got, err := dkim.ParseKey(s.Records[0])
	if err != nil || !same(w, got) {
		return "other"
	}
	return ""
}

// same tells whether a record does what ours would. Providers' pages change spaces, and
// people add notes; a flag that restricts the key is no such thing.
func same(w, got *dkim.KeyRecord) bool {
	if w.Revoked || got.Revoked {
		return w.Revoked == got.Revoked
	}
	key, ok := w.Public.(interface{ Equal(crypto.PublicKey) bool }) // all of the standard library's are
	return ok && key.Equal(got.Public) && w.Algorithm == got.Algorithm &&
		got.Hashes == nil && got.Services == nil && !got.Testing && !got.Strict
}
