package sqlstore

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// noon begins an hour, so that a test of some minutes stays in it.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// refusalFrom is a refusal by a host of the n-th network, at a moment.
func refusalFrom(n int, at time.Time, check string) store.Refusal {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(n)<<8|0x01000001)
	return store.Refusal{ID: mail.NewID(at), IP: netip.AddrFrom4(ip), Check: check, Keys: []string{fmt.Sprint("k", n)}}
}

// The budget of one network: a burst, then what its rate allows; another network
// has its own. The next hour is another record.
func TestRefusalsOfNetwork(t *testing.T) {
	r := newRefusals()
	merged := map[mail.ID]int{}
	kept := 0
	count := func(f store.Refusal) {
		if id := r.place(f); id == f.ID {
			kept++
		} else {
			merged[id]++
		}
	}
	for i := range 150 {
		count(refusalFrom(1, noon.Add(time.Duration(i)*time.Millisecond), "spf.fail"))
	}
	if kept != refusedOfNetwork.Burst || len(merged) != 1 {
		t.Errorf("%d kept, %d merged records", kept, len(merged))
	}
	count(refusalFrom(2, noon, "spf.fail"))
	count(refusalFrom(1, noon.Add(time.Second), "dnsbl.listed"))
	if kept != refusedOfNetwork.Burst+1 || len(merged) != 2 {
		t.Errorf("another network, another check: %d kept, %d merged records", kept, len(merged))
	}
	count(refusalFrom(1, noon.Add(11*time.Second), "spf.fail")) // six in a minute
	if kept != refusedOfNetwork.Burst+2 {
		t.Errorf("after a while: %d kept", kept)
	}
	for i := range 150 {
		count(refusalFrom(1, noon.Add(time.Hour+time.Duration(i)*time.Millisecond), "spf.fail"))
	}
	if len(merged) != 3 {
		t.Errorf("%d merged records after the hour, want 3", len(merged))
	}
}

// A flood from more networks than anybody could list costs bounded memory, and
// each refusal has its record.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusals()
	const flood = 200_000
	var kept, counted int64
	ids := map[mail.ID]bool{}
	for i := range flood {
		f := refusalFrom(i, noon.Add(time.Duration(i)*time.Microsecond), fmt.Sprint("check", i%3))
		if id := r.place(f); id == f.ID {
			kept++
		} else {
			ids[id] = true
		}
	}
	if n := len(r.kinds); n > maxAllKinds+2 || r.networks.Len() > maxNetworks {
		t.Errorf("%d records, %d networks are remembered", n, r.networks.Len())
	}
	everyone := false
	for _, c := range r.take() {
		counted += c.Count
		everyone = everyone || c.Network.Bits() == 0
		if len(c.keys) > maxKindKeys || !ids[c.id] {
			t.Fatalf("%+v", c)
		}
	}
	if kept+counted != flood || kept < int64(refusedInAll.Burst) || !everyone {
		t.Errorf("%d kept and %d counted of %d; some of all networks: %v", kept, counted, flood, everyone)
	}
	for i := range 5 * maxAllKinds { // checks without end, in all networks
		r.place(refusalFrom(i, noon.Add(time.Second), fmt.Sprint("other", i)))
	}
	if n := len(r.kinds); n > maxAllKinds+2 {
		t.Errorf("%d records are remembered", n)
	}
	r.take()
	r.place(refusalFrom(0, noon.Add(3*time.Hour), "late"))
	r.take()
	if n := len(r.kinds); n > 1 {
		t.Errorf("%d records of hours that are over are remembered", n)
	}
}

// What could not be written is counted the next time.
func TestRefusalsGiveBack(t *testing.T) {
	r := newRefusals()
	var id mail.ID
	for range refusedOfNetwork.Burst + 5 {
		id = r.place(refusalFrom(1, noon, "x"))
	}
	list := r.take()
	r.place(refusalFrom(1, noon, "x"))
	r.giveBack(list)
	got := r.take()
	if len(got) != 1 || got[0].id != id || got[0].Count != 6 || len(got[0].fresh) != 2 {
		t.Errorf("%+v", got)
	}
	if again := r.take(); len(again) != 0 {
		t.Errorf("once more: %+v", again)
	}
}

// BenchmarkPlaceRefused is one refusal of a flood: from one network, and from more
// than can be remembered; with what is written of it.
func BenchmarkPlaceRefused(b *testing.B) {
	for name, networks := range map[string]int{"one network": 1, "a million networks": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			s := openTest(b, b.TempDir())
			body := make([]byte, 600)
			b.ReportAllocs()
			cpu := cpuTime(b)
			kept := 0
			for i := range b.N {
				f := refusalFrom(i%networks, time.Now(), "dnsbl.listed")
				if s.PlaceRefused(f) == f.ID {
					s.KeepRefused(store.TraceRecord{ID: f.ID, Body: body, Keys: f.Keys})
					kept++
				}
			}
			if err := s.FlushTraces(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N)/1000, "µs-cpu/op")
			b.ReportMetric(float64(kept)/float64(b.N), "kept/op")
			b.ReportMetric(float64(len(s.trail.refusals.kinds)), "records")
		})
	}
}
