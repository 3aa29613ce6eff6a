package learn

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"posta/internal/spam/spamtest"
)

// Features that went to another process are the same there.
func TestWire(t *testing.T) {
	for _, raw := range spamtest.Mail(5, 10) {
		f := mustRead(t, raw)
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got Features
		if err := got.UnmarshalBinary(b); err != nil || !slices.Equal(got.Hashes(), f.Hashes()) || !slices.Equal(names(got), names(f)) {
			t.Fatal(err)
		}
	}
	for _, b := range []string{"\x01", "\x51" + string(make([]byte, 90)), "\xff\x00\x00\x00\x00", "\x01a\x01a", "\xff\x00"} {
		if err := new(Features).UnmarshalBinary([]byte(b)); !errors.Is(err, ErrFeatures) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// What is taken is what would be written.
func FuzzWire(f *testing.F) {
	f.Add([]byte("\x01a\x01b\xff\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Features
		if err := x.UnmarshalBinary(b); err != nil {
			return
		}
		if again, err := x.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q became %q, %v", b, again, err)
		}
	})
}
