package access

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/addr"

	"pgregory.net/rapid"
)

// Random changes do to a Map what they do to a plain map, and leave every older
// snapshot as it was.
func TestChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m *Map
		model := map[Key]Value{}
		type old struct {
			m     *Map
			model map[Key]Value
		}
		var olds []old
		for range rapid.IntRange(1, 400).Draw(t, "changes") {
			k := drawKey(t)
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				m = m.Delete(k)
				delete(model, k)
			} else {
				v := Value{REJECT, ""}
				if rapid.Bool().Draw(t, "text") {
					v = Value{ERROR, "550 5.7.1 text " + fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "n"))}
				}
				next, err := m.Put(k, v)
				if err != nil {
					t.Fatal(err)
				}
				m, model[k] = next, v
			}
			if rapid.IntRange(0, 40).Draw(t, "keep") == 0 {
				olds = append(olds, old{m, maps.Clone(model)})
			}
		}
		for _, o := range append(olds, old{m, model}) {
			if got := maps.Collect(o.m.All()); !maps.Equal(got, o.model) || o.m.Len() != len(o.model) {
				t.Fatalf("%d entries, want %d", len(got), len(o.model))
			}
			for k, v := range o.model {
				if got, ok := o.m.Get(k); !ok || got != v {
					t.Fatalf("%v: %v", k, got)
				}
			}
		}
	})
}

func drawKey(t *rapid.T) Key {
	tag := rapid.SampledFrom([]string{"", "From:", "To:"}).Draw(t, "tag")
	name := rapid.SampledFrom([]string{"u%d@", "d%d.example", "u@d%d.example", ".d%d.example", "[192.0.%d]"}).Draw(t, "name")
	k, err := ParseKey(tag + fmt.Sprintf(name, rapid.IntRange(0, 200).Draw(t, "i")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The quick search and the one that tells each key find the same.
func TestExplainAgrees(t *testing.T) {
	names := []string{"a.dom", "x.a.dom", ".a.dom", "dom", "192.0.2", "192.0.2.0/25", "[192.0.2]", "u@", "u@a.dom", "my.dom", "u+*@"}
	values := []string{"OK", "RELAY", "REJECT", "DISCARD", "SKIP", "QUARANTINE:x", "550 x", "SPAMFRIEND"}
	rapid.Check(t, func(t *rapid.T) {
		var file strings.Builder
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			tag := rapid.SampledFrom([]string{"", "Connect:", "From:", "To:"}).Draw(t, "tag")
			fmt.Fprintf(&file, "%s%s %s\n", tag, rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom(values).Draw(t, "value"))
		}
		m, _ := Parse([]byte(file.String())) // lines that cannot be are left out
		f := &Facts{IP: netip.MustParseAddr("192.0.2.9"), Name: rapid.SampledFrom([]string{"", "a.dom", "x.a.dom"}).Draw(t, "client")}
		f.From.Kind, f.From.Local, f.From.Domain = 2, "u+d", "x.a.dom"
		f.To.Kind, f.To.Local, f.To.Domain = 2, "u", "a.dom"
		o := Options{Delay: Delay(rapid.IntRange(0, 3).Draw(t, "delay")), BlockRecipients: rapid.Bool().Draw(t, "block"), RelayHostsOnly: rapid.Bool().Draw(t, "hosts")}
		for stage := AtConnect; stage <= AtRcpt; stage++ {
			var steps []Step
			s := search{m: m, log: &steps}
			if got, want := s.decide(stage, f, o, nil), m.Decide(stage, f, o); got != want {
				t.Fatalf("at %d: %v, explained as %v\n%s", stage, want, got, file.String())
			}
		}
	})
}

func TestCollect(t *testing.T) {
	a, _ := ParseKey("From:a.example")
	b, _ := ParseKey("To:a.example")
	m, err := Collect(func(yield func(Key, Value) bool) {
		_ = yield(a, Value{Action: REJECT}) && yield(b, Value{Action: OK}) && yield(a, Value{Action: DISCARD})
	})
	if err != nil || m.Text() != "From:a.example\tDISCARD\nTo:a.example\tOK\n" || m.Len() != 2 {
		t.Errorf("%v\n%s", err, m.Text())
	}
	again, err := Collect(m.All())
	if err != nil || again.Text() != m.Text() {
		t.Errorf("%v\n%s", err, again.Text())
	}
	for _, v := range []Value{{}, {Action: FRIEND}} {
		if _, err := Collect(func(yield func(Key, Value) bool) { yield(a, v) }); err == nil {
			t.Errorf("%v is taken", v)
		}
	}
}

func TestLive(t *testing.T) {
	var l Live
	if l.Load().Len() != 0 {
		t.Error("not empty")
	}
	k, _ := ParseKey("From:bad.example")
	put := func(m *Map) (*Map, error) { return m.Put(k, Value{Action: REJECT}) }
	if err := l.Update(put); err != nil || l.Load().Len() != 1 {
		t.Error(err)
	}
	bad := func(m *Map) (*Map, error) { return m.Put(k, Value{Action: FRIEND}) }
	if err := l.Update(bad); err == nil || l.Load().Len() != 1 {
		t.Errorf("a change that failed: %v, %d entries", err, l.Load().Len())
	}
}

// million is a file of a million lines: hosts, networks, addresses.
func million(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "From:host%d.example%d.com\tREJECT\n", i, i%1000)
		case 1:
			fmt.Fprintf(&b, "Connect:%d.%d.%d.%d\tREJECT\n", 11+i>>24, i>>16&255, i>>8&255, i&255)
		case 2:
			fmt.Fprintf(&b, "user%d@example%d.org\tERROR:5.7.1:550 We don't accept mail from spammers\n", i, i%1000)
		default:
			fmt.Fprintf(&b, "spammer%d.net\tDISCARD\n", i)
		}
	}
	return b.Bytes()
}

func BenchmarkMillion(b *testing.B) {
	file := million(1_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m, err := Parse(file)
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perEntry := float64(after.HeapAlloc-before.HeapAlloc) / float64(m.Len())

	f := &Facts{}
	f.From.Kind, f.To.Kind = 2, 2
	f.From.Local, f.From.Domain, f.To.Local, f.To.Domain = "news+today", "mail.example7.co.uk", "ana", "empresa.example"
	names := make([]string, 4096)
	ips := make([]netip.Addr, len(names))
	for i := range names {
		names[i] = fmt.Sprintf("mta%d.out.provider%d.net", i, i*31)
		ips[i] = netip.AddrFrom4([4]byte{198, byte(i), byte(i >> 4), 9})
	}
	i := 0
	// The machine may be busy with other things: cpu-ns/op is what this took of it.
	cpu := func(b *testing.B) func() {
		start := cpuTime()
		return func() { b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op") }
	}
	next := func() {
		i = (i + 1) % len(names)
		f.Name, f.IP = names[i], ips[i]
	}
	b.Run("load", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			if _, err := Parse(file); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perEntry, "B/entry")
		b.ReportMetric(float64(m.Size())/float64(m.Len()), "own-B/entry")
	})
	b.Run("client", func(b *testing.B) { // name and networks, nothing found
		defer cpu(b)()
		b.ReportAllocs()
		for b.Loop() {
			next()
			if m.Decide(AtConnect, f, Options{}).Outcome != Silent {
				b.Fatal("found")
			}
		}
	})
	b.Run("sender", func(b *testing.B) {
		defer cpu(b)()
		b.ReportAllocs()
		for b.Loop() {
			next()
			f.From.Domain = domainOf(names[i])
			if m.Decide(AtMail, f, Options{}).Outcome != Silent {
				b.Fatal("found")
			}
		}
	})
	b.Run("found", func(b *testing.B) {
		defer cpu(b)()
		b.ReportAllocs()
		f := *f
		for n := 0; b.Loop(); n += 4001 {
			j := (n%250_000)*4 + 1
			f.Name, f.IP = "", netip.AddrFrom4([4]byte{11, byte(j >> 16), byte(j >> 8), byte(j)})
			if m.Decide(AtConnect, &f, Options{}).Outcome != Refused {
				b.Fatal("not found ", f.IP)
			}
		}
	})
	b.Run("session", func(b *testing.B) { // all three stages with Posta's options
		defer cpu(b)()
		b.ReportAllocs()
		o := Defaults()
		f.Local = isEmpresa
		for b.Loop() {
			next()
			for stage := AtConnect; stage <= AtRcpt; stage++ {
				if m.Decide(stage, f, o).Outcome != Silent {
					b.Fatal("found")
				}
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		defer cpu(b)()
		b.ReportAllocs()
		k, _ := ParseKey("From:new.example")
		for b.Loop() {
			next, err := m.Put(k, Value{Action: REJECT})
			if err != nil || next.Len() != m.Len()+1 {
				b.Fatal(err)
			}
		}
	})
}

// cpuTime is the processor time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func domainOf(s string) addr.Domain { return addr.Domain(s) }

func isEmpresa(d addr.Domain) bool { return d == "empresa.example" }
