package arc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"posta/internal/dkim"
)

// The sets of these tests are made here from the text of RFC 8617, with none of the
// code under test but the canonicalization: every tag is the test's to choose, and
// the signatures over them are right.

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))

// zone answers look-ups from a literal; "!" is a temporary failure.
type zone map[string]string

func (z zone) lookup(_ context.Context, name string) ([]string, bool, error) {
	switch r, ok := z[name]; {
	case !ok:
		return nil, false, nil
	case r == "!":
		return nil, false, context.DeadlineExceeded
	default:
		return []string{r}, true, nil
	}
}

func keys(t testing.TB, domains ...string) zone {
	r, err := dkim.Record(testKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	for _, d := range domains {
		z["s._domainkey."+d] = r
	}
	return z
}

// hop is one set to be added. Of tags, what stands before the colon is replaced by
// what stands behind it: "t=1800000000:t=soon".
type hop struct {
	domain         string
	cv             string // "" is what it must be
	aar, ams, seal []string
}

var (
	fieldRE    = regexp.MustCompile(`(?m)^[^ \t\r\n][^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*`)
	instanceRE = regexp.MustCompile(`(?i)^ARC-[a-z-]+:(?:[^;]*;)*?\s*i\s*=\s*(\d+)`)
)

func edit(s string, changes []string) string {
	for _, c := range changes {
		old, new, _ := strings.Cut(c, ":")
		s = strings.Replace(s, old, new, 1)
	}
	return s
}

// forge puts one more set above a message.
func forge(message string, h hop) string {
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	header += "\r\n"
	n := 1
	arcOf := map[int][]string{} // earlier sets: AAR, AMS, AS
	for _, f := range fieldRE.FindAllString(header, -1) {
		m := instanceRE.FindStringSubmatch(f)
		if m == nil {
			continue
		}
		i, _ := strconv.Atoi(m[1])
		if arcOf[i] == nil {
			arcOf[i] = make([]string, 3)
		}
		for k, name := range []string{resultsName, messageName, sealName} {
			if strings.HasPrefix(strings.ToLower(f), strings.ToLower(name)+":") {
				arcOf[i][k] = f
			}
		}
		n = max(n, i+1)
	}
	if h.cv == "" {
		if h.cv = "pass"; n == 1 {
			h.cv = "none"
		}
	}
	aar := edit(fmt.Sprintf("ARC-Authentication-Results: i=%d; mx.%s; spf=pass smtp.mailfrom=ana@example.org;\r\n dmarc=pass header.from=example.org\r\n", n, h.domain), h.aar)

	ams := edit(fmt.Sprintf("ARC-Message-Signature: i=%d; a=ed25519-sha256; c=relaxed/relaxed; d=%s; s=s;\r\n t=1800000000; h=From:To:Subject:Date:Date; bh=BH; b=", n, h.domain), h.ams)
	bodyCanon := dkim.Relaxed
	if strings.Contains(ams, "c=relaxed/simple") || strings.Contains(ams, "c=simple;") {
		bodyCanon = dkim.Simple
	}
	headerCanon := dkim.Relaxed
	if strings.Contains(ams, "c=simple") {
		headerCanon = dkim.Simple
	}
	b := dkim.NewBodyHash(bodyCanon)
	b.Write([]byte(body))
	sum := b.Sum()
	ams = strings.Replace(ams, "BH", base64.StdEncoding.EncodeToString(sum[:]), 1)
	var data []byte
	fields := fieldRE.FindAllString(aar+header, -1) // the AAR is there already, as the public suite has it
	if m := regexp.MustCompile(`h=([^;]*)`).FindStringSubmatch(ams); m != nil {
		taken := map[int]bool{}
		for _, name := range strings.Split(m[1], ":") {
			for i := len(fields) - 1; i >= 0; i-- {
				fieldName, _, _ := strings.Cut(fields[i], ":")
				if !taken[i] && strings.EqualFold(strings.TrimSpace(fieldName), strings.TrimSpace(name)) {
					taken[i] = true
					data = dkim.AppendField(data, []byte(fields[i]), headerCanon)
					break
				}
			}
		}
	}
	ams = finish(data, ams, headerCanon)

	seal := edit(fmt.Sprintf("ARC-Seal: i=%d; a=ed25519-sha256; cv=%s; d=%s; s=s; t=1800000000;\r\n b=", n, h.cv, h.domain), h.seal)
	data = nil
	if h.cv != "fail" {
		for i := 1; i < n; i++ {
			for _, f := range arcOf[i] {
				data = dkim.AppendField(data, []byte(f), dkim.Relaxed)
			}
		}
	}
	data = dkim.AppendField(data, []byte(aar), dkim.Relaxed)
	data = dkim.AppendField(data, []byte(ams), dkim.Relaxed)
	return finish(data, seal, dkim.Relaxed) + ams + aar + message
}

// finish signs data and the field itself and fills in its b=, wherever it stands.
func finish(data []byte, field string, c dkim.Canonicalization) string {
	data = dkim.AppendField(data, []byte(field), c)
	digest := sha256.Sum256(data[:len(data)-2])
	sig, err := testKey.Sign(nil, digest[:], crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	b := base64.StdEncoding.EncodeToString(sig)
	if i := strings.LastIndex(field, "b="); i >= 0 && field[i-1] != 'b' {
		return field[:i+2] + b + field[i+2:] + "\r\n"
	}
	return field + "\r\n"
}

const letter = "From: Ana <ana@example.org>\r\nTo: list@a.example\r\nSubject: Hello\r\n there\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n\r\nHello  list, \r\n\r\nAna\r\n\r\n"

// through sends the letter through forwarders.
func through(domains ...string) string {
	m := letter
	for _, d := range domains {
		m = forge(m, hop{domain: d})
	}
	return m
}
