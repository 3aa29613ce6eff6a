package command

import (
	"context"
	"crypto"
	"strings"

	"posta/internal/dkim"
	"posta/internal/store"
)

// Key is a DKIM key as people see it: without its secret.
type Key struct {
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"`
	Active    bool   `json:"active"`
	Name      string `json:"name"`   // of the TXT record
	Record    string `json:"record"` // its value
}

// NewKeys is the argument of dkim.add: it makes an RSA-2048 and an Ed25519 key
// with the selectors PREFIX-r and PREFIX-e.
type NewKeys struct {
	Domain string `json:"domain"`
	Prefix string `json:"prefix,omitempty"` // default: the year and month, "p202611"
}

var keyCommands = []Command{
	run("dkim.add", store.Owner, addKeys),
	run("dkim.ls", store.Helpdesk, listKeys),
}

func addKeys(ctx context.Context, h *House, p Principal, a NewKeys) (any, error) {
	prefix := a.Prefix
	if prefix == "" {
		prefix = "p" + h.now().UTC().Format("200601")
	}
	if strings.ContainsFunc(prefix, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }) {
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

func showKey(domain string, k store.DKIMKey) (Key, error) {
	signer, err := dkim.ParsePrivateKey(k.Private)
	if err != nil {
		return Key{}, err
	}
	rec, err := dkim.Record(signer.Public())
	return Key{domain, k.Selector, k.Algorithm, k.Active, dkim.RecordName(k.Selector, domain), rec}, err
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
