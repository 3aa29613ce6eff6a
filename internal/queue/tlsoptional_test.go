package queue

import (
	"testing"

	"posta/internal/store"
)

// Only what we write ourselves, from the null reverse-path, leaves though TLS fails; a header
// that somebody else wrote asks in vain.
func TestTLSOptional(t *testing.T) {
	for _, c := range []struct {
		out  store.Enqueue
		want bool
	}{
		{store.Enqueue{Sign: true, Prefix: []byte(store.TLSOptional)}, true},
		{store.Enqueue{Sign: true, Prefix: []byte("Received: x\r\n")}, false},
		{store.Enqueue{Sign: true}, false},
		{store.Enqueue{Prefix: []byte(store.TLSOptional)}, false},
		{store.Enqueue{Sign: true, ReversePath: "a@example.net", Prefix: []byte(store.TLSOptional)}, false},
	} {
		m := (&Queue{}).messageOf(&batch{entries: []store.QueueEntry{{Enqueue: c.out}}})
		if m.TLSOptional != c.want {
			t.Errorf("%+v: %v", c.out, m.TLSOptional)
		}
	}
}
