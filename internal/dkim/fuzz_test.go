package dkim

import (
	"bytes"
	"context"
	"testing"
)

// Tags are found where they stand: value lies within from and to, names are
// valid and distinct, and what was accepted is accepted again with its tags
// printed plainly.
func FuzzParseTags(f *testing.F) {
	for _, s := range []string{"v=1; a=b", "a=1;;b=2;", " a = x y \r\n z ;b=", "a=1;a=2", "=", "a", "ñ=1", "a=ñ"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		var plain []byte
		n := 0
		err := parseTags(list, func(tg tag) error {
			if n++; n > maxTags || !validTagName(tg.name) {
				t.Fatalf("tag %d %q", n, tg.name)
			}
			if tg.from < 0 || tg.to > len(list) || !bytes.Equal(trimFWS(list[tg.from:tg.to]), tg.value) {
				t.Fatalf("%q is not at %d:%d", tg.value, tg.from, tg.to)
			}
			plain = append(append(append(append(plain, tg.name...), '='), tg.value...), ';')
			return nil
		})
		if err != nil {
			return
		}
		again := 0
		if err := parseTags(plain, func(tag) error { again++; return nil }); err != nil || again != n {
			t.Errorf("%q reprints as %q: %d tags, then %d, %v", list, plain, n, again, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, r := range rfcZone {
		f.Add(r)
	}
	f.Add("v=DKIM1; h=sha1:sha256; s=email; t=y:s; n=x; k=rsa; p=")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			if k != nil {
				t.Error("a key with an error")
			}
			return
		}
		if k.Revoked && k.Public != nil || k.Public == nil && k.Bits != 0 || k.Bits > maxRSABits {
			t.Errorf("%+v", k)
		}
		if k.Verify([32]byte{}, []byte("no signature")) {
			t.Error("verified nonsense")
		}
	})
}

// Arbitrary bytes get the same outcome in whatever pieces they are written, and
// at most eight results, each a pass of a signed From or one with a reason.
func FuzzVerify(f *testing.F) {
	f.Add(crlfText(rfc6376), uint8(9))
	f.Add(crlfText(rfc8463), uint8(1))
	f.Add(crlfText("DKIM-Signature: v=1; b=; h=:::\n\n"), uint8(1))
	f.Fuzz(func(t *testing.T, message []byte, step uint8) {
		opts := VerifyOptions{Lookup: rfcZone.lookup}
		got := Verify(context.Background(), message, opts)
		if len(got) > MaxSignatures {
			t.Fatalf("%d results", len(got))
		}
		header, body := SplitMessage(message)
		v := NewVerifier(header, opts)
		v.Start(context.Background())
		for n := int(step)%97 + 1; len(body) > 0; body = body[min(n, len(body)):] {
			v.Write(body[:min(n, len(body))])
		}
		for i, r := range v.Finish(context.Background()) {
			if r.Status != got[i].Status || r.Reason != got[i].Reason {
				t.Errorf("in pieces %s %s, at once %s %s", r.Status, r.Reason, got[i].Status, got[i].Reason)
			}
			if (r.Reason == ReasonNone) != (r.Status == Pass) || r.Status == None {
				t.Errorf("%s without a reason, or the reverse: %q", r.Status, r.Reason)
			}
			if r.Status == Pass && (!r.SignsFrom || r.SDID == "") {
				t.Errorf("passed: %+v", r)
			}
		}
	})
}
