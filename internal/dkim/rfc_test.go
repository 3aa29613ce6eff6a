package dkim

import (
	"context"
	"strings"
	"testing"
	"time"
)

// zone answers lookups from a literal; a missing name does not exist, and the
// record "!" is a temporary failure.
type zone map[string]string

func (z zone) lookup(_ context.Context, name string) ([]string, bool, error) {
	switch r, ok := z[name]; {
	case !ok:
		return nil, false, nil
	case r == "!":
		return nil, false, context.DeadlineExceeded
	default:
		return strings.Split(r, "\n"), true, nil
	}
}

func crlfText(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// rfcZone has the keys of RFC 6376 Appendix C and RFC 8463 Appendix A.2.
var rfcZone = zone{
	"brisbane._domainkey.example.com": "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ" +
		"KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" +
		"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v" +
		"/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi" +
		"tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
	"test._domainkey.football.example.com": "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
		"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b" +
		"yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3" +
		"rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
	"brisbane._domainkey.football.example.com": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
}

// RFC 6376 Appendix A.2: simple/simple, with Received signed and i= below d=.
const rfc6376 = `DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
`

// RFC 8463 Appendix A.3: an Ed25519 and an RSA signature, relaxed/relaxed, with
// oversigned names and a body whose white space only relaxed forgives.
const rfc8463 = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`

func TestRFC6376AppendixA(t *testing.T) {
	got := Verify(t.Context(), crlfText(rfc6376), VerifyOptions{Lookup: rfcZone.lookup})
	if len(got) != 1 {
		t.Fatalf("%d results, want 1", len(got))
	}
	r := got[0]
	if r.Status != Pass || r.SDID != "example.com" || r.Selector != "brisbane" ||
		r.AUID != "joe@football.example.com" || r.KeyBits != 1024 || !r.Weak || !r.SignsFrom {
		t.Errorf("got %+v", r)
	}
	if want := "Received From To Subject Date Message-ID"; strings.Join(r.SignedHeaders, " ") != want {
		t.Errorf("signed %q, want %q", r.SignedHeaders, want)
	}
}

func TestRFC8463AppendixA(t *testing.T) {
	got := Verify(t.Context(), crlfText(rfc8463), VerifyOptions{
		Lookup: rfcZone.lookup, Keys: NewKeyCache(0), Now: time.Unix(1528637999, 0)})
	if len(got) != 2 {
		t.Fatalf("%d results, want 2", len(got))
	}
	for i, want := range []string{"ed25519-sha256", "rsa-sha256"} {
		if got[i].Status != Pass || got[i].Algorithm != want || !got[i].Signed.Equal(time.Unix(1528637909, 0)) {
			t.Errorf("signature %d: %+v", i, got[i])
		}
	}
	if got[0].Weak || !got[1].Weak {
		t.Errorf("weak: %v %v, want false true", got[0].Weak, got[1].Weak)
	}
}
