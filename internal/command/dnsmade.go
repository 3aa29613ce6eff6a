package command

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"posta/internal/store"
	"posta/internal/zone"
)

// dnsSetting is what a domain's memory of its DNS stands behind in the settings.
const dnsSetting = "dns.made."

// maxBatches is how many applies of a domain can be taken back.
const maxBatches = 10

// dnsMade is what we wrote into the zones of a domain, with the values as written: all
// that may be changed there.
type dnsMade struct {
	Records []zone.Record `json:"records,omitempty"`
	Done    []dnsBatch    `json:"done,omitempty"` // applies that can be taken back, oldest first

	Parked          bool   `json:"parked,omitempty"`
	Logo            string `json:"logo,omitempty"`
	LogoCertificate string `json:"logo_certificate,omitempty"`
}

// dnsBatch is what one apply did.
type dnsBatch struct {
	At    time.Time   `json:"at"`
	By    string      `json:"by"`
	Steps []zone.Step `json:"steps"`
}

func (m *dnsMade) push(b dnsBatch) {
	m.Done = append(m.Done, b)
	m.Done = m.Done[max(0, len(m.Done)-maxBatches):]
}

func readMade(v *store.DirectoryView, domain string) (m dnsMade, err error) {
	text := v.Settings[dnsSetting+domain]
	if text == "" {
		return m, nil
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fail(ErrUsage, "error.dns.made", domain, err)
	}
	return m, nil
}

// choose takes what a query says instead of what is remembered.
func (m *dnsMade) choose(q DNSQuery) error {
	if q.Parked != nil {
		m.Parked = *q.Parked
	}
	for _, c := range []struct {
		to   *string
		said string
	}{{&m.Logo, q.Logo}, {&m.LogoCertificate, q.LogoCertificate}} {
		switch u, err := url.Parse(c.said); {
		case c.said == "":
		case c.said == "none":
			*c.to = ""
		case err != nil || u.Scheme != "https" || u.Host == "":
			return fail(ErrUsage, "error.dns.logo", c.said)
		default:
			*c.to = c.said
		}
	}
	return nil
}

// changing are the steps that change something.
func changing(steps []zone.Step) []zone.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s zone.Step) bool { return !s.Changes() })
}

// intend adds what steps are about to write: should we die in between, it is known
// for ours.
func (m *dnsMade) intend(steps []zone.Step) {
	for _, s := range steps {
		if (s.Action == zone.Add || s.Action == zone.Replace) && !m.has(s.Record) {
			m.Records = append(m.Records, s.Record)
		}
	}
}

// settle takes out what steps have removed. A merged SPF record is not ours.
func (m *dnsMade) settle(steps []zone.Step) {
	for _, s := range steps {
		gone := s.Record
		switch s.Action {
		case zone.Remove:
		case zone.Replace:
			gone.Value = s.Old
		default:
			continue
		}
		m.Records = slices.DeleteFunc(m.Records, func(r zone.Record) bool { return same(r, gone) })
	}
}

func (m *dnsMade) has(r zone.Record) bool {
	return slices.ContainsFunc(m.Records, func(o zone.Record) bool { return same(o, r) })
}

func same(a, b zone.Record) bool {
	return a.Question() == b.Question() && zone.Same(a.Type, a.Value, b.Value)
}

// writeDNS carries steps out between two records of it: before, so that nothing is
// written that we do not know for ours; after, with done, when all of it is there.
func (h *House) writeDNS(ctx context.Context, p Principal, cmd, domain string, steps []zone.Step, done func(*dnsMade)) error {
	todo := changing(steps)
	if len(todo) > 0 {
		if err := h.rememberDNS(ctx, p, cmd+".begin", domain, todo, func(m *dnsMade) { m.intend(todo) }); err != nil {
			return err
		}
		if err := h.DNS.Write(ctx, todo); err != nil {
			return fail(ErrLater, "error.dns.write", domain, err)
		}
	}
	return h.rememberDNS(context.WithoutCancel(ctx), p, cmd, domain, todo, func(m *dnsMade) {
		m.settle(todo)
		done(m)
	})
}

// rememberDNS changes what is remembered of a domain's records.
func (h *House) rememberDNS(ctx context.Context, p Principal, cmd, domain string, steps []zone.Step, f func(*dnsMade)) error {
	return h.change(ctx, p, cmd, domain, func(tx store.DirectoryTx, v *store.DirectoryView) (any, any, error) {
		m, err := readMade(v, domain)
		if err != nil {
			return nil, nil, err
		}
		f(&m)
		return nil, steps, tx.PutSetting(dnsSetting+domain, asJSON(m))
	})
}

// The lock of all writing to DNS: a job, so that one node of many writes at a time, and
// its lease ends with whoever died.
const (
	dnsJob   = "dns.apply"
	dnsLease = 15 * time.Minute // longer than reading and writing may take
)

// lockDNS takes the lock; ErrLater while another apply runs.
func (h *House) lockDNS(ctx context.Context, p Principal) (unlock func(), err error) {
	err = h.Store.AddJob(ctx, store.Job{Key: dnsJob, Kind: dnsJob})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err
	}
	j, err := h.Store.ClaimJob(ctx, "dns/"+p.Name, []string{dnsJob}, dnsLease)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fail(ErrLater, "error.dns.locked")
	}
	if err != nil {
		return nil, err
	}
	return func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// When the store cannot be told, the lease runs out.
		_ = h.Store.EndJob(end, j.ID, j.Fence, time.Time{}, "")
	}, nil
}
