package arc

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posta/internal/authres"
	"posta/internal/dkim"
)

var now = time.Unix(1_800_000_060, 0)

func options(z zone) dkim.VerifyOptions {
	return dkim.VerifyOptions{Lookup: z.lookup, Now: now}
}

// instead replaces text that a message must have.
func instead(t *testing.T, m, old, new string) string {
	t.Helper()
	if !strings.Contains(m, old) {
		t.Fatalf("no %q in\n%s", old, m)
	}
	return strings.Replace(m, old, new, 1)
}

// field cuts a field of an instance out of a message, and returns it.
func field(t *testing.T, m, name string, i int) (without, field string) {
	t.Helper()
	re := regexp.MustCompile(fmt.Sprintf(`(?m)^%s: i=%d;[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*`, name, i))
	f := re.FindString(m)
	if f == "" {
		t.Fatalf("no %s of set %d", name, i)
	}
	return strings.Replace(m, f, "", 1), f
}

func short(r Result) string {
	s := fmt.Sprintf("%v %s %d", r.Status, r.Reason, r.Instance)
	if r.OldestPass > 0 {
		s += fmt.Sprintf(" oldest %d", r.OldestPass)
	}
	if r.Unverified {
		s += " unverified"
	}
	return strings.Join(strings.Fields(s), " ")
}

// What happens to a letter on its way, and the outcome: status, reason, the set where
// it fails, the oldest pass.
func TestChains(t *testing.T) {
	const a, b, c = "a.example", "b.example", "c.example"
	without := func(m, name string, i int) string { m, _ = field(t, m, name, i); return m }
	twice := func(m, name string, i int) string { _, f := field(t, m, name, i); return f + m }
	for _, tt := range []struct {
		name, message, want string
	}{
		{"no chain", letter, "none 0"},
		{"nothing", "", "none 0"},
		{"no header", "\r\nHello\r\n", "none 0"},
		{"one hop", through(a), "pass 0"},
		{"two hops", through(a, b), "pass 0"},
		{"five hops", through(a, b, c, a, b), "pass 0"},
		{"fields in another order, sets mixed", func() string {
			m, f := field(t, through(a, b), "ARC-Authentication-Results", 2)
			m, g := field(t, m, "ARC-Seal", 1)
			return g + f + m
		}(), "pass 0"},
		{"Received between the sets", forge("Received: from x by y; z\r\n"+through(a), hop{domain: b}), "pass 0"},

		// RFC 8617 §5.2 step 1.
		{"fifty hops", through(strings.Fields(strings.Repeat(a+" ", 50))...), "pass 0"},
		{"fifty-one seals", strings.Repeat("ARC-Seal: i=1\r\n", 51) + letter, "fail budget 0"},
		{"a flood of fields", strings.Repeat("X: y\r\n", 5000) + through(a), "none 0"},
		{"a flood of fields below", strings.TrimSuffix(through(a), letter) + strings.Repeat("X: y\r\n", 5000) + letter, "fail budget 0"},
		{"a flood of seals", strings.Repeat("ARC-Seal: i=1; cv=none\r\n", 20_000) + letter, "fail budget 0"},
		{"an instance of 51", instead(t, through(a), "ARC-Seal: i=1", "ARC-Seal: i=51"), "fail malformed 0"},

		// Step 2: nobody looks behind a chain that was found failed.
		{"the sealer found it failed", forge(through(a), hop{domain: b, cv: "fail"}), "fail terminated 2"},
		{"cv=fail at once", forge(letter, hop{domain: a, cv: "fail"}), "fail terminated 1"},
		{"cv=fail below", forge(forge(through(a), hop{domain: b, cv: "fail"}), hop{domain: c}), "fail terminated 2"},

		// Step 3A: each set is whole.
		{"no seal", without(through(a), "ARC-Seal", 1), "fail incomplete 1"},
		{"no message signature", without(through(a), "ARC-Message-Signature", 1), "fail incomplete 1"},
		{"no results", without(through(a), "ARC-Authentication-Results", 1), "fail incomplete 1"},
		{"no second seal", without(through(a, b), "ARC-Seal", 2), "fail incomplete 2"},
		{"no first results of two", without(through(a, b), "ARC-Authentication-Results", 1), "fail incomplete 1"},
		{"two seals", twice(through(a), "ARC-Seal", 1), "fail duplicate 1"},
		{"two message signatures", twice(through(a), "ARC-Message-Signature", 1), "fail duplicate 1"},
		{"two results", twice(through(a), "ARC-Authentication-Results", 1), "fail duplicate 1"},
		{"a set twice", strings.TrimSuffix(through(a), letter) + through(a), "fail duplicate 1"},
		// Step 3B: no gap.
		{"the first set is gone", without(without(without(through(a, b), "ARC-Seal", 1), "ARC-Message-Signature", 1), "ARC-Authentication-Results", 1), "fail incomplete 1"},
		// Step 3C: what each sealer must say.
		{"pass at first", forge(letter, hop{domain: a, cv: "pass"}), "fail chain-status 1"},
		{"none at second", forge(through(a), hop{domain: b, cv: "none"}), "fail chain-status 2"},
		{"no cv", forge(letter, hop{domain: a, seal: []string{"cv=none; :"}}), "fail chain-status 1"},
		{"empty cv", forge(letter, hop{domain: a, seal: []string{"cv=none:cv="}}), "fail chain-status 1"},
		{"strange cv", forge(letter, hop{domain: a, seal: []string{"cv=none:cv=perhaps"}}), "fail chain-status 1"},
		{"cv in upper case", forge(letter, hop{domain: a, seal: []string{"cv=none:cv=None"}}), "fail chain-status 1"},

		// Instances.
		{"seal without instance", forge(letter, hop{domain: a, seal: []string{"i=1; :"}}), "fail malformed 0"},
		{"seal of instance 0", forge(letter, hop{domain: a, seal: []string{"i=1:i=0"}}), "fail malformed 0"},
		{"seal of instance x", forge(letter, hop{domain: a, seal: []string{"i=1:i=x"}}), "fail malformed 0"},
		{"seal of another instance", forge(letter, hop{domain: a, seal: []string{"i=1:i=2"}}), "fail incomplete 1"},
		{"signature without instance", forge(letter, hop{domain: a, ams: []string{"i=1; :"}}), "fail malformed 0"},
		{"signature of instance 0", forge(letter, hop{domain: a, ams: []string{"i=1:i=0"}}), "fail malformed 0"},
		{"results without instance", forge(letter, hop{domain: a, aar: []string{"i=1; :"}}), "fail malformed 0"},
		{"results with the instance later", forge(letter, hop{domain: a, aar: []string{"i=1; :", "; spf:; i=1; spf"}}), "fail malformed 0"},
		{"results without a semicolon", forge(letter, hop{domain: a, aar: []string{"i=1;:i=1"}}), "fail malformed 0"},
		{"results that say rubbish", forge(letter, hop{domain: a, aar: []string{"spf=:===="}}), "pass 0"},

		// The tags of the seal.
		{"spaces around tags", forge(letter, hop{domain: a, seal: []string{"i=1; :i = 1 ; "}}), "pass 0"},
		{"an unknown tag", forge(letter, hop{domain: a, seal: []string{"s=s;:s=s; w=cat;"}, ams: []string{"s=s;:s=s; w=cat;"}}), "pass 0"},
		{"no time", forge(letter, hop{domain: a, seal: []string{"t=1800000000;:"}, ams: []string{"t=1800000000;:"}}), "pass 0"},
		{"empty time", forge(letter, hop{domain: a, seal: []string{"t=1800000000:t="}}), "fail seal 1"},
		{"a time that is none", forge(letter, hop{domain: a, seal: []string{"t=1800000000:t=18 00"}}), "fail seal 1"},
		{"a tag twice", forge(letter, hop{domain: a, seal: []string{"s=s;:s=s; s=s;"}}), "fail seal 1"},
		{"a tag that is none", forge(letter, hop{domain: a, seal: []string{"s=s;:s=s; _=;"}}), "fail seal 1"},
		{"a tag in upper case", forge(letter, hop{domain: a, seal: []string{"s=s;:S=s;"}}), "fail seal 1"},
		{"a list of fields in the seal", forge(letter, hop{domain: a, seal: []string{"s=s;:s=s; h=from;"}}), "fail seal 1"},
		{"no domain", forge(letter, hop{domain: a, seal: []string{"d=a.example; :"}}), "fail seal 1"},
		{"empty domain", forge(letter, hop{domain: a, seal: []string{"d=a.example:d="}}), "fail seal 1"},
		{"no selector", forge(letter, hop{domain: a, seal: []string{"s=s; :"}}), "fail seal 1"},
		{"no algorithm", forge(letter, hop{domain: a, seal: []string{"a=ed25519-sha256; :"}}), "fail seal 1"},
		{"rsa-sha1", forge(letter, hop{domain: a, seal: []string{"ed25519-sha256:rsa-sha1"}}), "fail seal 1"},
		{"unknown algorithm", forge(letter, hop{domain: a, seal: []string{"ed25519-sha256:rsa-md5"}}), "fail seal 1"},
		{"an empty seal", forge(letter, hop{domain: a, seal: []string{"b=:"}}), "fail seal 1"},

		// Those of the message signature.
		{"simple/simple", forge(letter, hop{domain: a, ams: []string{"c=relaxed/relaxed;:c=simple;"}}), "pass 0"},
		{"relaxed/simple", forge(letter, hop{domain: a, ams: []string{"relaxed/relaxed:relaxed/simple"}}), "pass 0"},
		{"simple/relaxed", forge(letter, hop{domain: a, ams: []string{"relaxed/relaxed:simple/relaxed"}}), "pass 0"},
		{"no canonicalization is relaxed", forge(letter, hop{domain: a, ams: []string{"c=relaxed/relaxed;:"}}), "pass 0"},
		{"empty canonicalization", forge(letter, hop{domain: a, ams: []string{"c=relaxed/relaxed;:c=;"}}), "fail message-signature 1"},
		{"unknown canonicalization", forge(letter, hop{domain: a, ams: []string{"relaxed/relaxed:relaxed/nofws"}}), "fail message-signature 1"},
		{"an empty list of fields", forge(letter, hop{domain: a, ams: []string{"h=:h=; z="}}), "pass 0"},
		{"empty names in the list", forge(letter, hop{domain: a, ams: []string{"From:", "Date:"}}), "pass 0"},
		{"no list of fields", forge(letter, hop{domain: a, ams: []string{"h=:x="}}), "fail message-signature 1"},
		{"the seal in the list", forge(letter, hop{domain: a, ams: []string{"From:ARC-Seal"}}), "fail message-signature 1"},
		{"the results in the list", forge(letter, hop{domain: a, ams: []string{"Subject:arc-authentication-results"}}), "pass 0"},
		{"no body hash", forge(letter, hop{domain: a, ams: []string{"bh=BH; :"}}), "fail message-signature 1"},
		{"another body hash", forge(letter, hop{domain: a, ams: []string{"BH:2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="}}), "fail message-signature 1"},
		{"a body length", forge(letter, hop{domain: a, ams: []string{"bh=:l=5; bh="}}), "fail message-signature 1"},
		{"expired", forge(letter, hop{domain: a, ams: []string{"t=1800000000:t=1; x=2"}}), "fail message-signature 1"},
		{"from the future", forge(letter, hop{domain: a, ams: []string{"t=1800000000:t=1900000000"}}), "fail message-signature 1"},

		// Changes on the way.
		{"another From", instead(t, through(a), "From: Ana", "From: Eva"), "fail message-signature 1"},
		{"another From below a new set", forge(instead(t, through(a), "From: Ana", "From: Eva"), hop{domain: b}), "pass 0 oldest 2"},
		{"a list's footer", forge(through(a, b)+"-- \r\nlist\r\n", hop{domain: c}), "pass 0 oldest 3"},
		{"two footers", forge(forge(through(a)+"-- \r\nlist\r\n", hop{domain: b})+"again\r\n", hop{domain: c}), "pass 0 oldest 3"},
		{"a footer nobody sealed", through(a, b) + "-- \r\nlist\r\n", "fail message-signature 2"},
		{"an oversigned field is added", instead(t, through(a), "Date: Fri", "Date: now\r\nDate: Fri"), "fail message-signature 1"},
		{"an unsigned field is added", instead(t, through(a), "Date: Fri", "X-Date: now\r\nDate: Fri"), "pass 0"},
		{"white space in a signed field", instead(t, through(a), "From: Ana <", "FROM :  Ana \t <"), "pass 0"},
		{"white space in the body", instead(t, through(a), "Hello  list, ", "Hello list,"), "pass 0"},
		{"other results", instead(t, through(a), "spf=pass", "spf=fail"), "fail seal 1"},
		{"other results below", instead(t, through(a, b), "spf=pass smtp.mailfrom=ana@example.org;\r\n dmarc=pass header.from=example.org\r\nARC-Seal: i=1", "spf=fail smtp.mailfrom=ana@example.org;\r\n dmarc=pass header.from=example.org\r\nARC-Seal: i=1"), "fail seal 2"},
		{"another seal below", instead(t, through(a, b), "cv=none; d=a.example; s=s; t=1800000000", "cv=none; d=a.example; s=s; t=1800000001"), "fail seal 2"},
		{"white space in sealed fields", instead(t, through(a), "; spf=pass smtp", ";\r\n\tspf=pass  smtp"), "pass 0"},

		// Keys.
		{"no key", through("nokey.example"), "fail message-signature 1"},
		{"a key that cannot be asked for", through("slow.example"), "fail message-signature 1 unverified"},
		{"a seal's key that cannot be asked for", forge(letter, hop{domain: "slow.example", ams: []string{"slow.example:a.example"}}), "fail seal 1 unverified"},
		{"a key that wants the exact domain", through("strict.example"), "pass 0"},
		{"a key not for mail", through("other.example"), "fail message-signature 1"},
		{"a revoked key", through("revoked.example"), "fail message-signature 1"},
		{"rubbish for a key", through("rubbish.example"), "fail message-signature 1"},
	} {
		z := keys(t, a, b, c)
		z["s._domainkey.slow.example"] = "!"
		z["s._domainkey.strict.example"] = strings.Replace(z["s._domainkey."+a], "k=", "t=s; k=", 1)
		z["s._domainkey.other.example"] = strings.Replace(z["s._domainkey."+a], "k=", "s=tlsrpt; k=", 1)
		z["s._domainkey.revoked.example"] = "v=DKIM1; k=ed25519; p="
		z["s._domainkey.rubbish.example"] = "v=DKIM1; k=ed25519; omg"
		r := Verify(t.Context(), []byte(tt.message), options(z))
		if got := short(r); got != tt.want {
			t.Errorf("%s: got %s (%s), want %s\n%s", tt.name, got, r.Detail, tt.want, tt.message)
		}
		if (r.Detail != "") != (r.Status == Fail) {
			t.Errorf("%s: %v with detail %q", tt.name, r.Status, r.Detail)
		}
	}
}

// A chain that is not well formed costs no look-up and no body; a key is looked up
// once for all signatures that use it, a DKIM-Signature among them.
func TestCost(t *testing.T) {
	m := through("a.example", "a.example", "b.example")
	header, body := dkim.SplitMessage([]byte(m))
	h := dkim.NewBodyHash(dkim.Relaxed)
	h.Write(body)
	signature, err := dkim.Sign(header, h.Sum(), []dkim.Key{key("a.example")}, dkim.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, message string
		asked         int32
		body          bool
	}{
		{"no chain", letter, 0, false},
		{"three sets of two sealers", m, 2, true},
		{"and a DKIM-Signature", string(signature) + m, 2, true},
		{"a set is missing", instead(t, m, "ARC-Seal: i=2", "ARC-Seal: i=3"), 0, false},
	} {
		header, _ := dkim.SplitMessage([]byte(tt.message))
		opts := options(keys(t, "a.example", "b.example"))
		var asked atomic.Int32
		lookup := opts.Lookup
		opts.Lookup = func(ctx context.Context, name string) ([]string, bool, error) {
			asked.Add(1)
			return lookup(ctx, name)
		}
		v := dkim.NewVerifier(header, opts)
		a := NewVerifier(v)
		if v.NeedsBody() != tt.body {
			t.Errorf("%s: needs the body: %v", tt.name, v.NeedsBody())
		}
		v.Start(t.Context())
		v.Finish(t.Context())
		a.Finish()
		if asked.Load() != tt.asked {
			t.Errorf("%s: %d look-ups, want %d", tt.name, asked.Load(), tt.asked)
		}
	}
}

// RFC 8617 §7.2: whom one may believe.
func TestAttested(t *testing.T) {
	const a, b, c = "a.example", "b.example", "c.example"
	footer := "-- \r\nlist\r\n"
	for _, tt := range []struct {
		name, message, trusted, want string
	}{
		{"nobody is trusted", through(a, b), "", ""},
		{"all are trusted: the oldest", through(a, b, c), "a.example b.example c.example", "1 a.example mx.a.example"},
		{"the newest is trusted", through(a, b), b, "2 b.example mx.b.example"},
		{"the oldest is trusted, and nothing was changed", through(a, b), a, "1 a.example mx.a.example"},
		{"the oldest is trusted, and a stranger changed the letter", forge(through(a)+footer, hop{domain: b}), a, ""},
		{"the oldest is trusted, and a trusted one changed the letter", forge(through(a)+footer, hop{domain: b}), "a.example b.example", "1 a.example mx.a.example"},
		{"a stranger changed it between trusted ones", forge(forge(through(a)+footer, hop{domain: b}), hop{domain: c}), "a.example c.example", "3 c.example mx.c.example"},
		{"no From is signed", forge(letter, hop{domain: a, ams: []string{"From::"}}), a, ""},
		{"results that cannot be read", forge(letter, hop{domain: a, aar: []string{"spf=:===="}}), a, ""},
		{"a failed chain", through(a) + footer, a, ""},
		{"no chain", letter, a, ""},
	} {
		r := Verify(t.Context(), []byte(tt.message), options(keys(t, a, b, c)))
		got := ""
		if at, ok := r.Attested(func(d string) bool { return strings.Contains(tt.trusted, d) }); ok {
			got = fmt.Sprint(at.Instance, " ", at.Sealer, " ", at.Results.ServerID)
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q (%s)", tt.name, got, tt.want, short(r))
		}
	}
	at := Attestation{Results: authres.Header{Results: []authres.Result{
		authres.SPF("pass", "Ana@Example.org", ""), authres.DKIM("pass", "example.org", "s", "", "", ""), authres.DKIM("fail", "b.example", "s", "", "", ""),
		authres.DKIM("pass", "", "", "", "@news.example.org", ""), authres.DMARC("pass", "example.org"), authres.DMARC("pass", "<script>"),
	}}}
	got := fmt.Sprint(at.Passed("spf"), at.Passed("dkim"), at.Passed("dmarc"), at.Passed("iprev"), len(at.Method("dkim")))
	if want := "[example.org] [example.org news.example.org] [example.org] [] 3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What a person reads.
func TestFacts(t *testing.T) {
	m := forge(through("a.example")+"-- \r\nlist\r\n", hop{domain: "b.example"})
	r := Verify(t.Context(), []byte(m), options(keys(t, "a.example", "b.example")))
	facts := r.Facts(now)
	var b strings.Builder
	for i := 0; i < len(facts); i += 2 {
		fmt.Fprintf(&b, "%s: %s\n", facts[i], facts[i+1])
	}
	got := regexp.MustCompile(`p=\S+`).ReplaceAllString(b.String(), "p=…")
	const want = `ARC: pass
unchanged since set: 2
set 2 seal: cv=pass, result pass; domain b.example; selector s; algorithm ed25519-sha256, 256 bits; canonicalization relaxed/relaxed; signed 2027-01-15 08:00:00 UTC, 1m0s before the message came; key looked up at s._domainkey.b.example; key record v=DKIM1; k=ed25519; p=…
set 2 message signature: result pass; domain b.example; selector s; algorithm ed25519-sha256, 256 bits; canonicalization relaxed/relaxed; signed fields From:To:Subject:Date:Date; signed 2027-01-15 08:00:00 UTC, 1m0s before the message came; key looked up at s._domainkey.b.example; key record v=DKIM1; k=ed25519; p=…
set 2 recorded: mx.b.example; spf=pass smtp.mailfrom=ana@example.org; dmarc=pass header.from=example.org
set 1 seal: cv=none, result pass; domain a.example; selector s; algorithm ed25519-sha256, 256 bits; canonicalization relaxed/relaxed; signed 2027-01-15 08:00:00 UTC, 1m0s before the message came; key looked up at s._domainkey.a.example; key record v=DKIM1; k=ed25519; p=…
set 1 message signature: result fail body-hash-mismatch; detail the body was changed; domain a.example; selector s; algorithm ed25519-sha256, 256 bits; canonicalization relaxed/relaxed; signed fields From:To:Subject:Date:Date; signed 2027-01-15 08:00:00 UTC, 1m0s before the message came; key looked up at s._domainkey.a.example; key record v=DKIM1; k=ed25519; p=…
set 1 recorded: mx.a.example; spf=pass smtp.mailfrom=ana@example.org; dmarc=pass header.from=example.org
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
