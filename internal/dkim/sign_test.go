package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// testKeys are made once: RSA generation is slow under -race.
var testKeys = sync.OnceValue(func() (k struct {
	rsa *rsa.PrivateKey
	ed  ed25519.PrivateKey
}) {
	var err error
	if k.rsa, err = GenerateRSA(); err != nil {
		panic(err)
	}
	k.ed = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	return k
})

func record(t testing.TB, pub crypto.PublicKey) string {
	t.Helper()
	r, err := Record(pub)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testZone(t testing.TB) zone {
	k := testKeys()
	return zone{
		"r._domainkey.example.org": record(t, k.rsa.Public()),
		"e._domainkey.example.org": record(t, k.ed.Public()),
	}
}

func bothKeys() []Key {
	k := testKeys()
	return []Key{
		{Domain: "example.org", Selector: "r", Signer: k.rsa},
		{Domain: "example.org", Selector: "e", Signer: k.ed},
	}
}

var now = time.Unix(1_800_000_000, 0)

// sign puts signatures of both keys before message.
func sign(t testing.TB, message []byte, opts SignOptions) []byte {
	t.Helper()
	header, body := SplitMessage(message)
	b := NewBodyHash(Relaxed)
	b.Write(body)
	fields, err := Sign(header, b.Sum(), bothKeys(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return append(fields, message...)
}

const plain = `Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000
From: Ana <ana@example.org>
To: Bob <bob@example.net>,
	Cid <cid@example.net>
Subject:  lunch   ?
Date: Thu, 1 Jan 2026 00:00:00 +0000
Message-ID: <1@example.org>
MIME-Version: 1.0
Content-Type: text/plain

Hello  Bob,

lunch at one?	
 

`

func TestSignVerify(t *testing.T) {
	signed := sign(t, crlfText(plain), SignOptions{Now: now, Expiry: 24 * time.Hour, Identity: "ana@mail.example.org"})
	header, _ := SplitMessage(signed)
	for line := range strings.SplitSeq(string(header), "\r\n") {
		if len(line) >= 78 {
			t.Errorf("line of %d columns: %q", len(line), line)
		}
	}
	got := Verify(t.Context(), signed, VerifyOptions{Lookup: testZone(t).lookup, Now: now})
	if len(got) != 2 {
		t.Fatalf("%d results", len(got))
	}
	for i, r := range got {
		if r.Status != Pass || r.AUID != "ana@mail.example.org" || !r.Expires.Equal(now.Add(24*time.Hour)) || r.Weak {
			t.Errorf("signature %d: %+v", i, r)
		}
	}
	names := strings.Join(got[0].SignedHeaders, " ")
	if want := "From From To To Cc Subject Subject Date Date Message-ID Message-ID Reply-To MIME-Version MIME-Version Content-Type Content-Type"; names != want {
		t.Errorf("signed names\n got %s\nwant %s", names, want)
	}
}

// What a relay may do without breaking the signature, and what nobody may do.
func TestSignedMessageChanged(t *testing.T) {
	signed := string(sign(t, crlfText(plain), SignOptions{Now: now}))
	tests := []struct {
		name, old, new string
		want           Status
		reason         Reason
	}{
		{"unchanged", "", "", Pass, ""},
		{"a trace field on top", "DKIM-Signature", "Received: x\r\nDKIM-Signature", Pass, ""},
		{"refolded To", "bob@example.net>,\r\n\tCid", "bob@example.net>, \r\n   Cid", Pass, ""},
		{"white space in the body", "Hello  Bob", "Hello \t Bob", Pass, ""},
		{"empty lines at the end", "one?\t\r\n \r\n\r\n", "one?\r\n\r\n\r\n\r\n", Pass, ""},
		{"a word in the body", "Hello", "Hallo", Fail, ReasonBodyMismatch},
		{"text added", "one?", "one?\r\nPS", Fail, ReasonBodyMismatch},
		{"Subject changed", "lunch   ?", "dinner ?", Fail, ReasonSignatureMismatch},
		{"a second From above", "Received:", "From: eve@example.com\r\nReceived:", Fail, ReasonSignatureMismatch},
		{"a second From below", "Content-Type: ", "From: eve@example.com\r\nContent-Type: ", Fail, ReasonSignatureMismatch},
		{"an added Cc", "Received:", "Cc: eve@example.com\r\nReceived:", Fail, ReasonSignatureMismatch},
		{"an added Reply-To", "Received:", "Reply-To: eve@example.com\r\nReceived:", Fail, ReasonSignatureMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := strings.Replace(signed, tt.old, tt.new, 1)
			for i, r := range Verify(t.Context(), []byte(m), VerifyOptions{Lookup: testZone(t).lookup, Now: now}) {
				if r.Status != tt.want || r.Reason != tt.reason {
					t.Errorf("signature %d: %s %s, want %s %s", i, r.Status, r.Reason, tt.want, tt.reason)
				}
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	k := testKeys()
	weak := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Rsh(k.rsa.N, 1200), E: 65537}}
	good := Key{"example.org", "r", k.ed}
	tests := []struct {
		name   string
		header string
		key    Key
		opts   SignOptions
	}{
		{"no From", "To: x\r\n", good, SignOptions{}},
		{"From not chosen", "From: x\r\n", good, SignOptions{Headers: []string{"To"}}},
		{"weak RSA key", "From: x\r\n", Key{"example.org", "r", weak}, SignOptions{}},
		{"no key", "From: x\r\n", Key{"example.org", "r", nil}, SignOptions{}},
		{"bad domain", "From: x\r\n", Key{"exa mple.org", "r", k.ed}, SignOptions{}},
		{"bad selector", "From: x\r\n", Key{"example.org", "", k.ed}, SignOptions{}},
		{"foreign identity", "From: x\r\n", good, SignOptions{Identity: "a@example.com"}},
		{"identity that ends the tag", "From: x\r\n", good, SignOptions{Identity: "a;d=b@example.org"}},
		{"endless fields", "From: x\r\n" + strings.Repeat("To: x\r\n", 600), good, SignOptions{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := Sign([]byte(tt.header), [32]byte{}, []Key{tt.key}, tt.opts); err == nil {
				t.Errorf("signed: %s", out)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	k := testKeys()
	for _, key := range []crypto.Signer{k.rsa, k.ed} {
		text, err := MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(back) {
			t.Error("the key changed on its way through PEM")
		}
		rec, err := ParseKey(record(t, key.Public()))
		if err != nil || rec.Public == nil {
			t.Fatalf("own record does not parse: %v", err)
		}
		joined := ""
		for _, s := range SplitTXT(record(t, key.Public())) {
			if len(s) > 255 {
				t.Errorf("character-string of %d octets", len(s))
			}
			joined += s
		}
		if joined != record(t, key.Public()) {
			t.Error("SplitTXT lost something")
		}
	}
	for _, bad := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParsePrivateKey([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
