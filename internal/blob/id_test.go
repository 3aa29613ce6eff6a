package blob

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestIDText(t *testing.T) {
	at := time.UnixMilli(0x0123456789AB)
	id := MakeID(at, [10]byte{0xCD, 0xEF, 1, 2, 3, 4, 5, 6, 7, 8})
	const text = "014D2PF2DBSQQG20G30G2GC1R8"
	if got := id.String(); got != text {
		t.Errorf("String = %s, want %s", got, text)
	}
	if !id.Time().Equal(at) {
		t.Errorf("Time = %v, want %v", id.Time(), at)
	}
	for name, s := range map[string]string{
		"lower case":      strings.ToLower(text),
		"O for 0":         "0" + strings.ReplaceAll(text[1:], "0", "O"),
		"l and i for one": strings.ReplaceAll(text, "1", "l"),
	} {
		if got, err := ParseID(s); err != nil || got != id {
			t.Errorf("%s: ParseID(%s) = %v, %v", name, s, got, err)
		}
	}
	for _, s := range []string{"", text[1:], text + "0", "8" + text[1:], "0U" + text[2:], "0-" + text[2:], "O" + text[1:]} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("ParseID(%q) succeeded", s)
		}
	}
}

// The order of texts is the order of bytes is the order of time; text and bytes round-trip.
func TestIDOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.Custom(func(t *rapid.T) ID {
			var id ID
			copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
			return id
		})
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if bytes.Compare(a[:], b[:]) != strings.Compare(a.String(), b.String()) {
			t.Fatalf("%x and %x sort otherwise than %s and %s", a, b, a, b)
		}
		var back ID
		text, _ := a.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != a {
			t.Fatalf("%x → %s → %x, %v", a, a, back, err)
		}
	})
	early, late := NewID(time.UnixMilli(1000)), NewID(time.UnixMilli(1001))
	if early.String() >= late.String() {
		t.Errorf("%s of 1000 ms sorts after %s of 1001 ms", early, late)
	}
	if NewID(time.UnixMilli(-5)).Time().UnixMilli() != 0 {
		t.Error("a time before 1970 is not taken as 1970")
	}
}

func TestBody(t *testing.T) {
	data := []byte("From: a@example.net\r\n\r\nbody")
	for name, b := range map[string]Body{"bytes": Bytes(data), "file": From(bytes.NewReader(append(slices.Clone(data), "more than the body"...)), int64(len(data)))} {
		got, err := io.ReadAll(io.NewSectionReader(b, 0, 1000))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if n, err := b.ReadAt(make([]byte, 4), b.Size()-4); n != 4 || err != nil {
			t.Errorf("%s: the last bytes: %d, %v", name, n, err)
		}
		if n, err := b.ReadAt(make([]byte, 4), b.Size()+1); n != 0 || err != io.EOF {
			t.Errorf("%s: beyond the end: %d, %v", name, n, err)
		}
	}
}
