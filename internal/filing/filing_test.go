package filing

import (
	"fmt"
	"testing"

	"posta/internal/addr"
	"posta/internal/mail"
)

// A set of places is the same when it has become a large one.
func TestPlaces(t *testing.T) {
	var s places
	for round := range 2 {
		for i := range 100 {
			p := place{kind: mail.Enqueue, to: addr.Address{Local: addr.Localpart(fmt.Sprint("u", i)), Domain: "example.net"}}
			if got := s.add(p); got != (round == 0) {
				t.Fatalf("round %d, place %d: new %v", round, i, got)
			}
			if p.to.Local = "x"; round == 1 && s.add(place{kind: mail.Append, account: int64(i), to: p.to}) != true {
				t.Fatalf("account %d is taken for an address", i)
			}
		}
	}
}
