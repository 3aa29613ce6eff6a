package store

import (
	"reflect"
	"testing"
	"time"

	"posta/internal/mail"
)

func TestAcceptRecord(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r := &AcceptRecord{
		Accept: mail.NewID(at), At: at, From: "a@example.net",
		Deliveries: []AcceptPlace{{Login: "ana@empresa.test", Role: "junk", Keywords: []string{"$SPFSoftFail"}}},
		Queued:     []AcceptForward{{"b@example.org", "example.org"}},
		Prefix:     []byte("Received: from x\r\n\tby y\r\n"),
	}
	got, err := DecodeAcceptRecord(r.Encode())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, r)
	}
}

// Arbitrary bytes never become a record that does not encode to itself.
func FuzzAcceptRecord(f *testing.F) {
	f.Add((&AcceptRecord{Accept: mail.NewID(time.Unix(1, 0)), Prefix: []byte("X: y\r\n")}).Encode())
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeAcceptRecord(b)
		if err != nil {
			return
		}
		again, err := DecodeAcceptRecord(r.Encode())
		if err != nil || again.Accept != r.Accept || string(again.Prefix) != string(r.Prefix) {
			t.Fatalf("%q: %v", b, err)
		}
	})
}
