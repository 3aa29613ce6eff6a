package command

import (
	"context"
	"crypto"
	"slices"
	"strings"
	"time"

	"posta/internal/dkim"
	"posta/internal/store"
)

// Key is a DKIM key as people see it: without its secret.
type Key struct {
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"`
	Active    bool   `json:"active"`
	Revoked   bool   `json:"revoked,omitempty"` // its record has an empty p=; the private key is gone
	Name      string `json:"name"`              // of the TXT record
	Record    string `json:"record"`            // its value

	Created time.Time `json:"created"`
}

// NewKeys is the argument of dkim.add: it makes an RSA-2048 and an Ed25519 key
// with the selectors PREFIX-r and PREFIX-e. They sign from now on, so it is for a domain
// that has none yet: dkim.rotate replaces keys without breaking mail.
type NewKeys struct {
	Domain string `json:"domain"`
	Prefix string `json:"prefix,omitempty"` // default: the year and month, "p202611"
}

var keyCommands = []Command{
	run("dkim.add", store.Owner, addKeys),
	run("dkim.ls", store.Helpdesk, listKeys),
	run("dkim.import", store.Owner, importKey),
	run("dkim.export", store.Owner, exportKey),
	run("dkim.rotate", store.Owner, startRotation),
	run("dkim.continue", store.Owner, continueRotation),
	run("dkim.cancel", store.Owner, cancelRotation),
	run("dkim.rotations", store.Helpdesk, listRotations),
}

func addKeys(ctx context.Context, h *House, p Principal, a NewKeys) (any, error) {
	prefix := a.Prefix
	if prefix == "" {
		prefix = "p" + h.now().UTC().Format("200601")
	}
	if !isSelector(prefix) {
		return nil, fail(ErrUsage, "error.dkim.selector", prefix)
	}
	made, err := makeKeys(prefix)
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(a.Domain)
	var out []Key
	err = h.change(ctx, p, "dkim.add", name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, name)
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.missing", name)
		}
		if len(activeKeys(v, d.ID)) > 0 {
			return nil, nil, fail(ErrExists, "error.dkim.signs", name)
		}
		out = out[:0]
		for _, k := range made {
			for _, old := range v.Keys {
				if old.Domain == d.ID && old.Selector == k.Selector {
					return nil, nil, fail(ErrExists, "error.dkim.exists", k.Selector, name)
				}
			}
			k.Domain, k.Created = d.ID, h.now()
			if err := tx.PutKey(k); err != nil {
				return nil, nil, err
			}
			shown, err := showKey(name, k)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, shown)
		}
		return nil, out, nil
	})
	return out, err
}

// makeKeys makes the pair that signs together: RSA for those who cannot read
// Ed25519 yet (RFC 8463 §5.1).
func makeKeys(prefix string) ([]store.DKIMKey, error) {
	rsaKey, err := dkim.GenerateRSA()
	if err != nil {
		return nil, err
	}
	edKey, err := dkim.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	var out []store.DKIMKey
	for _, k := range []struct {
		suffix, algorithm string
		key               crypto.Signer
	}{{"-r", "rsa", rsaKey}, {"-e", "ed25519", edKey}} {
		pem, err := dkim.MarshalPrivateKey(k.key)
		if err != nil {
			return nil, err
		}
		out = append(out, store.DKIMKey{Selector: prefix + k.suffix, Algorithm: k.algorithm, Private: pem, Active: true})
	}
	return out, nil
}

// showKey is a key of the store for people. One without a private key is revoked
// (RFC 6376 §3.6.1).
func showKey(domain string, k store.DKIMKey) (Key, error) {
	out := Key{
		Domain: domain, Selector: k.Selector, Algorithm: k.Algorithm, Active: k.Active, Created: k.Created,
		Name: dkim.RecordName(k.Selector, domain),
	}
	if len(k.Private) == 0 {
		out.Revoked, out.Record = true, "v=DKIM1; k="+k.Algorithm+"; p="
		return out, nil
	}
	signer, err := dkim.ParsePrivateKey(k.Private)
	if err != nil {
		return out, err
	}
	out.Record, err = dkim.Record(signer.Public())
	return out, err
}

// isSelector reports whether a text is one label or several, in lower case, that a
// selector may be here. RFC 6376 §3.1 allows dots.
func isSelector(s string) bool {
	if len(s) > 200 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	return true
}

// activeKeys are those that sign for a domain.
func activeKeys(v *store.DirectoryView, d store.DomainID) (out []store.DKIMKey) {
	for _, k := range v.Keys {
		if k.Domain == d && k.Active {
			out = append(out, k)
		}
	}
	return out
}

// findKey finds a key of a domain; nil if there is none.
func findKey(v *store.DirectoryView, d store.DomainID, selector string) *store.DKIMKey {
	i := slices.IndexFunc(v.Keys, func(k store.DKIMKey) bool { return k.Domain == d && k.Selector == selector })
	if i < 0 {
		return nil
	}
	return &v.Keys[i]
}

func listKeys(ctx context.Context, h *House, _ Principal, a struct {
	Domain string `json:"domain,omitempty"`
}) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	names := map[store.DomainID]string{}
	for _, d := range v.Domains {
		names[d.ID] = d.Name
	}
	out := []Key{}
	for _, k := range v.Keys {
		if a.Domain != "" && names[k.Domain] != strings.ToLower(a.Domain) {
			continue
		}
		shown, err := showKey(names[k.Domain], k)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return out, nil
}
