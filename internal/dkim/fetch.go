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
	text    string   // of the record, or of the first that cannot be used
	why     *verdict // why there is no record
	err     error    // of the lookup
}

func (k *keyFetch) run(ctx context.Context, lookup TXTLookup, cache *KeyCache) {
	records, found, err := lookup(ctx, k.name)
	switch {
	case err != nil:
		k.why, k.err = &verdict{TempError, ReasonKeyUnavailable, "the key could not be looked up now"}, err
		return
	case !found || len(records) == 0:
		k.why = perm(ReasonKeyMissing, "there is no key record")
		return
	}
	k.choose(records, cache)
}

// choose takes the only usable key record. RFC 6376 §3.6.2.2 leaves several
// records undefined; foreign TXT records beside one key do no harm, two keys do.
func (k *keyFetch) choose(records []string, cache *KeyCache) {
	k.text = records[0]
	for _, r := range records[:min(len(records), 16)] {
		key, err := cache.parse(r)
		if err != nil {
			if ke, ok := errors.AsType[*KeyError](err); ok && k.why == nil {
				k.why = perm(ke.Reason, ke.Detail)
			}
			continue
		}
		if k.record != nil {
			k.record, k.why = nil, perm(ReasonKeyMultiple, "there is more than one key record")
			return
		}
		k.record, k.text = key, r
	}
	if k.record != nil {
		k.why = nil
	}
}
