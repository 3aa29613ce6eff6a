package queue

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"posta/internal/blob"
	"posta/internal/dkim"
	"posta/internal/mail"
	"posta/internal/relay"
	"posta/internal/store"
)

// testKey is a key of posta.test with its published record.
func testKey(t testing.TB) (key store.DKIMKey, record string) {
	private, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	text, err := dkim.MarshalPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	record, err = dkim.Record(crypto.Signer(private).Public())
	if err != nil {
		t.Fatal(err)
	}
	return store.DKIMKey{Selector: "s1", Algorithm: "ed25519", Private: text, Active: true}, record
}

// testContents has one key and one stored message.
func testContents(t testing.TB, body string) (c *contents, e *store.QueueEntry, record string) {
	key, record := testKey(t)
	s := newMemStore()
	id := blob.NewID(time.Now())
	s.blobs[id] = []byte(body)
	q := New(Config{Store: s, Blobs: s, Hostname: "mail.posta.test", Keys: func(domain string) []store.DKIMKey {
		if domain == "posta.test" {
			old := key
			old.Selector, old.Active, old.Private = "old", false, nil
			return []store.DKIMKey{old, key}
		}
		return nil
	}})
	e = &store.QueueEntry{Message: mail.NewID(time.Now()), Group: 1, Blob: store.BlobRef{ID: id, Size: int64(len(body))}}
	e.Account, e.Enqueue.Sign, e.Prefix = 1, true, []byte("Received: from x\r\n\tby y\r\n")
	return q.contents, e, record
}

// read is a content as it is sent.
func read(t testing.TB, c *relay.Content, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(io.NewSectionReader(c.Body, c.Offset, c.Size))
	if err != nil {
		t.Fatal(err)
	}
	if c.Close != nil {
		c.Close()
	}
	return string(c.Head) + string(body)
}

// verified asks another hand's verifier.
func verified(t testing.TB, message, record string) error {
	t.Helper()
	got, err := msgauth.VerifyWithOptions(strings.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if name != "s1._domainkey.posta.test" {
				return nil, fmt.Errorf("asked for %s", name)
			}
			return []string{record}, nil
		},
	})
	if err != nil {
		return err
	}
	if len(got) != 1 {
		return fmt.Errorf("%d signatures", len(got))
	}
	return got[0].Err
}

// What is signed is what is sent: small and streamed, with a header that was
// replaced, after a conversion to 7 bits, without a last line end.
func TestSigned(t *testing.T) {
	head := "From: Ana <ana@posta.test>\r\nSubject: hola\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	large := strings.Repeat("Buenos días, otra vez. \r\n", 20_000)
	for _, c := range []struct {
		name   string
		body   string
		skip   int64
		prefix string
		form   relay.Form
		sent   string // "": prefix + body
	}{
		{name: "small", body: head + "Buenos días\r\n"},
		{name: "streamed", body: head + large},
		{name: "no last line end", body: head + "x"},
		{name: "streamed, no last line end", body: head + large + "x"},
		{name: "no body", body: "From: ana@posta.test\r\n\r\n"},
		{name: "header replaced", body: "Old: 1\r\nOld: 2\r\n\r\nx\r\n", skip: 16, prefix: "From: ana@posta.test\r\n"},
		{name: "header and empty line replaced, streamed", body: "Old: 1\r\n\r\n" + large, skip: 10, prefix: "From: ana@posta.test\r\n\r\n"},
		{name: "converted", body: head + "Buenos días\r\n", form: relay.SevenBits,
			sent: "Received: from x\r\n\tby y\r\n" + strings.ReplaceAll(head, "8bit", "quoted-printable") + "Buenos d=C3=ADas\r\n"},
		{name: "bare line ends", body: head + "a\nb\rc\r\n", sent: "Received: from x\r\n\tby y\r\n" + head + "a\r\nb\r\nc\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			contents, e, record := testContents(t, c.body)
			e.Skip = c.skip
			if c.prefix != "" {
				e.Prefix = []byte(c.prefix)
			}
			got, err := contents.open(t.Context(), e, c.form)
			sent := read(t, got, err)
			if err := verified(t, sent, record); err != nil {
				t.Errorf("%v\n%.2000s", err, sent)
			}
			want := c.sent
			if want == "" {
				want = string(e.Prefix) + c.body[c.skip:]
			}
			if !strings.HasSuffix(sent, want) || !strings.HasPrefix(sent, "DKIM-Signature: ") {
				t.Errorf("sent %.500q\nwant %.500q", sent, want)
			}
			again, err := contents.open(t.Context(), e, c.form)
			if twice := read(t, again, err); c.form != relay.SevenBits && twice != sent {
				t.Error("a second recipient gets another message")
			}
		})
	}
}

// A message with binary parts is sent as it is to a host that takes them, as long as
// CR and LF stand in pairs; else its parts become base64, and decode to what they
// were.
func TestBinary(t *testing.T) {
	head := "From: Ana <ana@posta.test>\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	nul, bare := "a\x00b\r\n"+strings.Repeat("x", 2000)+"\r\n", "a\nb\r\x00\xff"
	for _, c := range []struct {
		name   string
		body   string
		form   relay.Form
		chunks bool
	}{
		{"taken", nul, relay.AnyOctets, true},
		{"a bare LF", bare, relay.AnyOctets, false},
		{"not taken", nul, relay.EightBits, false},
		{"a bare LF, not taken", bare, relay.EightBits, false},
		{"7 bits only", bare, relay.SevenBits, false},
		{"large", strings.Repeat(bare, 100_000), relay.EightBits, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			contents, e, record := testContents(t, head+c.body)
			e.Binary = true
			got, err := contents.open(t.Context(), e, c.form)
			if err != nil {
				t.Fatal(err)
			}
			if got.Chunks != c.chunks {
				t.Errorf("BDAT: %v", got.Chunks)
			}
			sent := read(t, got, nil)
			if err := verified(t, sent, record); err != nil {
				t.Error(err)
			}
			_, body, _ := strings.Cut(sent, "\r\n\r\n")
			if !c.chunks {
				if !strings.Contains(sent, "Content-Transfer-Encoding: base64\r\n") || !cleanLines([]byte(sent)) {
					t.Errorf("sent %.300q", sent)
				}
				plain, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			}
			if body != c.body {
				t.Errorf("%d octets became %d: %.100q", len(c.body), len(body), body)
			}
		})
	}
}

// Nobody else's message gets our name.
func TestNotSigned(t *testing.T) {
	body := "From: ana@posta.test\r\n\r\nx\r\n"
	for _, c := range []struct {
		name   string
		body   string
		change func(*store.QueueEntry)
		signed bool
	}{
		{"our own user", body, func(*store.QueueEntry) {}, true},
		{"our own notice", body, func(e *store.QueueEntry) { e.Account, e.Prefix = 0, nil }, true},
		{"a program of this machine", body, func(e *store.QueueEntry) { e.Account = 0 }, true},
		{"a stranger's, forwarded, in our name", body, func(e *store.QueueEntry) { e.Account, e.Enqueue.Sign = 0, false }, false},
		{"another domain in From", strings.ReplaceAll(body, "posta.test", "example.org"), func(*store.QueueEntry) {}, false},
		{"several authors, one of us", "From: x@example.org, ana@posta.test\r\n\r\n", func(*store.QueueEntry) {}, true},
		{"no From", "To: x@example.org\r\n\r\n", func(*store.QueueEntry) {}, false},
	} {
		contents, e, _ := testContents(t, c.body)
		c.change(e)
		got, err := contents.open(t.Context(), e, relay.EightBits)
		if sent := read(t, got, err); strings.Contains(sent, "DKIM-Signature") != c.signed {
			t.Errorf("%s: %q", c.name, sent)
		}
	}
}

// Signatures are kept for messages with several recipients, not for ever.
func TestSignaturesBounded(t *testing.T) {
	contents, e, _ := testContents(t, "From: ana@posta.test\r\n\r\nx\r\n")
	for range maxSigned + 10 {
		e.Message = mail.NewID(time.Now())
		if _, err := contents.open(t.Context(), e, relay.EightBits); err != nil {
			t.Fatal(err)
		}
	}
	if len(contents.signed) != maxSigned || len(contents.order) != maxSigned {
		t.Errorf("%d signatures are kept, %d in order", len(contents.signed), len(contents.order))
	}
}

// A blob that a compaction moved is found at its new place; an unreadable one is
// an error, and none is sent in part.
func TestBlobMoved(t *testing.T) {
	body := "From: ana@posta.test\r\n\r\nx\r\n"
	contents, e, _ := testContents(t, body)
	there := blob.Location{Unit: "new", Offset: 7}
	contents.blobs = movedBlobs{there, body}
	contents.store = movedRow{contents.store, store.BlobRef{ID: e.Blob.ID, At: there}}
	got, err := contents.open(t.Context(), e, relay.EightBits)
	if sent := read(t, got, err); !strings.HasSuffix(sent, body) {
		t.Errorf("%q", sent)
	}
	contents.blobs = movedBlobs{blob.Location{Unit: "gone"}, body}
	if _, err := contents.open(t.Context(), e, relay.EightBits); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

type movedBlobs struct {
	at   blob.Location
	body string
}

func (m movedBlobs) Open(_ context.Context, _ blob.ID, at blob.Location) (blob.Reader, error) {
	if at != m.at {
		return nil, blob.ErrNotFound
	}
	return memReader{bytes.NewReader([]byte(m.body))}, nil
}

type movedRow struct {
	Store
	ref store.BlobRef
}

func (m movedRow) BlobRef(context.Context, blob.ID) (store.BlobRef, error) { return m.ref, nil }

// BenchmarkOpen is the queue's share of a message of 12 KiB without and with a
// signature (Ed25519; RSA costs what RSA costs).
func BenchmarkOpen(b *testing.B) {
	body := "From: ana@posta.test\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 170)
	for _, c := range []struct {
		name string
		own  bool
	}{{"unsigned", false}, {"signed", true}} {
		b.Run(c.name, func(b *testing.B) {
			contents, e, _ := testContents(b, body)
			if !c.own {
				e.Account = 0
			}
			b.ReportAllocs()
			for b.Loop() {
				e.Group++ // each is signed anew
				if _, err := contents.open(b.Context(), e, relay.EightBits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
