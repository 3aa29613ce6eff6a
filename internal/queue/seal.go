package queue

import (
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/dkim"
	"posta/internal/message"
	"posta/internal/store"
)

// seal gives the next ARC set of a message that an alias sends on (RFC 8617 §5.1),
// over exactly what is sent: our Authentication-Results on top of the header say what
// intake found when the message came. Nil if it is not to be sealed, cannot be, or
// must not be any more: after a set that declares the chain failed, and after fifty.
func (c *contents) seal(e *store.QueueEntry, h message.Header, bodyHash [sha256.Size]byte) []byte {
	if e.Seal == "" {
		return nil
	}
	keys, err := c.keys.of(e.Seal)
	if err != nil {
		c.log.Error("DKIM key not read", "domain", e.Seal, "err", err)
	}
	if len(keys) == 0 {
		return nil
	}
	found, ok := results(h)
	if !ok {
		c.log.Error("message not sealed: our results are not on top of it", "id", e.Message.String())
		return nil
	}
	set, err := arc.Seal(h, bodyHash, sealingKey(keys), arc.SealOptions{
		ServerID: found.ServerID, Results: found.Results, Status: chainStatus(found), Now: c.now(),
	})
	if err != nil && !errors.Is(err, arc.ErrTerminated) && !errors.Is(err, arc.ErrFull) {
		c.log.Error("message not sealed", "id", e.Message.String(), "err", err)
	}
	return set
}

// results are those of the Authentication-Results that begin the header.
func results(h message.Header) (out authres.Header, ok bool) {
	for f := range h.Fields() {
		if !f.Is(authres.FieldName) {
			break
		}
		out, err := authres.Parse(f.Value())
		return out, err == nil
	}
	return out, false
}

// chainStatus is that of the chain as it came to us.
func chainStatus(found authres.Header) arc.Status {
	i := slices.IndexFunc(found.Results, func(r authres.Result) bool { return r.Method == "arc" })
	switch {
	case i < 0:
		return arc.None
	case strings.EqualFold(found.Results[i].Value, arc.Pass.String()):
		return arc.Pass
	}
	return arc.Fail
}

// sealingKey chooses the one key of a seal: RSA, which every verifier of ARC knows,
// before Ed25519, which few do.
func sealingKey(keys []dkim.Key) dkim.Key {
	for _, k := range keys {
		if _, ok := k.Signer.Public().(*rsa.PublicKey); ok {
			return k
		}
	}
	return keys[0]
}
