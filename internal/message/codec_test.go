package message

import (
	"bytes"
	"testing"
)

func roundTrip(t *testing.T, p *Part) {
	t.Helper()
	enc, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var q Part
	if err := q.UnmarshalBinary(enc); err != nil || !q.Equal(p) {
		t.Fatalf("%v: %+v, want %+v", err, q, p)
	}
	var want, got []Envelope
	p.Walk(func(p *Part) bool {
		if p.Message != nil {
			want = append(want, *p.Message.Envelope)
		}
		return true
	})
	q.Walk(func(p *Part) bool {
		if p.Message != nil {
			got = append(got, *p.Message.Envelope)
		}
		return true
	})
	if len(got) != len(want) {
		t.Fatal("envelopes lost")
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("envelope %+v, want %+v", got[i], want[i])
		}
	}
	e, err := p.Envelope.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Envelope
	if err := back.UnmarshalBinary(e); err != nil || back != *p.Envelope || *back.Clone() != back {
		t.Fatalf("envelope %+v, %v; want %+v", back, err, *p.Envelope)
	}
}

func TestCodec(t *testing.T) {
	t.Parallel()
	msg := typical()
	p := ParseBytes(msg, Budget{})
	roundTrip(t, p)
	enc, _ := p.MarshalBinary()
	if len(enc) > 150 {
		t.Errorf("a typical structure takes %d octets", len(enc))
	}
	for i := range enc {
		var q Part
		if q.UnmarshalBinary(enc[:i]) == nil {
			t.Errorf("accepted when cut at %d", i)
		}
	}
	outer := append([]byte("Content-Type: message/rfc822\r\nContent-Language: es\r\nContent-MD5: x\r\nContent-ID: <a>\r\nContent-Disposition: inline\r\n\r\n"), msg...)
	roundTrip(t, ParseBytes(outer, Budget{}))
	if _, err := (&Part{Start: 2, Body: 1}).MarshalBinary(); err == nil {
		t.Error("wrote impossible offsets")
	}
	if (&Part{}).UnmarshalBinary([]byte{9}) == nil || (&Envelope{}).UnmarshalBinary([]byte{9, 0}) == nil {
		t.Error("accepted an unknown version")
	}
}

func FuzzCodec(f *testing.F) {
	enc, _ := ParseBytes(typical(), Budget{}).MarshalBinary()
	f.Add(enc, []byte("Content-Type: message/rfc822\r\n\r\nSubject: x\r\nTo: y\r\n\r\n"))
	f.Add([]byte{1, 0, 0}, []byte("Content-Type: multipart/mixed; boundary=a\n\n--a\n\n--a\n\n"))
	f.Fuzz(func(t *testing.T, enc, msg []byte) {
		if len(msg) < 1<<14 {
			roundTrip(t, ParseBytes(msg, Budget{}))
		}
		var p Part
		if p.UnmarshalBinary(enc) == nil {
			again, err := p.MarshalBinary()
			var q Part
			if err != nil || q.UnmarshalBinary(again) != nil || !q.Equal(&p) {
				t.Fatalf("accepted %x, wrote %x, %v", enc, again, err)
			}
		}
		var e Envelope
		if e.UnmarshalBinary(enc) == nil {
			if again, _ := e.MarshalBinary(); !bytes.Equal(again, enc) {
				t.Fatalf("accepted %x, wrote %x", enc, again)
			}
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	p := ParseBytes(typical(), Budget{})
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = p.AppendBinary(buf[:0])
		var q Part
		if err := q.UnmarshalBinary(buf); err != nil {
			b.Fatal(err)
		}
	}
}
