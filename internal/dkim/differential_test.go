package dkim

import (
	"bytes"
	"context"
	"crypto"
	"math/rand/v2"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// theirs verifies with go-msgauth and tells for each signature whether it passed.
func theirs(t *testing.T, message []byte, z zone) []bool {
	t.Helper()
	verifications, err := msgauth.VerifyWithOptions(bytes.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			r, _, err := z.lookup(context.Background(), name)
			return r, err
		}})
	if err != nil {
		return nil
	}
	var pass []bool
	for _, v := range verifications {
		pass = append(pass, v.Err == nil)
	}
	return pass
}

func ours(t *testing.T, message []byte, z zone) []bool {
	t.Helper()
	var pass []bool
	for _, r := range Verify(t.Context(), message, VerifyOptions{Lookup: z.lookup}) {
		pass = append(pass, r.Status == Pass)
	}
	return pass
}

func TestTheyVerifyOurs(t *testing.T) {
	for _, body := range bodies {
		if strings.ContainsAny(strings.ReplaceAll(body.body, "\r\n", ""), "\r\n") {
			continue // they mend bare CR and LF, we keep them
		}
		m := sign(t, []byte("From: a@example.org\r\nSubject: x \r\n y\r\n\r\n"+body.body), SignOptions{})
		if got := theirs(t, m, testZone(t)); len(got) != 2 || !got[0] || !got[1] {
			t.Errorf("body %q: %v", body.body, got)
		}
	}
}

func TestWeVerifyTheirs(t *testing.T) {
	k := testKeys()
	canons := []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}
	for _, body := range bodies {
		if strings.ContainsAny(strings.ReplaceAll(body.body, "\r\n", ""), "\r\n") {
			continue
		}
		for _, h := range canons {
			for _, b := range canons {
				for sel, key := range map[string]crypto.Signer{"r": k.rsa, "e": k.ed} {
					var signed bytes.Buffer
					err := msgauth.Sign(&signed, strings.NewReader("From: a@example.org\r\nSubject:  x \r\n\ty\r\n\r\n"+body.body),
						&msgauth.SignOptions{Domain: "example.org", Selector: sel, Signer: key, Hash: crypto.SHA256,
							HeaderCanonicalization: h, BodyCanonicalization: b})
					if err != nil {
						t.Fatal(err)
					}
					if got := ours(t, signed.Bytes(), testZone(t)); len(got) != 1 || !got[0] {
						t.Errorf("%s/%s %s body %q: %v", h, b, sel, body.body, got)
					}
				}
			}
		}
	}
}

// Small changes anywhere in a signed message: both sides must agree on what still
// verifies.
func TestMutationsAgree(t *testing.T) {
	signed := sign(t, crlfText(plain), SignOptions{Now: now})
	z := testZone(t)
	random := rand.New(rand.NewPCG(1, 2))
	inserts := []string{" ", "\t", "  ", "x", "\r\n ", "\r\n\t", "\r\n", ":", ";", "=", "A", "From: x\r\n", "\xc3\xb1"}
	agreed := map[bool]int{}
	for range 1500 {
		at := random.IntN(len(signed))
		m := append([]byte(nil), signed[:at]...)
		cut := random.IntN(3)
		if cut == 0 || random.IntN(2) == 0 {
			m = append(m, inserts[random.IntN(len(inserts))]...)
		}
		m = append(m, signed[min(at+cut, len(signed)):]...)
		if strings.ContainsAny(strings.ReplaceAll(string(m), "\r\n", ""), "\r\n") {
			continue // they mend bare CR and LF, we keep them
		}
		o, th := ours(t, m, z), theirs(t, m, z)
		if th == nil {
			continue // they refuse the whole header
		}
		if len(o) != len(th) {
			t.Errorf("we see %d signatures, they %d:\n%q", len(o), len(th), m)
			continue
		}
		for i := range o {
			if o[i] != th[i] {
				t.Errorf("signature %d: we say %v, they %v:\n%q", i, o[i], th[i], m)
			}
			agreed[o[i]]++
		}
	}
	if agreed[true] < 100 || agreed[false] < 100 {
		t.Errorf("the mutations are too tame or too wild: %v", agreed)
	}
}
