package intake

import (
	"crypto"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"posta/internal/dkim"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/smtpserver"
)

// BenchmarkJudge is what is done with the usual letter between DATA and the commit:
// 12 KiB, one RSA-2048 signature, no ARC, every answer of the DNS at hand.
func BenchmarkJudge(b *testing.B) {
	private, err := dkim.GenerateRSA()
	if err != nil {
		b.Fatal(err)
	}
	record, err := dkim.Record(crypto.Signer(private).Public())
	if err != nil {
		b.Fatal(err)
	}
	h := newHouse(b)
	zone := maps.Clone(world)
	zone["s._domainkey.good.example"] = []string{"TXT " + record}
	zone["_dmarc.good.example"] = []string{"TXT v=DMARC1; p=reject"}
	h.dns = zone
	now := time.Now()
	text := strings.Replace(letter, "Sat, 21 Nov 2026 10:00:00 +0000", message.FormatDate(now), 1)
	text += strings.Repeat(strings.Repeat("x", 70)+"\r\n", 170)
	head, body := message.SplitHeader([]byte(text))
	hash := dkim.NewBodyHash(dkim.Relaxed)
	hash.Write(body)
	signature, err := dkim.Sign(head, hash.Sum(), []dkim.Key{{Domain: "good.example", Selector: "s", Signer: private}}, dkim.SignOptions{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	text = string(signature) + text
	c := stranger()
	c.TLS.Version = "TLS1.3"
	s, _ := h.Open(b.Context(), &c)
	defer s.Close(b.Context(), smtpserver.CloseReason{})
	s.Hello(b.Context(), &c)
	e := &mail.Envelope{ID: mail.NewID(now), Client: c, ReversePath: address(b, "a@good.example"), Received: now}
	s.Mail(b.Context(), e)
	to := mail.Recipient{Address: address(b, "ana@empresa.test")}
	if r := s.Rcpt(b.Context(), e, to); r != nil {
		b.Fatal(r)
	}
	e.Recipients = []mail.Recipient{to}
	b.ReportAllocs()
	for b.Loop() {
		data, _ := s.Data(b.Context(), e)
		k := data.(*sink)
		if _, err := io.WriteString(k, text); err != nil {
			b.Fatal(err)
		}
		f, err := k.read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		set, asked := k.judge(b.Context(), f)
		if v := k.decide(set, asked); v[0].Action != mail.Accept || len(set.Others) != 0 {
			b.Fatal(v, set.Others)
		}
		k.end()
		k.tx.judge.results = k.tx.judge.results[:2]
	}
}
