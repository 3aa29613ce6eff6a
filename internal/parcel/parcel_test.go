package parcel

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRoundTrip(t *testing.T) {
	items := []Item{
		{Mailbox: 3, Flags: []string{`\Seen`}, Keywords: []string{"$Work"}, Date: time.Date(2025, 3, 3, 10, 0, 0, 0, time.UTC), Size: 5},
		{Mailbox: 3, Size: 0},
		{UID: 9, Size: 7},
	}
	bodies := []string{"one\r\n", "", "\n{}\n\n\n\n"}
	var b bytes.Buffer
	w := NewWriter(&b)
	for i, it := range items {
		if err := w.Add(it, strings.NewReader(bodies[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(nil); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	r := NewReader(&b)
	for i := range items {
		it, body, err := r.Next()
		if err != nil || !reflect.DeepEqual(it, items[i]) {
			t.Fatalf("%+v, %v, want %+v", it, err, items[i])
		}
		if i == 1 {
			continue // what is not read is skipped
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != bodies[i] {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
	for n := range len(whole) - 1 { // wherever it is cut off
		r := NewReader(strings.NewReader(whole[:n]))
		var err error
		for err == nil {
			_, _, err = r.Next()
		}
		if !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestShortBodyIsNoStream(t *testing.T) {
	if err := NewWriter(io.Discard).Add(Item{Size: 10}, strings.NewReader("x")); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

func TestBrokenOff(t *testing.T) {
	var b bytes.Buffer
	if err := NewWriter(&b).End(errors.New("the disk is full")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewReader(&b).Next(); err == nil || err.Error() != "the disk is full" {
		t.Error(err)
	}
}

// Any octets end in an error, and no more octets come out than went in.
func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"size\":3}\nabc{\"end\":true}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		var total int64
		for {
			_, body, err := r.Next()
			if err != nil {
				break
			}
			n, err := io.Copy(io.Discard, body)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if total > int64(len(data)) {
			t.Fatalf("%d octets of %d", total, len(data))
		}
	})
}
