package dkim

import (
	"context"
	"errors"
)

// TXTLookup asks the DNS for the TXT records of name, which has no final dot.
// Each record is its character-strings joined. found is false, without an error,
// when the name or the type does not exist; an error means that the answer could
// not be had now. It may block until ctx is done and must be safe for concurrent
// use.
type TXTLookup func(ctx context.Context, name string) (records []string, found bool, err error)

// keyFetch is the lookup of one key name, shared by the signatures that use it.
type keyFetch struct {
	name    string
	started bool
	record  *KeyRecord
	why     *verdict // why there is no record
}

func (k *keyFetch) run(ctx context.Context, lookup TXTLookup, cache *KeyCache) {
	records, found, err := lookup(ctx, k.name)
	switch {
	case err != nil:
		k.why = &verdict{TempError, ReasonKeyUnavailable, "the key could not be looked up now"}
		return
	case !found || len(records) == 0:
		k.why = perm(ReasonKeyMissing, "there is no key record")
		return
	}
	k.record, k.why = choose(records, cache)
}

// choose takes the only usable key record. RFC 6376 §3.6.2.2 leaves several
// records undefined; foreign TXT records beside one key do no harm, two keys do.
func choose(records []string, cache *KeyCache) (*KeyRecord, *verdict) {
	var (
		key   *KeyRecord
		first *verdict
	)
	for _, r := range records[:min(len(records), 16)] {
		k, err := cache.parse(r)
		if err != nil {
			if ke, ok := errors.AsType[*KeyError](err); ok && first == nil {
				first = perm(ke.Reason, ke.Detail)
			}
			continue
		}
		if key != nil {
			return nil, perm(ReasonKeyMultiple, "there is more than one key record")
		}
		key = k
	}
	if key == nil {
		return nil, first
	}
	return key, nil
}
