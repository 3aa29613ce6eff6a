package queue

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/blob"
	"posta/internal/dkim"
	"posta/internal/mail"
	"posta/internal/relay"
	"posta/internal/store"
)

// rsaKey is a key with its published record.
var rsaKey = sync.OnceValues(func() (key store.DKIMKey, record string) {
	private, err := dkim.GenerateRSA()
	if err != nil {
		panic(err)
	}
	text, err := dkim.MarshalPrivateKey(private)
	if err != nil {
		panic(err)
	}
	if record, err = dkim.Record(crypto.Signer(private).Public()); err != nil {
		panic(err)
	}
	return store.DKIMKey{Selector: "r", Algorithm: "rsa", Private: text, Active: true}, record
})

// forwarded is a message on its way out through an alias of a domain, as it is sent.
func forwarded(t *testing.T, domain, results, text string, form relay.Form) string {
	t.Helper()
	key, _ := rsaKey()
	small, _ := testKey(t)
	s := newMemStore()
	q := New(Config{Store: s, Blobs: s, Hostname: "mail.posta.test", Keys: func(d string) []store.DKIMKey {
		if d != domain || d == "keyless.test" {
			return nil
		}
		return []store.DKIMKey{small, key} // the seal takes the RSA key
	}})
	id := blob.NewID(time.Now())
	s.blobs[id] = []byte(text)
	e := &store.QueueEntry{Message: mail.NewID(time.Now()), Group: 1, Blob: store.BlobRef{ID: id, Size: int64(len(text))}}
	e.Seal, e.Prefix = domain, []byte(results+"Received: from x\r\n\tby y\r\n")
	content, err := q.contents.open(t.Context(), e, form)
	return read(t, content, err)
}

// resultsField is our Authentication-Results, with those of the chain unless it is "".
func resultsField(chain string) string {
	h := authres.Header{ServerID: "mail.posta.test", Results: []authres.Result{
		authres.SPF("pass", "ana@example.org", ""), authres.DMARC("pass", "example.org"),
	}}
	if chain != "" {
		h.Results = append(h.Results, authres.ARC(chain, "192.0.2.1", ""))
	}
	return string(h.Append(nil))
}

// verdict is what our own verifier makes of a chain.
func verdict(t *testing.T, text string) arc.Result {
	t.Helper()
	_, record := rsaKey()
	return arc.Verify(t.Context(), []byte(text), dkim.VerifyOptions{Lookup: func(_ context.Context, name string) ([]string, bool, error) {
		if strings.HasPrefix(name, "r._domainkey.") {
			return []string{record}, true, nil
		}
		return nil, false, nil
	}})
}

const stranger = "From: Ana <ana@example.org>\r\nTo: ventas@posta.test\r\nSubject: hola\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBuenos días\r\n"

// What an alias sends on is sealed over exactly what is sent: small, streamed, and
// after a conversion to 7 bits; what was found is in the set, and the chain as it
// came is kept.
func TestSealed(t *testing.T) {
	large := stranger + strings.Repeat("Buenos días, otra vez.\r\n", 20_000)
	once := forwarded(t, "a.test", resultsField(""), stranger, relay.EightBits)
	var sent []string
	for _, c := range []struct {
		name, domain, results, text string
		form                        relay.Form
		want                        arc.Status
		sets                        int
	}{
		{"small", "a.test", resultsField(""), stranger, relay.EightBits, arc.Pass, 1},
		{"streamed", "a.test", resultsField(""), large, relay.EightBits, arc.Pass, 1},
		{"converted", "a.test", resultsField(""), stranger, relay.SevenBits, arc.Pass, 1},
		{"above a chain", "b.test", resultsField("pass"), once, relay.EightBits, arc.Pass, 2},
		{"above a chain that the conversion breaks", "b.test", resultsField("pass"), once, relay.SevenBits, arc.Pass, 2},
		{"above a broken chain", "b.test", resultsField("fail"), once + "x\r\n", relay.EightBits, arc.Fail, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := forwarded(t, c.domain, c.results, c.text, c.form)
			r := verdict(t, got)
			if r.Status != c.want || len(r.Sets) != c.sets {
				t.Fatalf("%v %s with %d sets, want %v with %d\n%.3000s", r.Status, r.Detail, len(r.Sets), c.want, c.sets, got)
			}
			newest := r.Sets[c.sets-1]
			if newest.Sealer() != c.domain || newest.Seal.Algorithm != "rsa-sha256" || newest.Results.ServerID != "mail.posta.test" || len(newest.Results.Results) < 2 {
				t.Errorf("%+v", newest)
			}
			if c.want == arc.Pass {
				sent = append(sent, got)
			}
		})
	}
	peersVerify(t, sent)
}

// A chain that was declared failed, and one of fifty sets, go on as they came; so does
// what a domain without keys sends on.
func TestNotSealed(t *testing.T) {
	dead := forwarded(t, "a.test", resultsField("fail"), forwarded(t, "a.test", resultsField(""), stranger, relay.EightBits)+"x\r\n", relay.EightBits)
	full := stranger
	for i := 50; i > 0; i-- {
		n := string(authres.Header{ServerID: "x.test"}.AppendARC(nil, i))
		full = n + strings.Replace("ARC-Message-Signature: i=N; a=rsa-sha256; d=x.test; s=r; h=From; bh=AA==; b=AA==\r\nARC-Seal: i=N; a=rsa-sha256; cv=pass; d=x.test; s=r; b=AA==\r\n", "N", strings.TrimSuffix(strings.Fields(n)[1][2:], ";"), 2) + full
	}
	for name, c := range map[string]struct{ domain, results, text string }{
		"declared failed":                     {"b.test", resultsField("fail"), dead},
		"fifty sets":                          {"b.test", resultsField("pass"), full},
		"results that are not on top of it":   {"b.test", "", stranger},
		"results that say pass of no chain":   {"b.test", resultsField("pass"), stranger},
		"a seal whose domain has no key here": {"keyless.test", resultsField(""), stranger},
	} {
		got := forwarded(t, c.domain, c.results, c.text, relay.EightBits)
		if want := c.results + "Received: from x\r\n\tby y\r\n" + c.text; got != want {
			t.Errorf("%s: %.300s…", name, got)
		}
	}
}

// peersVerify has independent verifiers (dkimpy, Mail::DKIM) look at what leaves.
func peersVerify(t *testing.T, sent []string) {
	_, record := rsaKey()
	octets := make([]string, len(sent)) // the peers read one character for each
	for i, s := range sent {
		var b strings.Builder
		for _, o := range []byte(s) {
			b.WriteRune(rune(o))
		}
		octets[i] = b.String()
	}
	job, err := json.Marshal(map[string]any{
		"keys":   map[string]string{"r._domainkey.a.test": record, "r._domainkey.b.test": record},
		"verify": octets,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct{ name, program, has, script string }{
		{"dkimpy", "/usr/bin/python3", "import dkim, authres", "../arc/testdata/peer.py"},
		{"Mail::DKIM", "/usr/bin/perl", "use Mail::DKIM::ARC::Signer", "../arc/testdata/peer.pl"},
	} {
		t.Run(p.name, func(t *testing.T) {
			eval := map[bool]string{true: "-c", false: "-e"}[p.name == "dkimpy"]
			if err := exec.CommandContext(t.Context(), p.program, eval, p.has).Run(); err != nil {
				if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
					t.Fatal("POSTA_REQUIRE_PEERS=1, but " + p.name + " is not installed")
				}
				t.Skip(p.name + " is not installed")
			}
			cmd := exec.CommandContext(t.Context(), p.program, p.script)
			var stderr bytes.Buffer
			cmd.Stdin, cmd.Stderr = bytes.NewReader(job), &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.Bytes())
			}
			var got []string
			if err := json.Unmarshal(out, &got); err != nil || len(got) != len(sent) {
				t.Fatalf("%v: %s", err, out)
			}
			for i, v := range got {
				if !strings.EqualFold(v, "pass") {
					t.Errorf("%s\n%.2000s", v, sent[i])
				}
			}
		})
	}
}
