package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/rotate"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

const (
	domain = "example.org"
	day    = 24 * time.Hour
)

var owner = command.Principal{Name: "uid:0", Role: store.Owner}

// house is a house with one domain that signs, and two servers that have its zone.
type house struct {
	t     *testing.T
	house *command.House
	cfg   rotate.Config
	now   time.Time
	zone  map[string]map[string][]string // server → name → records
	dead  map[string]bool                // servers that do not answer
	fails int                            // how often the provider will refuse
	calls int                            // of the provider

	version int64 // of the directory when keys was asked
	listed  []command.Key
}

func newHouse(t *testing.T) *house {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		t: t, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), dead: map[string]bool{},
		zone: map[string]map[string][]string{"ns1": {}, "ns2": {}},
	}
	now := func() time.Time { return h.now }
	h.house = &command.House{Store: st, Directory: dir, Now: now}
	h.cfg = rotate.Config{House: h.house, Jobs: st, Servers: h, Lifetime: 5 * day, Now: now, Node: "node"}
	h.do("domain.add", `{"name":"example.org"}`)
	h.do("dkim.add", `{"domain":"example.org"}`)
	h.publish("ns1", "ns2")
	return h
}

func (h *house) do(name, args string) any {
	h.t.Helper()
	out, err := command.Do(h.t.Context(), h.house, owner, name, []byte(args))
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return out
}

// Text implements rotate.Servers.
func (h *house) Text(_ context.Context, names []string) (map[string][]rotate.Sight, error) {
	out := map[string][]rotate.Sight{}
	for _, n := range names {
		for _, server := range []string{"ns1", "ns2"} {
			s := rotate.Sight{Server: server, Records: h.zone[server][n], TTL: 2 * time.Hour}
			if h.dead[server] {
				s = rotate.Sight{Server: server, Err: errors.New("timeout")}
			}
			out[n] = append(out[n], s)
		}
	}
	return out, nil
}

// publish makes servers show exactly what dkim.ls says.
func (h *house) publish(servers ...string) {
	h.t.Helper()
	for _, s := range servers {
		h.zone[s] = map[string][]string{}
		for _, k := range h.keys() {
			h.zone[s][k.Name] = []string{k.Record}
		}
	}
}

// keys are those of dkim.ls, asked again only when the directory has changed: to read RSA
// keys takes time.
func (h *house) keys() []command.Key {
	h.t.Helper()
	version, err := h.house.Store.DirectoryVersion(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if version != h.version {
		h.version, h.listed = version, h.do("dkim.ls", `{}`).([]command.Key)
	}
	return h.listed
}

// Keeps and Publish make it a rotate.Publisher.
func (h *house) Keeps(string) bool { return true }
func (h *house) Publish(context.Context, string) error {
	h.calls++
	if h.fails > 0 {
		h.fails--
		return errors.New("quota")
	}
	h.publish("ns1", "ns2")
	return nil
}

// pass lets time go by; the rotator looks every hour, in days that pass every six, as a
// node that was just started.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	step := time.Hour
	if d > 2*day {
		step = 6 * time.Hour
	}
	for end := h.now.Add(d); h.now.Before(end); {
		h.now = h.now.Add(min(step, end.Sub(h.now)))
		if err := rotate.New(h.cfg).Work(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		h.safe()
	}
}

// safe is what must hold at every moment: whatever signs is shown by every server, and
// somebody signs.
func (h *house) safe() {
	h.t.Helper()
	signs := 0
	for _, k := range h.keys() {
		if !k.Active {
			continue
		}
		signs++
		for _, server := range []string{"ns1", "ns2"} {
			if got := h.zone[server][k.Name]; len(got) != 1 || got[0] != k.Record {
				h.t.Fatalf("%s: %s signs and %s shows %q", h.now.Format(time.DateTime), k.Selector, server, got)
			}
		}
	}
	if signs != 2 {
		h.t.Fatalf("%s: %d keys sign", h.now.Format(time.DateTime), signs)
	}
}

// state is the rotation in one line, and each key's state.
func (h *house) state() string {
	out := "none"
	if rs := h.do("dkim.rotations", `{}`).([]command.Rotation); len(rs) == 1 {
		out = string(rs[0].Stage)
		for _, l := range rs[0].Lacks {
			out += fmt.Sprintf(" [%s %s]", l.Server, l.What)
		}
	}
	for _, k := range h.keys() {
		kind := "idle"
		switch {
		case k.Active:
			kind = "signs"
		case k.Revoked:
			kind = "revoked"
		}
		out += fmt.Sprintf(" %s:%s", k.Selector, kind)
	}
	return out
}

func (h *house) want(when, state string) {
	h.t.Helper()
	if got := h.state(); got != state {
		h.t.Fatalf("%s:\n%s\nwant\n%s", when, got, state)
	}
}

const (
	before   = " p202603-e:signs p202603-r:signs"
	next     = " p202603-e:signs p202603-r:signs p20260301t0900-e:idle p20260301t0900-r:idle"
	switched = " p202603-e:idle p202603-r:idle p20260301t0900-e:signs p20260301t0900-r:signs"
	revoked  = " p202603-e:revoked p202603-r:revoked p20260301t0900-e:signs p20260301t0900-r:signs"
	after    = " p20260301t0900-e:signs p20260301t0900-r:signs"
)

// A whole rotation by hand, with a server that lags and one that loses what it had.
func TestRotation(t *testing.T) {
	h := newHouse(t)
	h.want("before", "none"+before)
	h.do("dkim.rotate", `{"domain":"example.org"}`)
	h.want("made", "publish"+next)
	h.pass(time.Hour)
	h.want("nothing published", "publish [ns1 missing] [ns2 missing] [ns1 missing] [ns2 missing]"+next)
	h.publish("ns1")
	h.pass(3 * day)
	h.want("ns2 lags", "publish [ns2 missing] [ns2 missing]"+next)
	h.publish("ns2")
	h.dead["ns2"] = true
	h.pass(time.Hour)
	h.want("ns2 is silent", "publish [ns2 silent] [ns2 silent]"+next)
	h.dead["ns2"] = false
	h.pass(time.Hour)
	h.want("all show it", "settle"+next)
	h.pass(time.Hour)
	h.want("resolvers may remember for two hours", "settle"+next)

	old := h.zone["ns2"]
	h.zone["ns2"] = map[string][]string{}
	for name, txt := range old { // an old zone is loaded
		if strings.HasPrefix(name, "p202603-") {
			h.zone["ns2"][name] = txt
		}
	}
	h.pass(time.Hour)
	h.want("ns2 lost it", "publish"+next)
	h.pass(time.Hour)
	h.want("ns2 lost it", "publish [ns2 missing] [ns2 missing]"+next)
	h.publish("ns2")
	h.pass(time.Hour)
	h.want("again", "settle"+next)
	h.pass(2 * time.Hour)
	h.want("switched", "overlap"+switched)
	h.pass(7*day - time.Hour)
	h.want("almost a week", "overlap"+switched)
	h.pass(time.Hour)
	h.want("a week", "revoke [ns1 other] [ns2 other] [ns1 other] [ns2 other]"+revoked)
	h.publish("ns1", "ns2")
	h.pass(time.Hour)
	h.want("revoked", "rest"+revoked)
	h.pass(7 * day)
	h.want("to be removed", "remove [ns1 left] [ns2 left] [ns1 left] [ns2 left]"+after)
	h.publish("ns1", "ns2")
	h.pass(time.Hour)
	h.want("done", "none"+after)
}

// By hand and in a hurry: times are not waited for, DNS is.
func TestHurry(t *testing.T) {
	h := newHouse(t)
	r := rotate.New(h.cfg)
	h.house.Rotator = r
	if _, err := command.Do(t.Context(), h.house, owner, "dkim.continue", []byte(`{"domain":"example.org"}`)); err == nil ||
		err.Error() != "no rotation of example.org is under way" {
		t.Fatal(err)
	}
	h.do("dkim.rotate", `{"domain":"example.org"}`)
	now := func(want string) {
		t.Helper()
		h.do("dkim.continue", `{"domain":"example.org","now":true}`)
		h.safe()
		h.want("now", want)
	}
	now("publish [ns1 missing] [ns2 missing] [ns1 missing] [ns2 missing]" + next)
	h.publish("ns1", "ns2")
	now("revoke [ns1 other] [ns2 other] [ns1 other] [ns2 other]" + revoked)
	h.publish("ns1", "ns2")
	now("remove [ns1 left] [ns2 left] [ns1 left] [ns2 left]" + after)
	h.publish("ns1", "ns2")
	if end := h.do("dkim.continue", `{"domain":"example.org"}`).(command.Rotation); end.Stage != "" {
		t.Errorf("%+v", end)
	}
	h.want("done", "none"+after)
}

// It can be taken back until the new keys sign.
func TestCancel(t *testing.T) {
	h := newHouse(t)
	h.do("dkim.rotate", `{"domain":"example.org"}`)
	if _, err := command.Do(t.Context(), h.house, owner, "dkim.rotate", []byte(`{"domain":"example.org"}`)); err == nil ||
		!strings.Contains(err.Error(), "is being given new keys already (stage publish)") {
		t.Fatalf("two at a time: %v", err)
	}
	h.do("dkim.cancel", `{"domain":"example.org"}`)
	h.want("taken back", "none"+before)
	h.do("dkim.rotate", `{"domain":"example.org"}`)
	h.publish("ns1", "ns2")
	h.pass(4 * time.Hour)
	h.want("switched", "overlap"+switched)
	if _, err := command.Do(t.Context(), h.house, owner, "dkim.cancel", []byte(`{"domain":"example.org"}`)); err == nil ||
		!strings.Contains(err.Error(), "cannot be taken back") {
		t.Fatalf("too late: %v", err)
	}
}

// With a provider that keeps the zone, keys of six months are replaced with nobody's
// help, one rotation at a time, though the provider refuses now and then.
func TestByItself(t *testing.T) {
	h := newHouse(t)
	h.cfg.Every, h.cfg.Publisher = 180*day, h
	h.pass(day)
	h.want("too young", "none"+before)
	if h.calls != 0 {
		t.Errorf("%d calls of the provider for nothing", h.calls)
	}
	h.now = h.now.Add(178 * day)
	h.pass(day - time.Hour)
	h.want("too young", "none"+before)
	h.fails = 3
	h.pass(2 * time.Hour)
	if got := h.state(); !strings.HasPrefix(got, "publish [ provider] [ns1 missing]") {
		t.Fatalf("refused: %s", got)
	}
	h.pass(30 * day)
	keys := h.keys()
	if h.state() != "none p20260828t0900-e:signs p20260828t0900-r:signs" || len(keys) != 2 {
		t.Fatal(h.state())
	}
	for server, zone := range h.zone {
		if len(zone) != 2 {
			t.Errorf("%s still shows %v", server, zone)
		}
	}
	h.pass(day)
	h.want("not again", "none p20260828t0900-e:signs p20260828t0900-r:signs")
}

// However often the program dies before or after a step, the rotation ends the same way,
// and at no moment does a key sign that is not published.
func TestDiesAtEveryStep(t *testing.T) {
	for _, point := range []string{"rotate.look", "rotate.moved"} {
		t.Run(point, func(t *testing.T) {
			h := newHouse(t)
			h.cfg.Publisher = h
			h.do("dkim.rotate", `{"domain":"example.org"}`)
			died := 0
			for range 4 * 18 {
				h.now = h.now.Add(6 * time.Hour)
				var err error
				// Each life of the program gets as far as its first step.
				if h.cfg.Fail, err = durable.ParseFailpoints(point + "=eio"); err != nil {
					t.Fatal(err)
				}
				if err := rotate.New(h.cfg).Work(t.Context()); err != nil {
					died++
					h.safe()
					if point == "rotate.moved" {
						continue
					}
					h.cfg.Fail = nil // what was not committed is done by the next life
					if err := rotate.New(h.cfg).Work(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				h.safe()
			}
			if died < 4 {
				t.Errorf("died only %d times", died)
			}
			h.want("done", "none"+after)
		})
	}
}
