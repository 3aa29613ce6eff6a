package store

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"posta/internal/mail"
)

func TestAcceptRecord(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r := &AcceptRecord{
		Accept: mail.NewID(at), At: at, From: "a@example.net",
		Deliveries:   []AcceptPlace{{Login: "ana@empresa.test", Role: "junk", Keywords: []string{"$SPFSoftFail"}}},
		Queued:       []AcceptForward{{Address: "b@example.org", Domain: "example.org", As: 1}},
		Asked:        []AcceptAsked{{Original: "rfc822;b@example.net", Notify: uint8(mail.NotifySuccess), Seal: "empresa.test"}},
		Held:         []AcceptHold{{Recipient: "d@empresa.test", Domain: "empresa.test", Seal: "empresa.test"}},
		Wishes:       &AcceptWishes{EnvID: "QQ314159", RetFull: true, EightBit: true, Binary: true, UTF8: true, RequireTLS: true, Sign: true, Login: "ana@empresa.test"},
		QueuedPrefix: []byte("Received: from x\r\n"),
		Prefix:       []byte("Received: from x\r\n\tby y\r\n"),
	}
	got, err := DecodeAcceptRecord(r.Encode())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, r)
	}
}

// What was written before records had versions is read, and asks for nothing.
func TestAcceptRecordVersion0(t *testing.T) {
	const old = `{"id":"%s","at":"2026-11-21T10:00:00Z","from":"a@example.net","queued":[{"address":"b@example.org","domain":"example.org"}]}` + "\nReceived: from x\r\n"
	id := mail.NewID(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	r, err := DecodeAcceptRecord(fmt.Appendf(nil, old, id))
	if err != nil || r.Version != 0 || r.Accept != id || r.Wishes != nil || r.Queued[0].Address != "b@example.org" || r.AskedOf(r.Queued[0]) != (AcceptAsked{}) {
		t.Fatalf("%+v, %v", r, err)
	}
	var e Enqueue
	r.Wishes.Grant(&e)
	if !reflect.DeepEqual(e, Enqueue{}) {
		t.Errorf("an old record grants %+v", e)
	}
}

// The targets of an alias share what was asked for it.
func TestAcceptRecordAsked(t *testing.T) {
	var r AcceptRecord
	plain := Enqueue{Recipients: []QueueTo{{Address: "a@example.org"}, {Address: "b@example.org", Notify: mail.NotifyDelay}}}
	alias := Enqueue{Seal: "empresa.test", Recipients: []QueueTo{
		{Address: "c@example.org", Original: "rfc822;c@empresa.test"}, {Address: "d@example.org", Original: "rfc822;c@empresa.test"},
	}}
	r.Queue(&plain)
	r.Queue(&alias)
	want := []AcceptAsked{{Notify: uint8(mail.NotifyDelay)}, {Original: "rfc822;c@empresa.test", Seal: "empresa.test"}}
	if !reflect.DeepEqual(r.Asked, want) {
		t.Errorf("asked: %+v", r.Asked)
	}
	for i, want := range []AcceptAsked{{}, want[0], want[1], want[1]} {
		if got := r.AskedOf(r.Queued[i]); got != want {
			t.Errorf("%s: %+v, want %+v", r.Queued[i].Address, got, want)
		}
	}
	if got := r.AskedOf(AcceptForward{As: 3}); got != (AcceptAsked{}) {
		t.Errorf("of what is not there: %+v", got)
	}
}

// Which prefix is whose.
func TestAcceptRecordPrefixes(t *testing.T) {
	const plain, sealed = "Received: x\r\n", "Authentication-Results: y\r\nReceived: x\r\n"
	filed := AcceptRecord{Prefix: []byte("Return-Path: <z>\r\n" + sealed), QueuedPrefix: []byte(plain)}
	inMailbox, held := filed, filed
	inMailbox.Deliveries, held.Held = []AcceptPlace{{}}, []AcceptHold{{}}
	for name, c := range map[string]struct {
		r             AcceptRecord
		plain, sealed string
	}{
		"delivered":       {inMailbox, plain, sealed},
		"held":            {held, plain, sealed},
		"queued":          {AcceptRecord{Prefix: []byte(plain)}, plain, ""},
		"queued and both": {AcceptRecord{Prefix: []byte(sealed), QueuedPrefix: []byte(plain), Asked: []AcceptAsked{{Notify: 1}, {Seal: "a"}}}, plain, sealed},
	} {
		if p, s := c.r.Prefixes(); string(p) != c.plain || string(s) != c.sealed {
			t.Errorf("%s: %q, %q", name, p, s)
		}
	}
}

// Wishes are carried from one Enqueue to another without loss.
func TestWishes(t *testing.T) {
	want := Enqueue{EnvID: "QQ", RetFull: true, EightBit: true, Binary: true, UTF8: true, RequireTLS: true, Sign: true}
	var got Enqueue
	WishesOf(&want, "").Grant(&got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w := WishesOf(&Enqueue{ReversePath: "a@example.net"}, ""); w != nil {
		t.Errorf("wishes of who wished nothing: %+v", w)
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
