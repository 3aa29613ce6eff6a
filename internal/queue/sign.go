package queue

import (
	"crypto"
	"crypto/sha256"
	"io"
	"sync"

	"posta/internal/addr"
	"posta/internal/dkim"
	"posta/internal/message"
	"posta/internal/store"
)

// signature gives a message's DKIM-Signature fields and its ARC set, made once for
// all of its recipients; nil if it is neither to be signed nor to be sealed.
func (c *contents) signature(e *store.QueueEntry, all []byte) []byte {
	fields, _ := c.signatureOf(e, func() ([]byte, error) { return c.signNow(e, all), nil })
	return fields
}

// signatureOf looks a signature up or makes it. An error of produce is not kept.
func (c *contents) signatureOf(e *store.QueueEntry, produce func() ([]byte, error)) (fields []byte, err error) {
	if !c.sign(e) && e.Seal == "" {
		return nil, nil
	}
	k := signedKey{e.Message, e.Group}
	c.mu.Lock()
	s := c.signed[k]
	if s == nil {
		s = &signature{}
		if len(c.order) == maxSigned {
			delete(c.signed, c.order[0])
			c.order = c.order[1:]
		}
		c.signed[k] = s
		c.order = append(c.order, k)
	}
	c.mu.Unlock()
	s.once.Do(func() { s.fields, err = produce() })
	if err != nil {
		c.mu.Lock()
		if c.signed[k] == s {
			c.signed[k] = &signature{}
		}
		c.mu.Unlock()
	}
	return s.fields, err
}

// signNow signs a message in memory.
func (c *contents) signNow(e *store.QueueEntry, all []byte) []byte {
	h, body := message.SplitHeader(all)
	keys := c.keysFor(e, h)
	if len(keys) == 0 && e.Seal == "" {
		return nil
	}
	hash := dkim.NewBodyHash(dkim.Relaxed)
	hash.Write(body)
	return c.fields(e, h, hash, keys)
}

// signStream signs a message while reading it once.
func (c *contents) signStream(e *store.QueueEntry, r io.ReaderAt, size int64, h message.Header) ([]byte, error) {
	keys := c.keysFor(e, h)
	if len(keys) == 0 && e.Seal == "" {
		return nil, nil
	}
	hash := dkim.NewBodyHash(dkim.Relaxed)
	// The header ends within the prefix only if it was replaced as a whole.
	inPrefix := max(0, len(e.Prefix)-len(h))
	hash.Write(e.Prefix[len(e.Prefix)-inPrefix:])
	begin := e.Skip + int64(max(0, len(h)-len(e.Prefix)))
	w := message.NewCRLFWriter(hash)
	rest := io.NewSectionReader(r, begin, e.Skip+size-begin)
	if _, err := io.CopyBuffer(w, rest, make([]byte, 64<<10)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return c.fields(e, h, hash, keys), nil
}

// fields seals and signs. A message that cannot be signed leaves without a
// signature: that is for the log, not a reason to keep it.
func (c *contents) fields(e *store.QueueEntry, h message.Header, hash *dkim.BodyHash, keys []dkim.Key) []byte {
	sum := hash.Sum()
	set := c.seal(e, h, sum)
	if len(keys) == 0 {
		return set
	}
	// Neither covers the other: a signature covers no ARC fields, and a seal those
	// signatures only that stand below it (RFC 6376 §5.4.2).
	out, err := dkim.Sign(h, sum, keys, dkim.SignOptions{Now: c.now()})
	if err != nil {
		c.log.Error("message not signed", "id", e.Message.String(), "err", err)
	}
	return append(out, set...)
}

// keysFor finds the keys that sign a message: those of the domain of its From
// field, so that the signature is aligned (RFC 9989). Of several authors the
// first whose domain has keys here decides.
func (c *contents) keysFor(e *store.QueueEntry, h message.Header) []dkim.Key {
	if !c.sign(e) {
		return nil
	}
	const authors = 10
	from, _ := addr.ParseList(h.Get("From"), authors)
	for _, f := range from {
		a, err := f.Address()
		if err != nil {
			continue
		}
		keys, err := c.keys.of(string(a.Domain))
		if err != nil {
			c.log.Error("DKIM key not read", "domain", string(a.Domain), "err", err)
		}
		if len(keys) > 0 {
			return keys
		}
	}
	return nil
}

// maxSigners bounds the keys kept in memory in readable form.
const maxSigners = 4096

// signers reads private keys once; reading one costs more than signing.
type signers struct {
	keys func(domain string) []store.DKIMKey

	mu     sync.Mutex
	parsed map[[sha256.Size]byte]crypto.Signer
}

func newSigners(keys func(string) []store.DKIMKey) *signers {
	return &signers{keys: keys, parsed: map[[sha256.Size]byte]crypto.Signer{}}
}

// of gives the active keys of a domain, with the error of the last one that
// cannot be read.
func (s *signers) of(domain string) (out []dkim.Key, err error) {
	for _, k := range s.keys(domain) {
		if !k.Active {
			continue
		}
		signer, e := s.signer(k.Private)
		if e != nil {
			err = e
			continue
		}
		out = append(out, dkim.Key{Domain: domain, Selector: k.Selector, Signer: signer})
	}
	return out, err
}

func (s *signers) signer(private []byte) (crypto.Signer, error) {
	name := sha256.Sum256(private)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parsed[name]; k != nil {
		return k, nil
	}
	k, err := dkim.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	if len(s.parsed) >= maxSigners {
		clear(s.parsed)
	}
	s.parsed[name] = k
	return k, nil
}
