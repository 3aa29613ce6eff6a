package arc

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/authres"
	"posta/internal/dkim"
)

// Two independent implementations: dkimpy (Debian's python3-dkim) and Mail::DKIM
// (libmail-dkim-perl). They know RSA only.
var peers = []struct {
	name string
	has  []string // exits with 0 where it is installed
	run  []string
}{
	{"dkimpy", []string{"/usr/bin/python3", "-c", "import dkim, authres"}, []string{"/usr/bin/python3", "testdata/peer.py"}},
	{"Mail::DKIM", []string{"/usr/bin/perl", "-MMail::DKIM::ARC::Signer", "-e1"}, []string{"/usr/bin/perl", "testdata/peer.pl"}},
}

type signJob struct {
	Message string `json:"message"`
	Domain  string `json:"domain"`
	Key     string `json:"key"`
}

type job struct {
	Keys   zone      `json:"keys"`
	Verify []string  `json:"verify,omitempty"`
	Sign   []signJob `json:"sign,omitempty"`
}

// ask runs the script of a peer.
func ask(t *testing.T, run []string, j job) (out []string) {
	t.Helper()
	in, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), run[0], run[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, stdout.Bytes())
	}
	return out
}

// eachPeer runs a test with each peer that is installed.
func eachPeer(t *testing.T, f func(t *testing.T, run []string)) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if err := exec.CommandContext(t.Context(), p.has[0], p.has[1:]...).Run(); err != nil {
				if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
					t.Fatal("POSTA_REQUIRE_PEERS=1, but " + p.name + " is not installed")
				}
				t.Skip(p.name + " is not installed")
			}
			f(t, p.run)
		})
	}
}

var rsaKey = sync.OnceValue(func() dkim.Key {
	k, err := dkim.GenerateRSA()
	if err != nil {
		panic(err)
	}
	return dkim.Key{Selector: "r", Signer: k}
})

func rsaZone(t *testing.T, domains ...string) zone {
	record, err := dkim.Record(rsaKey().Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	for _, d := range domains {
		z["r._domainkey."+d] = record
	}
	return z
}

// relay verifies a message, puts a footer under it and seals it with RSA. The peers
// look at the clock.
func relay(t *testing.T, z zone, m, footer, domain string) string {
	t.Helper()
	r := Verify(t.Context(), []byte(m), options(z))
	k := rsaKey()
	k.Domain = domain
	m, err := sealed(t, z, m+footer, k, SealOptions{Status: r.Status, Now: time.Now(), Results: []authres.Result{
		authres.SPF("pass", "ana@example.org", ""), authres.ARC(r.Status.String(), "", ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Chains that we seal, whole and damaged at random, are for the peers what they are
// for us.
func TestPeersVerifyOurs(t *testing.T) {
	z := rsaZone(t, "a.example", "b.example", "c.example")
	one := relay(t, z, letter, "", "a.example")
	two := relay(t, z, "Received: from a by b; z\r\n"+one, "-- \r\nfooter\r\n", "b.example")
	three := relay(t, z, two, "", "c.example")
	messages := []string{letter, one, two, three, one + "x", two + "x", strings.Replace(three, "Ana", "Eva", 1)}
	random := rand.New(rand.NewPCG(8617, 1))
	inserts := []string{" ", "x", "\t", "  ", "\r\n ", "=", "A", "1", " ", "\t "}
	head := strings.Index(three, "From: Ana")
	for len(messages) < 150 {
		m := []string{one, two, three}[random.IntN(3)]
		at := random.IntN(min(len(m), head))
		// Bare line ends, and white space in a field's name, are mended by some, refused
		// by others and kept by us.
		line := m[strings.LastIndexByte(m[:at], '\n')+1 : at]
		if m[at] == '\r' || m[at] == '\n' || !strings.HasPrefix(line, " ") && !strings.Contains(line, ":") {
			continue
		}
		cut := random.IntN(2)
		ins := inserts[random.IntN(len(inserts))]
		messages = append(messages, m[:at]+ins+m[at+cut:])
	}
	eachPeer(t, func(t *testing.T, run []string) {
		passed := 0
		for i, got := range ask(t, run, job{Keys: z, Verify: messages}) {
			r := Verify(t.Context(), []byte(messages[i]), options(z))
			if r.Status == Pass {
				passed++
			}
			// Mail::DKIM says invalid, temperror and the like where RFC 8617 has fail.
			if theirs := strings.ToLower(got); (theirs == "pass") != (r.Status == Pass) || (theirs == "none") != (r.Status == None) {
				t.Errorf("they say %s, we %s (%s)\n%s", got, short(r), r.Detail, messages[i])
			}
		}
		if passed < 8 || passed > 120 {
			t.Errorf("%d of %d passed: the damage is too wild or too tame", passed, len(messages))
		}
	})
}

// Chains that the peers seal, alone and above ours, are good for us, and ours above
// theirs are good for them.
func TestWeVerifyPeers(t *testing.T) {
	z := rsaZone(t, "a.example", "b.example", "c.example")
	// The peers want the older form of a key.
	private := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey().Signer.(*rsa.PrivateKey))}))
	results := func(domain, cv string) string {
		return "Authentication-Results: mx." + domain + "; arc=" + cv + "; spf=pass smtp.mailfrom=ana@example.org\r\n"
	}
	eachPeer(t, func(t *testing.T, run []string) {
		ours := relay(t, z, letter, "", "a.example")
		got := ask(t, run, job{Keys: z, Sign: []signJob{
			{results("a.example", "none") + letter, "a.example", private},
			{results("b.example", "pass") + ours + "-- \r\nfooter\r\n", "b.example", private},
		}})
		for i, want := range []string{"pass 0", "pass 0 oldest 2"} {
			r := Verify(t.Context(), []byte(got[i]), options(z))
			if short(r) != want {
				t.Errorf("message %d: %s (%s), want %s\n%s", i, short(r), r.Detail, want, got[i])
			}
			at, ok := r.Attested(func(string) bool { return true })
			if !ok || !slices.Equal(at.Passed("spf"), []string{"example.org"}) {
				t.Errorf("message %d: attested %+v", i, at)
			}
			got[i] = relay(t, z, got[i], "", "c.example")
		}
		if again := ask(t, run, job{Keys: z, Verify: got}); !slices.Equal(again, []string{"pass", "pass"}) {
			t.Errorf("with our set above: %v", again)
		}
	})
}
