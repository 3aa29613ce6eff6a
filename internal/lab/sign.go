package lab

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/dkim"
)

// How the peers of the world sign and seal, well and badly, beside the well-kept
// way of welcome.go.

const (
	forwarder    = "lista.test" // seals with the keys of the well-kept peer, published as its own
	testSelector = "prueba"     // of bien.test: the RSA key again, marked as a test
)

// publishSigners publishes the keys of those who sign.
func (l *Lab) publishSigners() error {
	for _, k := range l.signers {
		if err := l.publishKey(k, ""); err != nil {
			return err
		}
		k.Domain = forwarder
		if err := l.publishKey(k, ""); err != nil {
			return err
		}
	}
	test := l.signers[0]
	test.Selector = testSelector
	return l.publishKey(test, "t=y; ")
}

// publishKey publishes a key, with further tags of its record.
func (l *Lab) publishKey(k dkim.Key, tags string) error {
	rec, err := dkim.Record(k.Signer.Public())
	if err != nil {
		return err
	}
	rec = strings.Replace(rec, "p=", tags+"p=", 1)
	var parts []string
	for _, s := range dkim.SplitTXT(rec) {
		parts = append(parts, strconv.Quote(s))
	}
	return l.dns.publish(dkim.RecordName(k.Selector, k.Domain) + ". 60 IN TXT " + strings.Join(parts, " "))
}

// dress is a letter as the peer sends it: signed, sealed, and then perhaps changed.
func (l *Lab) dress(p *peer, data []byte) (_ []byte, err error) {
	if p.Sign && len(p.SignWith) == 0 {
		data, err = l.sign(data)
	} else if p.Sign {
		data, err = l.signWith(data, p.SignWith)
	}
	if err == nil && len(p.Seal) > 0 {
		data, err = l.seal(data, p.Seal[0], p.Seal[1:])
	}
	if err == nil && p.Tail != "" {
		data = append(bytes.Clone(data), p.Tail+"\r\n"...)
	}
	return data, err
}

// signWith makes one signature of bien.test that is not as it should be.
func (l *Lab) signWith(data []byte, options []string) ([]byte, error) {
	header, body := dkim.SplitMessage(data)
	k := l.signers[0]
	var tags []string
	for _, o := range options {
		name, v, _ := strings.Cut(o, "=")
		switch {
		case name == "s":
			k.Selector = v
		case name == "l":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > len(body) {
				return nil, fmt.Errorf("lab: l=%s of a body of %d octets", v, len(body))
			}
			body, tags = body[:n], append(tags, "l="+v+";")
		case o == "expired":
			at := l.opt.Now().Add(-2 * time.Hour).Unix()
			tags = append(tags, fmt.Sprintf("t=%d;", at), fmt.Sprintf("x=%d;", at+3600))
		default:
			return nil, fmt.Errorf("lab: sign %q is not understood", o)
		}
	}
	names, covered, err := dkim.SelectHeaders(header, dkim.SignOptions{})
	if err != nil {
		return nil, fmt.Errorf("lab: sign: %w", err)
	}
	h := dkim.NewBodyHash(dkim.Relaxed)
	h.Write(body)
	f := dkim.SignedField{Name: "DKIM-Signature", First: "v=1;", Tags: tags, Headers: names, BodyHash: h.Sum(), Data: covered}
	field, err := f.Sign(k)
	if err != nil {
		return nil, fmt.Errorf("lab: sign: %w", err)
	}
	return append(field, data...), nil
}

// seal makes the first ARC set of a domain, which says what it found: "dmarc=pass
// header.from=banco.test".
func (l *Lab) seal(data []byte, domain string, found []string) ([]byte, error) {
	k := l.signers[0]
	k.Domain = domain
	results, err := authres.Parse("mx." + domain + "; " + strings.Join(found, " "))
	if err != nil {
		return nil, fmt.Errorf("lab: seal: %w", err)
	}
	header, body := dkim.SplitMessage(data)
	h := dkim.NewBodyHash(dkim.Relaxed)
	h.Write(body)
	set, err := arc.Seal(header, h.Sum(), k, arc.SealOptions{ServerID: results.ServerID, Results: results.Results, Status: arc.None, Now: l.opt.Now()})
	if err != nil {
		return nil, fmt.Errorf("lab: seal: %w", err)
	}
	return append(set, data...), nil
}

// chain tells of the ARC chain of a letter that an outside server has: what becomes of
// it there, who sealed last, and how many sets there are.
func (l *Lab) chain(ctx context.Context, data []byte) string {
	r := arc.Verify(ctx, data, dkim.VerifyOptions{Lookup: l.dns.text, Now: l.opt.Now()})
	if r.Status == arc.None {
		return "arc none"
	}
	newest := r.Newest()
	if newest == 0 { // fields of ARC that make no set
		return "arc fail"
	}
	return fmt.Sprintf("arc %v %s %d", r.Status, r.Sets[len(r.Sets)-1].Sealer(), newest)
}
