package dkim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a person reads of signatures that went well, badly and not at all.
func TestFacts(t *testing.T) {
	ed := record(t, testKeys().ed.Public())
	for _, tt := range []struct {
		name, message, key, want string
	}{
		{"good", string(custom(t, goodTags+"; t=1799996400; x=1800003600", customHeader, customBody)), ed, `result: pass
domain: example.org
selector: e
algorithm: ed25519-sha256, 256 bits
canonicalization: relaxed/relaxed
signed fields: From:Subject
signed: 2027-01-15 07:00:00 UTC, 1h0m0s before the message came
expires: 2027-01-15 09:00:00 UTC, 1h0m0s after the message came
key looked up at: e._domainkey.example.org
key record: v=DKIM1; k=ed25519; p=…
`},
		{"a changed body, a key in testing", string(custom(t, goodTags, customHeader, customBody)) + "PS\r\n", strings.Replace(ed, "k=", "t=y; k=", 1), `result: neutral test-flag
detail: the body was changed; the key is in testing
domain: example.org
selector: e
algorithm: ed25519-sha256, 256 bits
canonicalization: relaxed/relaxed
signed fields: From:Subject
key looked up at: e._domainkey.example.org
key record: v=DKIM1; t=y; k=ed25519; p=…
key flag: t=y: the domain is testing DKIM
`},
		{"text behind l=", string(custom(t, goodTags+"; l=7; i=ana@news.example.org", customHeader, customBody)) + "buy  this\r\n\r\n", ed, `result: neutral l-tag
detail: the signature leaves the end of the body open
domain: example.org
selector: e
identity: ana@news.example.org
algorithm: ed25519-sha256, 256 bits
canonicalization: relaxed/relaxed
signed fields: From:Subject
body length: l=7, 10 octets beyond it
key looked up at: e._domainkey.example.org
key record: v=DKIM1; k=ed25519; p=…
`},
		{"DNS fails", string(custom(t, goodTags, customHeader, customBody)), "!", `result: temperror key-unavailable
detail: the key could not be looked up now
domain: example.org
selector: e
algorithm: ed25519-sha256
canonicalization: relaxed/relaxed
signed fields: From:Subject
key looked up at: e._domainkey.example.org
DNS: context deadline exceeded
`},
		{"a foreign record for a key", string(custom(t, goodTags, customHeader, customBody)), "v=spf1 \x00\xff -all" + strings.Repeat("x", 2000), `result: permerror key-syntax
detail: tag-list is malformed
domain: example.org
selector: e
algorithm: ed25519-sha256
canonicalization: relaxed/relaxed
signed fields: From:Subject
key looked up at: e._domainkey.example.org
key record: v=spf1 ?? -all…
`},
		{"malformed", "DKIM-Signature: v=1; d=example.org\r\n" + customHeader + "\r\n", ed, `result: permerror syntax
detail: a required tag is missing
domain: example.org
`},
	} {
		z := zone{"e._domainkey.example.org": tt.key}
		r := Verify(t.Context(), []byte(tt.message), VerifyOptions{Lookup: z.lookup, Now: now})[0]
		var b strings.Builder
		facts := r.Facts(now)
		for i := 0; i < len(facts); i += 2 {
			fmt.Fprintf(&b, "%s: %s\n", facts[i], facts[i+1])
		}
		got := regexp.MustCompile(`p=\S+|x{900,}…`).ReplaceAllStringFunc(b.String(), func(s string) string { return strings.TrimRight(s[:min(2, len(s))], "x") + "…" })
		if got != tt.want {
			t.Errorf("%s: got\n%swant\n%s", tt.name, got, tt.want)
		}
	}
	weak := Result{Algorithm: "rsa-sha256", KeyBits: 1024, Weak: true, BodyLength: -1, KeyErr: errors.New("a\r\nb")}
	if got := strings.Join(weak.Facts(time.Time{}), "|"); !strings.Contains(got, "1024 bits: fewer than the 2048") || !strings.Contains(got, "DNS|a??b") {
		t.Error(got)
	}
}

// Hostile: what stands in the DNS of a stranger has its limits too.
func TestHostileKeys(t *testing.T) {
	m := custom(t, goodTags, customHeader, customBody)
	good := record(t, testKeys().ed.Public())
	for name, tt := range map[string]struct {
		text   string
		reason Reason
	}{
		"giant record":        {good + "; n=" + strings.Repeat("x", 60_000), ReasonKeySyntax},
		"thousands of tags":   {good + strings.Repeat("; x=y", 1000), ReasonKeySyntax},
		"key behind fifteen":  {strings.Repeat("v=spf1 -all\n", 15) + good, ReasonNone},
		"key behind a crowd":  {strings.Repeat("v=spf1 -all\n", 5000) + good, ReasonKeySyntax},
		"thousands of hashes": {strings.Replace(good, "k=", "h="+strings.Repeat("sha1:", 1500)+"sha256; k=", 1), ReasonNone},
	} {
		z := zone{"e._domainkey.example.org": tt.text}
		r := Verify(t.Context(), m, VerifyOptions{Lookup: z.lookup})[0]
		if r.Reason != tt.reason {
			t.Errorf("%s: %s %s (%s)", name, r.Status, r.Reason, r.Detail)
		}
		for _, s := range r.Facts(now) {
			if len(s) > maxEvidence+3 {
				t.Errorf("%s: a fact of %d octets", name, len(s))
			}
		}
	}
}

// A thousand signatures cost what eight do: the rest is counted.
func TestThousandSignatures(t *testing.T) {
	signed := string(custom(t, goodTags, customHeader, customBody))
	var flood strings.Builder
	for i := range 999 {
		fmt.Fprintf(&flood, "DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example; s=s; h=From; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA\r\n", i)
	}
	header, _ := SplitMessage([]byte(flood.String() + signed))
	v := NewVerifier(header, VerifyOptions{Lookup: testZone(t).lookup})
	if v.Signatures() != MaxSignatures || v.Ignored() != 1000-MaxSignatures || len(v.keys) != MaxSignatures || len(v.bodies) != 1 {
		t.Errorf("%d signatures, %d ignored, %d keys, %d bodies", v.Signatures(), v.Ignored(), len(v.keys), len(v.bodies))
	}
}
