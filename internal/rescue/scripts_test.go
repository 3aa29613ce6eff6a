package rescue_test

import (
	"maps"
	"testing"

	"posta/internal/command"
	"posta/internal/store"
)

// What scripts did with a message, a folder, flags, an edited header, a redirect with a
// reverse-path of ours, is made again from the bytes alone; what others have of the same
// message is as it came.
func TestRebuildScripts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	put := `{"of": "ana@empresa.test", "name": "x", "activate": true, "text": "require [\"editheader\", \"fileinto\", \"imap4flags\"];\nredirect \"fuera@example.net\";\naddheader \"X-Label\" \"año\";\nfileinto :flags \"\\\\Seen\" \"Papeles/Año\";\n"}`
	if _, err := command.Do(t.Context(), h.state.House(), command.Principal{Name: "test", Role: store.Owner}, "sieve.put", []byte(put)); err != nil {
		t.Fatal(err)
	}
	l := letter{from: "x@example.org", to: []string{"ana@empresa.test", "luis@empresa.test"}, text: text(1, 500)}
	if _, err := h.send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	before, want := h.contents(t.Context()), h.leaving()
	if len(before) != 2 || len(want) != 1 {
		t.Fatalf("%v\n%+v", before, want)
	}
	h.rebuiltSame(want)
	if after := h.contents(t.Context()); !maps.Equal(before, after) {
		t.Errorf("now %v\nwas %v", after, before)
	}
}
