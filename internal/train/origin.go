package train

import (
	"slices"
	"strings"

	"posta/internal/mail"
	"posta/internal/message"
)

// origin is where a message came from, as the trace field says that Posta put above
// it. The zero origin is of one that was stored by a client, or imported.
type origin struct {
	id     mail.ID // of its accept
	others bool    // it was received, and not submitted by one of ours (RFC 3848: no "A" in the protocol)
}

// originOf reads what Posta put above a message: the first Received field there is our
// own. What a client said stands in it without parentheses, so that nobody else writes
// "(Posta)".
func originOf(prefix []byte) origin {
	for f := range message.Header(prefix).All("Received") {
		words := strings.Fields(f.Value())
		i := slices.Index(words, "(Posta)")
		if i < 0 || len(words) < i+5 || words[i+1] != "with" || words[i+3] != "id" {
			return origin{}
		}
		id, err := mail.ParseID(strings.TrimSuffix(words[i+4], ";"))
		if err != nil || id.IsZero() {
			return origin{}
		}
		return origin{id, !strings.HasSuffix(words[i+2], "A")}
	}
	return origin{}
}
