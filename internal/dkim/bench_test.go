package dkim

import (
	"strings"
	"testing"
)

// message12K is a message as gate measures: 12 KiB, plain text.
func message12K() []byte {
	line := "The quick brown fox jumps over the lazy dog, and then it rests for a while.\r\n"
	head := string(crlfText(plain[:strings.Index(plain, "\n\n")+2]))
	return []byte(head + strings.Repeat(line, (12<<10)/len(line)))
}

func BenchmarkVerify12KRSA2048(b *testing.B) {
	header, body := SplitMessage(message12K())
	h := NewBodyHash(Relaxed)
	h.Write(body)
	field, err := Sign(header, h.Sum(), bothKeys()[:1], SignOptions{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	full := append(field, header...)
	z, cache := testZone(b), NewKeyCache(0)
	b.ReportAllocs()
	for b.Loop() {
		v := NewVerifier(full, VerifyOptions{Lookup: z.lookup, Keys: cache, Now: now})
		v.Write(body)
		if r := v.Finish(b.Context()); r[0].Status != Pass {
			b.Fatal(r[0])
		}
	}
}

func BenchmarkBodyHash12K(b *testing.B) {
	_, body := SplitMessage(message12K())
	for _, c := range []Canonicalization{Simple, Relaxed} {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				h := NewBodyHash(c)
				h.Write(body)
				h.Sum()
			}
		})
	}
}

func BenchmarkParseHeader(b *testing.B) {
	header, _ := SplitMessage(sign(b, message12K(), SignOptions{Now: now}))
	z := testZone(b)
	b.ReportAllocs()
	for b.Loop() {
		NewVerifier(header, VerifyOptions{Lookup: z.lookup, Now: now})
	}
}

func BenchmarkSignRSA2048AndEd25519(b *testing.B) {
	header, body := SplitMessage(message12K())
	keys := bothKeys()
	b.ReportAllocs()
	for b.Loop() {
		h := NewBodyHash(Relaxed)
		h.Write(body)
		if _, err := Sign(header, h.Sum(), keys, SignOptions{Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyHostile is the dearest header that fits the budgets: eight
// signatures that select five hundred absent names from four thousand fields, and
// whose body hash is right, so that each of them is computed.
func BenchmarkVerifyHostile(b *testing.B) {
	tags := strings.Replace(goodTags, "Subject", strings.Repeat("a:", 500)+"Subject", 1)
	tags = strings.Replace(tags, "BH", "g3zLYH4xKxcPrHOD18z9YfpQcnk/GaJedfustWU5uGs=", 1)
	field := "DKIM-Signature: " + tags + "; b=AAAA\r\n"
	message := []byte(strings.Repeat(field, MaxSignatures) + strings.Repeat("X: y\r\n", maxFields-20) + customHeader + "\r\ntest\r\n")
	z := testZone(b)
	for b.Loop() {
		for _, r := range Verify(b.Context(), message, VerifyOptions{Lookup: z.lookup}) {
			if r.Reason == ReasonBudget || r.Reason == ReasonSyntax {
				b.Fatal(r)
			}
		}
	}
}
