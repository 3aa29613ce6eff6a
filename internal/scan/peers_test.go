package scan

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/dkim"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
	"posta/internal/scan/peertest"
	"posta/internal/scan/scantest"
)

// key is a signing key, for opendkim and as a record.
type key struct{ private, record string }

func newKey(t *testing.T) key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key{
		record:  "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der),
		private: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})),
	}
}

// openDKIM runs opendkim to sign or to verify.
func openDKIM(t *testing.T, k key, sign bool) (*Milter, *peertest.Program) {
	t.Helper()
	p := peertest.OpenDKIM(t, peertest.DKIM{Sign: sign, Domain: "example.net", Key: k.private, Record: k.record, ServerID: "mx.example.org"})
	m, err := NewMilter("inet:"+p.Port+"@127.0.0.1", milter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

const eicar = scantest.EICAR

// clamAV runs clamd, which knows EICAR's test string.
func clamAV(t *testing.T) (*ClamAV, *peertest.Program) {
	t.Helper()
	p := peertest.ClamAV(t, eicar)
	c, err := NewClamAV("127.0.0.1:"+p.Port, ClamAVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// realRspamd runs rspamd.
func realRspamd(t *testing.T) (*Rspamd, *peertest.Program) {
	t.Helper()
	p := peertest.Rspamd(t)
	r, err := NewRspamd("http://127.0.0.1:"+p.Port, RspamdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

// signed is a message of example.net, in the shape of a real one.
const signed = "Received: by mx.example.net;\r\n\tMon, 30 Nov 2026 12:00:00 +0000\r\nFrom: Ana <ana@example.net>\r\n" +
	"To: bea@example.org\r\nSubject:  two  spaces\r\n and a fold\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\n"

// One opendkim signs, the next one verifies what the first one left: the bytes
// went through both exactly, in simple canonicalisation. Our own verifier agrees.
func TestOpenDKIMSignsAndVerifies(t *testing.T) {
	k := newKey(t)
	signer, _ := openDKIM(t, k, true)
	verifier, _ := openDKIM(t, k, false)
	r := runner(t, Member{Name: "sign", Scanner: signer}, Member{Name: "verify", Scanner: verifier})
	body := strings.Repeat("Hello  there \r\n\r\n.\r\n", 10_000) // several chunks
	for range 2 {                                                // the second over kept connections
		o := r.Run(t.Context(), facts(t), text(signed, body))
		if o.Action != mail.Accept || o.Results[0].Err != nil || o.Results[1].Err != nil {
			t.Fatal(o.Results)
		}
		h := message.Header(o.Message.Header)
		if got := h.Get("Authentication-Results"); !strings.Contains(got, "mx.example.org") || !strings.Contains(got, "dkim=pass") {
			t.Errorf("Authentication-Results: %q\n%s", got, o.Message.Header)
		}
		v := dkim.NewVerifier(o.Message.Header, dkim.VerifyOptions{Keys: nil, Lookup: k.lookup, Now: time.Now()})
		v.Start(t.Context())
		if _, err := io.Copy(v, o.Message.body()); err != nil {
			t.Fatal(err)
		}
		results := v.Finish(t.Context())
		v.Close()
		if len(results) != 1 || results[0].Status != dkim.Pass || results[0].SDID != "example.net" {
			t.Errorf("%+v\n%s", results, o.Message.Header)
		}
		if !strings.HasSuffix(whole(t, o.Message), signed+body) || o.BodyEdited {
			t.Error("what was signed is not what came")
		}
		o.Close()
	}
	for _, h := range r.Health(t.Context()) {
		if h.Err != nil || h.Version != "milter protocol 6" {
			t.Error(h)
		}
	}
}

func TestRealClamAV(t *testing.T) {
	c, _ := clamAV(t)
	r := runner(t, Member{Name: "virus", Scanner: c, OnTooLarge: Defer})
	for _, x := range []struct {
		body   string
		action mail.Action
		reason string
		cause  Cause
	}{
		{"Hello\r\n", mail.Accept, "", NoCause},
		{eicar, mail.Reject, "Posta.Test.Eicar.UNOFFICIAL", NoCause},
		{strings.Repeat("0123456789\r\n", 200_000), mail.Defer, "", TooLarge},
	} {
		o := r.Run(t.Context(), facts(t), text(signed, x.body))
		res := o.Results[0]
		if o.Action != x.action || res.Cause != x.cause || x.cause == NoCause && res.Reason != x.reason {
			t.Errorf("%v: %v", x.action, res)
		}
	}
	if h := r.Health(t.Context())[0]; h.Err != nil || !strings.HasPrefix(h.Version, "ClamAV ") {
		t.Error(h)
	}
}

func TestRealRspamd(t *testing.T) {
	s, _ := realRspamd(t)
	r := runner(t, Member{Name: "spam", Scanner: s, OnFailure: Defer})
	for _, x := range []struct {
		weight string
		action mail.Action
	}{{"1", mail.Accept}, {"5", mail.Accept}, {"7", mail.Junk}, {"16", mail.Reject}} {
		o := r.Run(t.Context(), facts(t), text("X-Weight: "+x.weight+"\r\n"+signed, "Hello\r\n"))
		res := o.Results[0]
		if o.Action != x.action || res.Err != nil || fmt.Sprintf("%.0f", res.Score) != x.weight || res.Required != 15 || res.Greylist != (x.weight == "5") {
			t.Errorf("weight %s: %+v", x.weight, res)
		}
		if len(res.Symbols) != 1 || strings.Join(res.Symbols[0].Options, " ") != "mx.example.net 192.0.2.7 ana@example.net 2" {
			t.Errorf("%+v", res.Symbols)
		}
		if o.Action < mail.Discard && whole(t, o.Message) != "X-Own: weighed\r\n"+signed+"Hello\r\n" {
			t.Errorf("%q", whole(t, o.Message))
		}
	}
	gtube := "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
	if o := r.Run(t.Context(), facts(t), text(signed, gtube)); o.Action != mail.Reject || o.Reply.String() != "554 5.7.1 Gtube pattern" {
		t.Error(o.Action, o.Reply)
	}
	if h := r.Health(t.Context())[0]; h.Err != nil || h.Version != "rspamd/3.4" {
		t.Log(h) // another version, perhaps
	}
}

// deadly is a body whose reading kills a peer when it is half through.
type deadly struct {
	body string
	kill func()
}

func (d *deadly) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.body)/2) {
		d.kill()
	}
	return strings.NewReader(d.body).ReadAt(p, off)
}

// Each real scanner is killed in the middle of a message: the message is put off
// or goes on as it was, as its member is set; those after it are asked; and it is
// asked again once it is back.
func TestKilledInTheMiddle(t *testing.T) {
	k := newKey(t)
	kinds := map[string]func(t *testing.T) (Scanner, *peertest.Program){
		"opendkim": func(t *testing.T) (Scanner, *peertest.Program) { return two(openDKIM(t, k, true)) },
		"clamd":    func(t *testing.T) (Scanner, *peertest.Program) { return two(clamAV(t)) },
		"rspamd":   func(t *testing.T) (Scanner, *peertest.Program) { return two(realRspamd(t)) },
	}
	long := strings.Repeat("0123456789\r\n", 80_000) // more than the sockets buffer
	for name, run := range kinds {
		for _, set := range []Fallback{Defer, Pass} {
			t.Run(name+" "+set.String(), func(t *testing.T) {
				s, p := run(t)
				r := runner(t, Member{Scanner: s, OnFailure: set}, Member{Scanner: says(Report{Action: mail.Junk}, nil)})
				o := r.Run(t.Context(), facts(t), Message{Header: []byte(signed), Body: blob.From(&deadly{long, p.Kill}, int64(len(long)))})
				defer o.Close()
				want, asked := mail.Defer, 1
				if set == Pass {
					want, asked = mail.Junk, 2
				}
				if o.Action != want || len(o.Results) != asked || o.Results[0].Cause != Down {
					t.Errorf("%v %v", o.Action, o.Results)
				}
				if o.HeaderEdited || o.BodyEdited || whole(t, o.Message) != signed+long {
					t.Error("the message was changed")
				}
				// And now that it is dead.
				if o := r.Run(t.Context(), facts(t), text(signed, "Hello\r\n")); o.Action != want || o.Results[0].Cause != Down {
					t.Errorf("%v %v", o.Action, o.Results)
				}
			})
		}
	}
}

// two makes a scanner of its type a Scanner.
func two[S Scanner](s S, p *peertest.Program) (Scanner, *peertest.Program) { return s, p }

// lookup gives our own verifier the key.
func (k key) lookup(_ context.Context, name string) ([]string, bool, error) {
	if name != "sel._domainkey.example.net" && name != "sel._domainkey.example.net." {
		return nil, false, nil
	}
	return []string{k.record}, true, nil
}
