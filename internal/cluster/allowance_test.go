package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"testing"
)

// What an account sent through one node counts at the other: it has one day, and not
// one for each.
func testOneAllowance(t *testing.T, h *house) {
	user := h.account(t, "cuenta")
	h.a.posta(t, "", "account", "set", user, "--messages-per-day", "3")
	for i := range 2 {
		if err := h.a.trySubmit(user, user, letter(user, fmt.Sprint("dia-a", i), 500)); err != nil {
			t.Fatal(err)
		}
	}
	// The other node does not count before it has heard of the limit.
	put := func(n *node, subject string) error {
		err := n.trySubmit(user, user, letter(user, subject, 500))
		if r, ok := errors.AsType[*textproto.Error](err); ok && r.Code == 450 {
			return nil
		}
		return fmt.Errorf("a message is not put off: %v", err)
	}
	i := 0
	await(t, "the other node puts off what is too much", func() error { i++; return put(h.b, fmt.Sprint("dia-b", i)) })
	if err := put(h.a, "dia-mas"); err != nil {
		t.Error(err)
	}
	var shown struct{ Sent, Limit int }
	if err := json.Unmarshal([]byte(h.b.posta(t, "", "account", "show", user, "--json")), &shown); err != nil || shown.Sent != 3 || shown.Limit != 3 {
		t.Errorf("%+v, %v", shown, err)
	}
}
