package srs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
)

var now = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

func parse(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The way of a letter through three forwarders and of its bounce back, as the paper has
// it: the second forwarder names the first, and a third one the first too.
func TestThereAndBack(t *testing.T) {
	a, b, c := Rewriter{[]byte("a")}, Rewriter{[]byte("b")}, Rewriter{[]byte("c")}
	orig := parse(t, "Pedro.Gil@fuente.example")
	first, err := a.Forward(orig, "uno.example", now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Forward(first, "dos.example", now)
	if err != nil {
		t.Fatal(err)
	}
	third, err := c.Forward(second, "tres.example", now)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"SRS0=", "SRS1=", "SRS1="} {
		got := []addr.Address{first, second, third}[i].String()
		if !strings.HasPrefix(got, want) || i > 0 && !strings.Contains(got, "=uno.example==") {
			t.Errorf("%s, want %s…", got, want)
		}
	}
	later := now.Add(20 * 24 * time.Hour)
	back, err := c.Reverse(third, later)
	if err != nil || back.String() != first.String() {
		t.Fatalf("from the third: %s, %v; want %s", back, err, first)
	}
	home, err := a.Reverse(back, later)
	if err != nil || home.String() != orig.String() {
		t.Fatalf("home: %s, %v", home, err)
	}
	// Servers on the way may fold the case.
	folded := parse(t, strings.ToLower(first.String()))
	if home, err = a.Reverse(folded, later); err != nil || home.String() != "pedro.gil@fuente.example" {
		t.Errorf("folded: %s, %v", home, err)
	}
}

func TestNobodyElse(t *testing.T) {
	ours := Rewriter{[]byte("key")}
	good, err := ours.Forward(parse(t, "ana@fuente.example"), "uno.example", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, address string
		at            time.Time
		want          error
	}{
		{"good", good.String(), now, nil},
		{"another victim", strings.Replace(good.String(), "ana@", "luis@", 1), now, ErrHash},
		{"another domain", strings.Replace(good.String(), "fuente.", "otra.", 1), now, ErrHash},
		{"too old", good.String(), now.Add(22 * 24 * time.Hour), ErrExpired},
		{"from tomorrow", good.String(), now.Add(-48 * time.Hour), ErrExpired},
		{"no hash", "SRS0=ana@uno.example", now, ErrForm},
		{"no SRS", "ana@uno.example", now, ErrForm},
		{"another's form", "SRS0+abc=xy=fuente.example=ana@uno.example", now, ErrForm},
	} {
		a := parse(t, c.address)
		if _, err := ours.Reverse(a, c.at); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := (Rewriter{[]byte("other")}).Reverse(good, now); !errors.Is(err, ErrHash) {
		t.Errorf("another key: %v", err)
	}
}

func TestTooLong(t *testing.T) {
	a := parse(t, strings.Repeat("x", 40)+"@una.direccion.muy.larga.example")
	if got, err := (Rewriter{}).Forward(a, "uno.example", now); !errors.Is(err, ErrLong) || got != a {
		t.Errorf("%s, %v", got, err)
	}
}

// What Forward makes, Reverse takes back; what is not of Forward's making, it does not.
func FuzzRewrite(f *testing.F) {
	f.Add("ana", "fuente.example")
	f.Add("SRS0=AAAAAA=AA=b.example=x", "fuente.example")
	f.Add("SRS1=AAAAAA=b.example==x", "fuente.example")
	f.Fuzz(func(t *testing.T, local, domain string) {
		a, err := addr.ParseAddress(local + "@" + domain)
		if err != nil {
			t.Skip()
		}
		r := Rewriter{[]byte("key")}
		out, err := r.Forward(a, "uno.example", now)
		if err != nil {
			return
		}
		if len(out.Local) > maxLocal || !Is(out) {
			t.Fatalf("%s", out)
		}
		back, err := r.Reverse(out, now)
		if err != nil && !Is(a) {
			t.Fatalf("%s, then %s: %v", a, out, err)
		}
		if err == nil && !Is(a) && back.String() != a.String() {
			t.Fatalf("%s, then %s, then %s", a, out, back)
		}
		if _, err := r.Reverse(a, now); err == nil {
			t.Fatalf("%s was taken", a)
		}
	})
}
