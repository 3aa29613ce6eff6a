package dkim

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// custom signs header and body with the Ed25519 test key under a signature field
// whose tags the test chooses; BH stands for the right body hash. Only the tags
// before b= are free.
func custom(t *testing.T, tags, header, body string) []byte {
	t.Helper()
	probe := parseSignature(KindDKIM, []byte("DKIM-Signature: "+tags), newField([]byte("DKIM-Signature: "+tags), 0, 16+len(tags)), time.Time{})
	b := newBodyHash(probe.res.BodyCanon, probe.res.BodyLength)
	b.Write([]byte(body))
	sum := b.Sum()
	tags = strings.Replace(tags, "BH", base64.StdEncoding.EncodeToString(sum[:]), 1)
	field := "DKIM-Signature: " + tags + "; b="
	h := indexHeader([]byte(header))
	var data []byte
	for _, name := range probe.res.SignedHeaders {
		if f := h.pick(name, 1); f != nil {
			data = AppendField(data, h.block[f.start:f.end], probe.res.HeaderCanon)
		}
	}
	data = AppendField(data, []byte(field), probe.res.HeaderCanon)
	digest := sha256.Sum256(data[:len(data)-2])
	sig, err := testKeys().ed.Sign(nil, digest[:], crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(field + base64.StdEncoding.EncodeToString(sig) + "\r\n" + header + "\r\n" + body)
}

const (
	customHeader = "From: a@example.org\r\nSubject: x\r\n"
	customBody   = "Hello\r\n"
	goodTags     = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; h=From:Subject; bh=BH"
)

func TestStatuses(t *testing.T) {
	k := testKeys()
	ed := record(t, k.ed.Public())
	edKey := func(more string) string { return strings.Replace(ed, "k=", more+" k=", 1) }
	rsaKey := record(t, k.rsa.Public())
	weak, err := Record(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 767, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	huge, err := Record(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 9000, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) string { return strings.Replace(goodTags, old, new, 1) }
	tests := []struct {
		name   string
		tags   string
		key    string // record of e._domainkey.example.org; "" is ed
		status Status
		reason Reason
	}{
		{"good", goodTags, "", Pass, ""},
		{"simple by default", with("c=relaxed/relaxed; ", ""), "", Pass, ""},
		{"body simple by default", with("relaxed/relaxed", "relaxed"), "", Pass, ""},
		{"upper case domain", with("example.org", "EXAMPLE.org"), "", Pass, ""},
		{"identity in a subdomain", goodTags + "; i=x@mail.example.org", "", Pass, ""},
		{"identity elsewhere", goodTags + "; i=x@example.com", "", PermError, ReasonDomainMismatch},
		{"identity that only ends alike", goodTags + "; i=x@badexample.org", "", PermError, ReasonDomainMismatch},
		{"subdomain under t=s", goodTags + "; i=x@mail.example.org", edKey("t=s;"), PermError, ReasonDomainMismatch},
		{"same domain under t=s", goodTags + "; i=x@example.org", edKey("t=s;"), Pass, ""},
		{"query method", goodTags + "; q=http/new : dns/txt", "", Pass, ""},
		{"unknown query method", goodTags + "; q=http/new", "", PermError, ReasonAlgorithm},
		{"not yet expired", goodTags + "; x=1800000001", "", Pass, ""},
		{"expired", goodTags + "; t=1700000000; x=1799999999", "", PermError, ReasonExpired},
		{"expires before signing", goodTags + "; t=1900000000; x=1899999999", "", PermError, ReasonSyntax},
		{"clock a little ahead", goodTags + "; t=1800003600", "", Pass, ""},
		{"from the future", goodTags + "; t=1800003601", "", Policy, ReasonFuture},
		{"body length", goodTags + "; l=7", "", Neutral, ReasonLengthTag},
		{"body length beyond the body", goodTags + "; l=8", "", PermError, ReasonLengthTag},
		{"body length not a number", goodTags + "; l=-1", "", PermError, ReasonSyntax},
		{"sha1", with("ed25519-sha256", "rsa-sha1"), "", PermError, ReasonSHA1},
		{"unknown algorithm", with("ed25519-sha256", "rsa-md5"), "", PermError, ReasonAlgorithm},
		{"unknown canonicalization", with("relaxed/relaxed", "relaxed/nowsp"), "", PermError, ReasonAlgorithm},
		{"version 2", with("v=1", "v=2"), "", PermError, ReasonVersion},
		{"no version", with("v=1; ", ""), "", PermError, ReasonSyntax},
		{"a tag twice", goodTags + "; d=example.org", "", PermError, ReasonSyntax},
		{"an unknown tag", goodTags + "; zz=1", "", Pass, ""},
		{"From not signed", with("From:", ""), "", PermError, ReasonFromUnsigned},
		{"empty signed name", with("From:", "From::"), "", PermError, ReasonSyntax},
		{"bad domain", with("example.org", "exam ple..org"), "", PermError, ReasonSyntax},
		{"key name too long", with("s=e", "s="+strings.Repeat("abcdefg.", 30)+"e"), "!", PermError, ReasonSyntax},
		{"wrong body hash", with("BH", "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="), "", Fail, ReasonBodyMismatch},
		{"short body hash", with("BH", "AAAA"), "", PermError, ReasonSyntax},
		{"no key", goodTags, "-", PermError, ReasonKeyMissing},
		{"lookup fails for now", goodTags, "!", TempError, ReasonKeyUnavailable},
		{"revoked", goodTags, "v=DKIM1; k=ed25519; p=", PermError, ReasonKeyRevoked},
		{"no p=", goodTags, "v=DKIM1; k=ed25519", PermError, ReasonKeySyntax},
		{"foreign version", goodTags, "v=DKIM2; k=ed25519; p=AAAA", PermError, ReasonKeySyntax},
		{"damaged key", goodTags, "v=DKIM1; k=ed25519; p=AAAA", PermError, ReasonKeySyntax},
		{"key not base64", goodTags, "v=DKIM1; k=ed25519; p=*", PermError, ReasonKeySyntax},
		{"weak RSA", with("ed25519", "rsa"), weak, PermError, ReasonKeyWeak},
		{"huge RSA", with("ed25519", "rsa"), huge, PermError, ReasonKeyTooLarge},
		{"RSA key for Ed25519", goodTags, rsaKey, PermError, ReasonKeyInapplicable},
		{"key for sha1 only", goodTags, edKey("h=sha1;"), PermError, ReasonKeyInapplicable},
		{"key for sha1 and sha256", goodTags, edKey("h=sha1 : sha256;"), Pass, ""},
		{"key for another service", goodTags, edKey("s=tlsrpt;"), PermError, ReasonKeyInapplicable},
		{"key for email", goodTags, edKey("s=tlsrpt:email;"), Pass, ""},
		{"key for all", goodTags, edKey("s=*;"), Pass, ""},
		{"key with notes", goodTags, edKey("n=made in June;"), Pass, ""},
		{"key record with empty tags", goodTags, edKey(";;"), Pass, ""},
		{"two keys", goodTags, ed + "\n" + rsaKey, PermError, ReasonKeyMultiple},
		{"key beside a foreign record", goodTags, "v=spf1 -all\n" + ed, Pass, ""},
		{"testing and good", goodTags, edKey("t=y;"), Pass, ""},
		{"testing and bad", with("BH", "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="), edKey("t=y;"), Neutral, ReasonTestFlag},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := zone{"e._domainkey.example.org": tt.key}
			switch tt.key {
			case "":
				z["e._domainkey.example.org"] = ed
			case "-":
				z = nil
			}
			got := Verify(t.Context(), custom(t, tt.tags, customHeader, customBody), VerifyOptions{Lookup: z.lookup, Now: now})
			if len(got) != 1 || got[0].Status != tt.status || got[0].Reason != tt.reason {
				t.Fatalf("got %+v, want %s %s", got, tt.status, tt.reason)
			}
			if (got[0].Detail == "") != (got[0].Status == Pass) {
				t.Errorf("detail %q with %s", got[0].Detail, got[0].Status)
			}
		})
	}
}

// A definite answer about the body does not wait for a key that cannot be had.
func TestChangedBodyBeatsTempError(t *testing.T) {
	m := custom(t, goodTags, customHeader, customBody)
	z := zone{"e._domainkey.example.org": "!"}
	got := Verify(t.Context(), append(m, "PS\r\n"...), VerifyOptions{Lookup: z.lookup})
	if got[0].Status != Fail || got[0].Reason != ReasonBodyMismatch {
		t.Errorf("got %+v", got[0])
	}
}

// l= covers a prefix: text may follow, which is why it is only neutral.
func TestBodyLengthPrefix(t *testing.T) {
	m := custom(t, goodTags+"; l=7", customHeader, customBody)
	z := testZone(t)
	got := Verify(t.Context(), append(m, "an advertisement\r\n"...), VerifyOptions{Lookup: z.lookup})
	if got[0].Status != Neutral || got[0].Reason != ReasonLengthTag || got[0].BodyLength != 7 {
		t.Errorf("got %+v", got[0])
	}
}

// RFC 8616: d=, s= and i= may be U-labels; keys are found by A-labels.
func TestRFC8616(t *testing.T) {
	tags := "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=españa.example; s=clé; i=ana@correo.España.example; h=From; bh=BH"
	z := zone{"xn--cl-cja._domainkey.xn--espaa-rta.example": record(t, testKeys().ed.Public())}
	got := Verify(t.Context(), custom(t, tags, "From: añ@españa.example\r\n", customBody), VerifyOptions{Lookup: z.lookup})
	if r := got[0]; r.Status != Pass || r.SDID != "xn--espaa-rta.example" || r.AUID != "ana@correo.xn--espaa-rta.example" {
		t.Errorf("got %+v", r)
	}
}

func TestUnsigned(t *testing.T) {
	v := NewVerifier(crlfText("From: x\n"), VerifyOptions{})
	v.Start(t.Context())
	if got := v.Finish(t.Context()); got != nil || v.Signatures() != 0 {
		t.Errorf("got %+v", got)
	}
}

// Nine signatures: the topmost eight are verified, the ninth is counted.
func TestTooManySignatures(t *testing.T) {
	signed := string(custom(t, goodTags, customHeader, customBody))
	field := signed[:strings.Index(signed, "\r\n")+2]
	m := strings.Repeat(field, 8) + signed
	header, body := SplitMessage([]byte(m))
	v := NewVerifier(header, VerifyOptions{Lookup: testZone(t).lookup})
	v.Write(body)
	got := v.Finish(t.Context())
	if len(got) != 8 || v.Ignored() != 1 || len(v.keys) != 1 || len(v.bodies) != 1 {
		t.Errorf("%d results, %d ignored, %d keys, %d bodies", len(got), v.Ignored(), len(v.keys), len(v.bodies))
	}
	for _, r := range got {
		if r.Status != Pass {
			t.Errorf("got %+v", r)
		}
	}
}

func TestBudgets(t *testing.T) {
	long := "DKIM-Signature: v=1; d=example.org; n=" + strings.Repeat("x", maxSignatureField) + "\r\n" + customHeader
	names := "DKIM-Signature: v=1; d=example.org; h=" + strings.Repeat("a:", maxSignedNames) + "from\r\n" + customHeader
	fields := string(custom(t, goodTags, customHeader, ""))
	fields = strings.TrimSuffix(fields, "\r\n") + strings.Repeat("X: y\r\n", maxFields)
	for _, m := range []string{long, names, fields} {
		got := Verify(t.Context(), []byte(m), VerifyOptions{Lookup: testZone(t).lookup})
		if len(got) != 1 || got[0].Status != PermError || got[0].Reason != ReasonBudget {
			t.Errorf("got %+v", got)
		}
	}
}

// Lookups begin with Start and run side by side while the body arrives.
func TestStartLooksUpSideBySide(t *testing.T) {
	signed := sign(t, crlfText(plain), SignOptions{Now: now})
	z := testZone(t)
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, name string) ([]string, bool, error) {
			time.Sleep(time.Second)
			return z.lookup(ctx, name)
		}
		began := time.Now()
		header, body := SplitMessage(signed)
		v := NewVerifier(header, VerifyOptions{Lookup: slow, Now: now})
		v.Start(t.Context())
		time.Sleep(900 * time.Millisecond)
		v.Write(body)
		for _, r := range v.Finish(t.Context()) {
			if r.Status != Pass {
				t.Errorf("got %+v", r)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

// Close ends lookups that nobody waits for any more.
func TestClose(t *testing.T) {
	signed := sign(t, crlfText(plain), SignOptions{Now: now})
	synctest.Test(t, func(t *testing.T) {
		stuck := func(ctx context.Context, _ string) ([]string, bool, error) {
			<-ctx.Done()
			return nil, false, ctx.Err()
		}
		v := NewVerifier(signed, VerifyOptions{Lookup: stuck})
		v.Start(t.Context())
		v.Close() // returns only when both lookups have ended
		for _, r := range v.Finish(t.Context()) {
			if r.Status == Pass {
				t.Errorf("got %+v", r)
			}
		}
	})
}

func TestKeyCache(t *testing.T) {
	z, c := testZone(t), NewKeyCache(1)
	signed := sign(t, crlfText(plain), SignOptions{})
	for range 3 {
		for _, r := range Verify(t.Context(), signed, VerifyOptions{Lookup: z.lookup, Keys: c}) {
			if r.Status != Pass {
				t.Errorf("got %+v", r)
			}
		}
		if len(c.keys) != 1 {
			t.Errorf("cache holds %d keys, want 1", len(c.keys))
		}
	}
}
