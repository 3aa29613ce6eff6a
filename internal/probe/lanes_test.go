package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Side by side a probe sees what it sees one after another, and tells each line once.
func TestLanes(t *testing.T) {
	opt := SMTPOptions{Versions: true, Inject: true, Domain: "remota.test", Relay: 1 << 10}
	see := func(lanes *Lanes) (string, int) {
		h := goodSMTP(t)
		cfg := h.config(t)
		lines := 0
		cfg.Lanes, cfg.Saw = lanes, func(Line) { lines++ }
		r := ProbeSMTP(t.Context(), cfg, target(false), opt)
		r.Delay = 0
		r.TLS.Certificate = Certificate{} // each house has its own
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return string(b) + r.OpenRelay().String(), lines
	}
	one, lines := see(nil)
	for n := range 3 {
		beside, same := see(NewLanes(n + 1))
		if beside != one || same != lines {
			t.Errorf("%d lanes, %d lines:\n%s\nalone, %d lines:\n%s", n+1, same, beside, lines, one)
		}
	}
	if !strings.Contains(one, `"weak":"no"`) || !strings.HasSuffix(one, "no") {
		t.Errorf("%s", one)
	}
}

// A lane is waited for until the context ends; other addresses have their own.
func TestLanesTake(t *testing.T) {
	l := NewLanes(0)
	at := netip.MustParseAddrPort("192.0.2.25:25")
	release, err := l.Take(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Take(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second connection: %v", err)
	}
	if _, err := l.Take(t.Context(), netip.MustParseAddrPort("192.0.2.25:587")); err != nil {
		t.Errorf("another port: %v", err)
	}
	release()
	if _, err := l.Take(t.Context(), at); err != nil {
		t.Errorf("after the first is closed: %v", err)
	}
}
