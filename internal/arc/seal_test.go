package arc

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"posta/internal/authres"
	"posta/internal/dkim"
)

// sealed verifies a message, seals what it found, and puts the set above it.
func sealed(t testing.TB, z zone, message string, key dkim.Key, opts SealOptions) (string, error) {
	t.Helper()
	header, body := dkim.SplitMessage([]byte(message))
	opts.ServerID = "mx." + key.Domain
	h := dkim.NewBodyHash(dkim.Relaxed)
	h.Write(body)
	set, err := Seal(header, h.Sum(), key, opts)
	return string(set) + message, err
}

func key(domain string) dkim.Key { return dkim.Key{Domain: domain, Selector: "s", Signer: testKey} }

// The three fields, as they leave the house.
func TestSealFields(t *testing.T) {
	m := "DKIM-Signature: v=1; d=example.org; b=AAAA\r\nAuthentication-Results: mx.a.example; none\r\nReceived: from x by y; z\r\n" + letter
	got, err := sealed(t, nil, m, key("a.example"), SealOptions{Now: now, Results: []authres.Result{
		authres.SPF("pass", "ana@example.org", ""), authres.DMARC("pass", "example.org"), authres.ARC("none", "192.0.2.1", ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got = regexp.MustCompile(`b=[^;]*\r\nARC`).ReplaceAllString(strings.TrimSuffix(got, m), "b=…\r\nARC")
	const want = `ARC-Seal: i=1; a=ed25519-sha256; d=a.example; s=s; cv=none; t=1800000060; b=…
ARC-Message-Signature: i=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=a.example; s=s; t=1800000060; h=From:From:To:To:Cc:Subject:Subject:Date:
 Date:Message-ID:Reply-To:MIME-Version:Content-Type:DKIM-Signature;
 bh=+1bScgVqi5ZariMOes+zmrODTBGjrpaSGiyTTt+yPyw=; b=…
ARC-Authentication-Results: i=1; mx.a.example;
 spf=pass smtp.mailfrom=ana@example.org;
 dmarc=pass header.from=example.org;
 arc=none smtp.remote-ip=192.0.2.1
`
	if got != strings.ReplaceAll(want, "\n", "\r\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A letter goes through forwarders that change it or not; each seals what it found.
func TestSealChain(t *testing.T) {
	z := keys(t, "a.example", "b.example", "c.example", "d.example")
	m := letter
	for i, hop := range []struct{ domain, change, found string }{
		{"a.example", "", "none 0"},
		{"b.example", "-- \r\nlist\r\n", "pass 0"},
		{"c.example", "", "pass 0 oldest 2"},
		{"d.example", "again\r\n", "pass 0 oldest 2"},
	} {
		r := Verify(t.Context(), []byte(m), options(z))
		if got := short(r); got != hop.found {
			t.Errorf("at %s: got %s (%s), want %s", hop.domain, got, r.Detail, hop.found)
		}
		var err error
		if m, err = sealed(t, z, m+hop.change, key(hop.domain), SealOptions{Now: now, Status: r.Status}); err != nil {
			t.Fatal(err)
		}
		if n := r.Newest(); n != i {
			t.Errorf("at %s: newest is %d, want %d", hop.domain, n, i)
		}
	}
	if r := Verify(t.Context(), []byte(m), options(z)); short(r) != "pass 0 oldest 4" {
		t.Errorf("at the end: %s (%s)", short(r), r.Detail)
	}
}

// RFC 8617 §5.1.2: a broken chain is sealed once, as failed, by a seal that covers
// its own set only and so can be verified; then never again.
func TestSealBrokenChain(t *testing.T) {
	z := keys(t, "a.example", "b.example")
	_, seal := field(t, through("a.example"), "ARC-Seal", 1)
	for name, broken := range map[string]string{
		"changed":   through("a.example") + "unsealed\r\n",
		"duplicate": seal + through("a.example"),
	} {
		m, err := sealed(t, z, broken, key("b.example"), SealOptions{Status: Fail})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		set := strings.TrimSuffix(m, broken)
		if !strings.Contains(set, "ARC-Seal: i=2;") || !strings.Contains(set, "cv=fail") {
			t.Errorf("%s: sealed as\n%s", name, set)
		}
		if r := Verify(t.Context(), []byte(m), options(z)); r.Status != Fail {
			t.Errorf("%s: then %s", name, short(r))
		}
	}
	m, err := sealed(t, z, through("a.example")+"unsealed\r\n", key("b.example"), SealOptions{Status: Fail})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed(t, z, m, key("a.example"), SealOptions{Status: Fail}); !errors.Is(err, ErrTerminated) {
		t.Errorf("sealed a chain that was declared failed: %v", err)
	}
	// The seal of the failed chain verifies by itself, with the sets below it gone.
	header, _ := dkim.SplitMessage([]byte(m))
	v := dkim.NewVerifier(header, options(z))
	c := collect(v)
	v.Arrange(c.sets[1].sealSig)
	v.Finish(t.Context())
	var own chain
	own.v, own.sets = v, c.sets[1:]
	var r Result
	own.verifySeals(&r)
	if own.why != nil {
		t.Errorf("the seal of the failed chain does not verify alone: %s", own.why.detail)
	}
}

func TestSealErrors(t *testing.T) {
	full := through(strings.Fields(strings.Repeat("a.example ", 50))...)
	for _, tt := range []struct {
		name, message string
		opts          SealOptions
		want          error
	}{
		{"fifty sets", full, SealOptions{Status: Pass}, ErrFull},
		{"no chain that passed", letter, SealOptions{Status: Pass}, ErrStatus},
		{"no chain that failed", letter, SealOptions{Status: Fail}, ErrStatus},
		{"a chain that was not verified", through("a.example"), SealOptions{}, ErrStatus},
		{"a broken chain that passed", strings.Replace(through("a.example"), "ARC-Seal:", "X-Seal:", 1), SealOptions{Status: Pass}, ErrStatus},
		{"no such status", letter, SealOptions{Status: 9}, ErrStatus},
		{"Authentication-Results covered", letter, SealOptions{Headers: []string{"From", "authentication-results"}}, ErrHeaders},
		{"a field of ARC covered", letter, SealOptions{Headers: []string{"From", "Arc-Seal"}}, ErrHeaders},
	} {
		if _, err := sealed(t, nil, tt.message, key("b.example"), tt.opts); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := sealed(t, nil, "Subject: x\r\n\r\n", key("b.example"), SealOptions{}); err == nil {
		t.Error("sealed a message without From")
	}
	if _, err := sealed(t, nil, letter, dkim.Key{Domain: "b..example", Selector: "s", Signer: testKey}, SealOptions{}); err == nil {
		t.Error("sealed for what is no domain")
	}
}

// Arbitrary bytes have an outcome that does not depend on how they come; a chain that
// passes has whole sets; and what we found can be sealed, or is refused, so that the
// next host finds the same and one set more.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(letter), uint8(1))
	f.Add([]byte(through("a.example", "b.example")), uint8(7))
	f.Add([]byte(forge(through("a.example"), hop{domain: "b.example", cv: "fail"})), uint8(3))
	f.Add([]byte(" 0\r\nFrom:"), uint8(1))
	f.Add([]byte("ARC-Seal: i=1; cv=\r\nARC-Message-Signature: i=1; h=::\r\nARC-Authentication-Results: i=1;\r\nFrom: x\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, message []byte, step uint8) {
		z := keys(t, "a.example", "b.example", "seal.example")
		r := Verify(context.Background(), message, options(z))
		header, body := dkim.SplitMessage(message)
		v := dkim.NewVerifier(header, options(z))
		a := NewVerifier(v)
		v.Start(context.Background())
		for b, n := body, int(step)%97+1; len(b) > 0; b = b[min(n, len(b)):] {
			v.Write(b[:min(n, len(b))])
		}
		v.Finish(context.Background())
		if again := a.Finish(); short(again) != short(r) {
			t.Fatalf("in pieces %s, at once %s", short(again), short(r))
		}
		if (r.Status == Fail) != (r.Reason != ReasonNone) || r.Status == Pass && len(r.Sets) == 0 || len(r.Sets) > MaxSets || (r.Status == None) != (r.Facts(now) == nil) {
			t.Fatalf("%+v", r)
		}
		m, err := sealed(t, z, string(message), key("seal.example"), SealOptions{Status: r.Status})
		if err != nil {
			return
		}
		next := Verify(context.Background(), []byte(m), options(z))
		if r.Status != Fail && (next.Status != Pass || next.Newest() != r.Newest()+1) || r.Status == Fail && next.Status != Fail {
			t.Fatalf("found %s, sealed, found %s (%s)\n%q", short(r), short(next), next.Detail, m)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for name, message := range map[string]string{"no chain": letter, "three sets": through("a.example", "b.example", "c.example")} {
		b.Run(name, func(b *testing.B) {
			header, body := dkim.SplitMessage([]byte(message))
			opts := options(keys(b, "a.example", "b.example", "c.example"))
			opts.Keys = dkim.NewKeyCache(0)
			b.ReportAllocs()
			for b.Loop() {
				v := dkim.NewVerifier(header, opts)
				a := NewVerifier(v)
				v.Write(body)
				v.Finish(b.Context())
				if r := a.Finish(); r.Status == Fail {
					b.Fatal(r)
				}
			}
		})
	}
}

// BenchmarkVerifyHostile is the dearest chain that fits the budgets: fifty sets, each
// with a message signature that covers hundreds of fields and verifies.
func BenchmarkVerifyHostile(b *testing.B) {
	m := strings.Repeat("X: y\r\n", 3800) + letter
	for range MaxSets {
		m = forge(m, hop{domain: "a.example", ams: []string{"From:" + strings.Repeat("x:", 500) + "From"}})
	}
	opts := options(keys(b, "a.example"))
	for b.Loop() {
		if r := Verify(b.Context(), []byte(m), opts); r.Status != Pass {
			b.Fatal(short(r), r.Detail)
		}
	}
}
