package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/dkim"
	"posta/internal/store"
)

// Stage is where a rotation of DKIM keys stands. What each waits for is in package
// rotate.
type Stage string

// The stages, in their order. Each follows the one before it in one transaction that
// also changes the keys, so whatever a crash leaves is one of them, whole.
const (
	StagePublish Stage = "publish" // the new keys are made; every server of the zone must show their records
	StageSettle  Stage = "settle"  // all show them; what resolvers remember of before must pass
	StageOverlap Stage = "overlap" // the new keys sign; mail under way still needs the old ones
	StageRevoke  Stage = "revoke"  // the old private keys are destroyed; every server must show an empty p=
	StageRest    Stage = "rest"    // all show it; it stays for a while
	StageRemove  Stage = "remove"  // the old keys are gone here; their records must go too
)

// stages are in order.
var stages = [...]Stage{StagePublish, StageSettle, StageOverlap, StageRevoke, StageRest, StageRemove}

// Rotation replaces the keys of one domain. A domain has one at a time.
type Rotation struct {
	Domain string    `json:"domain"`
	Stage  Stage     `json:"stage"`
	Since  time.Time `json:"since"`           // of the stage
	Until  time.Time `json:"until,omitzero"`  // when the stage ends by time; zero: it waits for DNS
	Old    []string  `json:"old"`             // selectors that give way
	New    []string  `json:"new"`             // and those that take their place
	Lacks  []Lack    `json:"lacks,omitempty"` // what the last look at DNS missed; at most MaxLacks
	Looked bool      `json:"looked"`          // there was a look in this stage
	By     string    `json:"by,omitempty"`    // who began it
	// TTL is the longest time, in seconds, for which a server let its answer about
	// the new names be remembered.
	TTL int64 `json:"ttl,omitempty"`
}

// Lack is why DNS does not show what a stage waits for.
type Lack struct {
	Server string `json:"server"`
	Name   string `json:"name"`
	// What is "silent" (no answer), "missing", "several" (records at one name, RFC 6376
	// §3.6.2.2), "other" (another record), "left" (a record that should be gone),
	// "unknown" (no server was found) or "provider" (the DNS provider refused).
	What string `json:"what"`
}

// MaxLacks bounds what a rotation remembers of a look.
const MaxLacks = 8

// Rotator moves rotations on by what DNS shows; package rotate has it.
type Rotator interface {
	// Continue looks now and moves on as far as it can. With hurry, the stages that end
	// by time are not waited for: only what DNS must show is. It gives the rotation as it
	// is then, with Stage "" if it is done. ErrNoRotation if there was none.
	Continue(ctx context.Context, domain string, hurry bool) (Rotation, error)
}

const rotationSetting = "dkim.rotation."

// RotationSetting is where the rotation of a domain stands in the settings.
func RotationSetting(domain string) string { return rotationSetting + domain }

// RotationOf reads the rotation of a domain from the settings; false if there is none.
func RotationOf(settings map[string]string, domain string) (r Rotation, ok bool, err error) {
	text := settings[rotationSetting+domain]
	if text == "" {
		return r, false, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil || !slices.Contains(stages[:], r.Stage) {
		return r, false, fmt.Errorf("setting %s%s cannot be read: %q", rotationSetting, domain, text)
	}
	r.Domain = domain
	return r, true, nil
}

// Rotations lists those that are under way, by domain.
func Rotations(v *store.DirectoryView) ([]Rotation, error) {
	out := []Rotation{}
	for _, d := range v.Domains {
		r, ok, err := RotationOf(v.Settings, d.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Rotation) int { return strings.Compare(a.Domain, b.Domain) })
	return out, nil
}

func putRotation(tx store.DirectoryTx, r Rotation) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.PutSetting(rotationSetting+r.Domain, string(b))
}

// DomainName is the argument of commands on a domain.
type DomainName struct {
	Domain string `json:"domain"`
}

func startRotation(ctx context.Context, h *House, p Principal, a DomainName) (any, error) {
	return h.StartRotation(ctx, p, strings.ToLower(a.Domain))
}

// StartRotation makes the next keys of a domain. They do not sign yet.
func (h *House) StartRotation(ctx context.Context, p Principal, domain string) (Rotation, error) {
	var r Rotation
	err := h.change(ctx, p, "dkim.rotate", domain, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, domain)
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.missing", domain)
		}
		if at, ok, err := RotationOf(v.Settings, domain); err != nil {
			return nil, nil, err
		} else if ok {
			return nil, nil, fail(ErrExists, "error.dkim.rotates", domain, string(at.Stage))
		}
		old := activeKeys(v, d.ID)
		if len(old) == 0 {
			return nil, nil, fail(ErrMissing, "error.dkim.none", domain)
		}
		r = Rotation{Domain: domain, Stage: StagePublish, Since: h.now().UTC(), By: p.Name}
		for _, k := range old {
			r.Old = append(r.Old, k.Selector)
		}
		made, err := makeKeys(freshPrefix(v, d.ID, h.now()))
		if err != nil {
			return nil, nil, err
		}
		for _, k := range made {
			k.Domain, k.Created, k.Active = d.ID, h.now(), false
			if err := tx.PutKey(k); err != nil {
				return nil, nil, err
			}
			r.New = append(r.New, k.Selector)
		}
		return nil, r, putRotation(tx, r)
	})
	return r, err
}

// freshPrefix is a beginning of selectors that the domain has not used before: a name
// that was in use may be remembered with another key, or as revoked. So it tells the
// minute, in UTC.
func freshPrefix(v *store.DirectoryView, d store.DomainID, now time.Time) string {
	prefix := now.UTC().Format("p20060102t1504")
	for slices.ContainsFunc(v.Keys, func(k store.DKIMKey) bool {
		return k.Domain == d && strings.HasPrefix(k.Selector, prefix+"-")
	}) {
		prefix += "x"
	}
	return prefix
}

// MoveRotation puts next in the place of the rotation that the caller saw, and changes
// the keys as its stage wants. It does nothing, and tells so, when the rotation is not
// where it was seen: somebody else was quicker.
func (h *House) MoveRotation(ctx context.Context, p Principal, seen, next Rotation) (moved bool, err error) {
	err = h.change(ctx, p, "dkim.rotate."+string(next.Stage), seen.Domain, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		at, ok, err := RotationOf(v.Settings, seen.Domain)
		if err != nil {
			return nil, nil, err
		}
		if !ok || at.Stage != seen.Stage || !at.Since.Equal(seen.Since) {
			return nil, nil, errOvertaken
		}
		if next.Stage != seen.Stage {
			if err := turnKeys(tx, v, next); err != nil {
				return nil, nil, err
			}
		}
		return seen, next, putRotation(tx, next)
	})
	if errors.Is(err, errOvertaken) {
		return false, nil
	}
	return err == nil, err
}

var errOvertaken = errors.New("command: the rotation is at another stage by now")

// turnKeys makes the keys what a stage wants. It may be repeated.
func turnKeys(tx store.DirectoryTx, v *store.DirectoryView, r Rotation) error {
	d := findDomain(v, r.Domain)
	if d == nil {
		return errOvertaken
	}
	for _, k := range v.Keys {
		old, fresh := slices.Contains(r.Old, k.Selector), slices.Contains(r.New, k.Selector)
		if k.Domain != d.ID || !old && !fresh {
			continue
		}
		var err error
		switch r.Stage {
		case StageOverlap:
			k.Active = fresh
			err = tx.PutKey(k)
		case StageRevoke:
			if old { // nobody can sign with it any more, whoever has an old backup of DNS
				k.Active, k.Private = false, []byte{}
				err = tx.PutKey(k)
			}
		case StageRemove:
			if old {
				err = tx.DeleteKey(d.ID, k.Selector)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// EndRotation forgets a rotation that is done: the old keys and their records are gone.
func (h *House) EndRotation(ctx context.Context, p Principal, seen Rotation) error {
	err := h.change(ctx, p, "dkim.rotate.done", seen.Domain, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		at, ok, err := RotationOf(v.Settings, seen.Domain)
		if err != nil {
			return nil, nil, err
		}
		if !ok || at.Stage != StageRemove || !at.Since.Equal(seen.Since) {
			return nil, nil, errOvertaken
		}
		return at, nil, tx.PutSetting(rotationSetting+seen.Domain, "")
	})
	if errors.Is(err, errOvertaken) {
		return nil
	}
	return err
}

// Continue is the argument of dkim.continue.
type Continue struct {
	Domain string `json:"domain"`
	// Now does not wait for the times: not for what resolvers remember, not for the
	// week in which old mail may arrive. A record that is not there is still waited for.
	Now bool `json:"now,omitempty"`
}

func continueRotation(ctx context.Context, h *House, _ Principal, a Continue) (any, error) {
	if h.Rotator == nil {
		return nil, fail(ErrLater, "error.dkim.idle")
	}
	out, err := h.Rotator.Continue(ctx, strings.ToLower(a.Domain), a.Now)
	if errors.Is(err, ErrNoRotation) {
		return nil, fail(ErrMissing, "error.dkim.still", a.Domain)
	}
	return out, err
}

// ErrNoRotation is what a Rotator says of a domain that has none.
var ErrNoRotation = errors.New("command: no rotation is under way")

// cancelRotation takes a rotation back as long as the new keys do not sign.
func cancelRotation(ctx context.Context, h *House, p Principal, a DomainName) (any, error) {
	name := strings.ToLower(a.Domain)
	return nil, h.change(ctx, p, "dkim.cancel", name, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		d := findDomain(v, name)
		if d == nil {
			return nil, nil, fail(ErrMissing, "error.domain.missing", name)
		}
		r, ok, err := RotationOf(v.Settings, name)
		switch {
		case err != nil:
			return nil, nil, err
		case !ok:
			return nil, nil, fail(ErrMissing, "error.dkim.still", name)
		case r.Stage != StagePublish && r.Stage != StageSettle:
			return nil, nil, fail(ErrUsage, "error.dkim.late", name, string(r.Stage))
		}
		for _, s := range r.New {
			if findKey(v, d.ID, s) != nil {
				if err := tx.DeleteKey(d.ID, s); err != nil {
					return nil, nil, err
				}
			}
		}
		return r, nil, tx.PutSetting(rotationSetting+name, "")
	})
}

func listRotations(ctx context.Context, h *House, _ Principal, a struct {
	Domain string `json:"domain,omitempty"`
}) (any, error) {
	v, err := h.Store.LoadDirectory(ctx)
	if err != nil {
		return nil, err
	}
	all, err := Rotations(v)
	if a.Domain == "" {
		return all, err
	}
	return slices.DeleteFunc(all, func(r Rotation) bool { return r.Domain != strings.ToLower(a.Domain) }), err
}

// KeyRecords are the names and texts that DNS should show for some selectors of a
// domain; one that is not there any more should have none, and is "".
func KeyRecords(v *store.DirectoryView, domain string, selectors []string) (map[string]string, error) {
	d := findDomain(v, domain)
	out := map[string]string{}
	for _, s := range selectors {
		name := dkim.RecordName(s, domain)
		out[name] = ""
		if d == nil {
			continue
		}
		if k := findKey(v, d.ID, s); k != nil {
			shown, err := showKey(domain, *k)
			if err != nil {
				return nil, err
			}
			out[name] = shown.Record
		}
	}
	return out, nil
}
