package command

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"strings"

	"posta/internal/dkim"
	"posta/internal/store"
)

// ImportedKey is the argument of dkim.import: a key that signed elsewhere, in PEM. Its
// record is published already, so it may sign at once.
type ImportedKey struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	PEM      string `json:"pem"`
	// Idle keeps it from signing: an old key whose record must stay.
	Idle bool `json:"idle,omitempty"`
}

// Imported is what came of it.
type Imported struct {
	Key
	Bits int  `json:"bits"`
	Weak bool `json:"weak,omitempty"` // RSA below 2048 bits: to be rotated (RFC 8301 §3.2)
}

// KeyName is the argument of commands on one key.
type KeyName struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
}

// ExportedKey is a key with its secret, for moving away.
type ExportedKey struct {
	Key
	PEM string `json:"pem"` // PKCS #8
}

func importKey(ctx context.Context, h *House, p Principal, a ImportedKey) (any, error) {
	name, selector := strings.ToLower(a.Domain), strings.ToLower(a.Selector)
	if !isSelector(selector) {
		return nil, fail(ErrUsage, "error.dkim.selector", a.Selector)
	}
	signer, err := readKey(a.PEM)
	if err != nil {
		return nil, err
	}
	k := store.DKIMKey{Selector: selector, Active: !a.Idle, Created: h.now()}
	var out Imported
	if k.Algorithm, out.Bits = algorithmOf(signer.Public()); k.Algorithm == "rsa" {
		out.Weak = out.Bits < goodBits
	}
	if k.Private, err = dkim.MarshalPrivateKey(signer); err != nil {
		return nil, err
	}
	if out.Key, err = showKey(name, k); err != nil {
		return nil, err
	}
	err = h.change(ctx, p, "dkim.import", name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, name)
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.missing", name)
		}
		if findKey(v, d.ID, selector) != nil {
			return nil, nil, fail(ErrExists, "error.dkim.exists", selector, name)
		}
		k.Domain = d.ID
		return nil, out, tx.PutKey(k)
	})
	return out, err
}

// goodBits is the least size of an RSA key without a warning, leastBits with one
// (RFC 8301 §3.2).
const (
	goodBits  = 2048
	leastBits = 1024
)

// readKey reads a private key, and says what is wrong with a file that is none that can
// sign.
func readKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, fail(ErrUsage, "error.dkim.pem")
	case strings.Contains(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, fail(ErrUsage, "error.dkim.encrypted")
	case strings.Contains(block.Type, "PUBLIC"):
		return nil, fail(ErrUsage, "error.dkim.public")
	case strings.Contains(block.Type, "CERTIFICATE"):
		return nil, fail(ErrUsage, "error.dkim.certificate")
	}
	signer, err := dkim.ParsePrivateKey([]byte(text))
	switch {
	case errors.Is(err, dkim.ErrWeakKey):
		return nil, fail(ErrUsage, "error.dkim.weak", leastBits)
	case err != nil:
		return nil, fail(ErrUsage, "error.dkim.unreadable", strings.TrimPrefix(err.Error(), "dkim: "))
	}
	return signer, nil
}

// algorithmOf names the algorithm of a key (RFC 6376 §3.6.1, k=) and its size in bits.
func algorithmOf(pub crypto.PublicKey) (algorithm string, bits int) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return "rsa", pub.N.BitLen()
	case ed25519.PublicKey:
		return "ed25519", len(pub) * 8
	}
	return "", 0
}

// exportKey shows a private key; the audit log tells that it was, not what it is.
func exportKey(ctx context.Context, h *House, p Principal, a KeyName) (any, error) {
	name := strings.ToLower(a.Domain)
	var out ExportedKey
	err := h.change(ctx, p, "dkim.export", name, func(_ store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, name)
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.missing", name)
		}
		k := findKey(v, d.ID, strings.ToLower(a.Selector))
		if k == nil {
			return nil, nil, fail(ErrMissing, "error.dkim.missing", a.Selector, name)
		}
		if len(k.Private) == 0 {
			return nil, nil, fail(ErrMissing, "error.dkim.revoked", a.Selector, name)
		}
		shown, err := showKey(name, *k)
		out = ExportedKey{Key: shown, PEM: string(k.Private)}
		return nil, shown, err
	})
	return out, err
}
