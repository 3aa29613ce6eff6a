package sqlstore

import (
	"slices"
	"strings"

	"posta/internal/store"
)

// Limits of the keywords of one message.
const (
	maxKeywords     = 64
	maxKeywordBytes = 255
)

// packKeywords gives the column's form of a set of keywords: sorted without
// regard to case, each once as it was first written, parted by a space.
func packKeywords(words []string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	var set []string
	for _, w := range words {
		if err := checkKeyword(w); err != nil {
			return "", err
		}
		if !hasKeyword(set, w) {
			set = append(set, w)
		}
	}
	if len(set) > maxKeywords {
		return "", wrap(store.ErrInvalid, "%d keywords on a message", len(set))
	}
	slices.SortFunc(set, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return strings.Join(set, " "), nil
}

// checkKeyword allows the characters of an IMAP atom (RFC 9051 §9, flag-keyword),
// and ']' with them, as clients write it.
func checkKeyword(w string) error {
	if w == "" || len(w) > maxKeywordBytes {
		return wrap(store.ErrInvalid, "a keyword of %d octets", len(w))
	}
	for _, c := range []byte(w) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\`, c) >= 0 {
			return wrap(store.ErrInvalid, "keyword %q", w)
		}
	}
	return nil
}

// unpackKeywords is the inverse; nil when there are none.
func unpackKeywords(packed string) []string {
	if packed == "" {
		return nil
	}
	return strings.Split(packed, " ")
}

func hasKeyword(set []string, w string) bool {
	return slices.ContainsFunc(set, func(x string) bool { return strings.EqualFold(x, w) })
}
