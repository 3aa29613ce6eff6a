package unpack

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, f := range files {
		x, err := w.Create(strings.Repeat("../", i) + "a.xml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(x, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEach(t *testing.T) {
	const text = "<feedback/>"
	three := gz(t, gz(t, gz(t, []byte(text))))
	for _, c := range []struct {
		what string
		in   []byte
		want []string
	}{
		{"plain", []byte(text), []string{text}},
		{"empty", nil, []string{""}},
		{"gzip", gz(t, []byte(text)), []string{text}},
		{"two gzip members", append(gz(t, []byte(text)), gz(t, []byte(text))...), []string{text + text}},
		{"zip", zipped(t, text, "two"), []string{text, "two"}},
		{"gzip in zip", zipped(t, string(gz(t, []byte(text)))), []string{text}},
		{"zip in gzip", gz(t, zipped(t, text)), []string{text}},
		{"the third is left as it is", three, []string{string(gz(t, []byte(text)))}},
	} {
		var got []string
		err := Each(c.in, Limits{}, func(r io.Reader) error {
			b, err := io.ReadAll(r)
			got = append(got, string(b))
			return err
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.what, got, err)
		}
	}
}

// zeros are n octets that pack well.
func zeros(n int) string { return strings.Repeat("\x00", n) }

// Bombs end at a limit, broken archives are said to be broken.
func TestHostile(t *testing.T) {
	bomb := gz(t, []byte(zeros(110<<20)))
	for _, c := range []struct {
		what string
		in   []byte
		lim  Limits
		want error
	}{
		{"a gzip of 110 MB of zeros", bomb, Limits{}, ErrLimit},
		{"the same with no ratio", bomb, Limits{Ratio: 1 << 30}, ErrLimit},
		{"a bomb in a zip", zipped(t, string(bomb)), Limits{}, ErrLimit},
		{"a zip of many", zipped(t, make([]string, 30)...), Limits{}, ErrLimit},
		{"files that are too much together", zipped(t, zeros(60), zeros(60)), Limits{Unpacked: 100}, ErrLimit},
		{"too much packed", make([]byte, 26<<20), Limits{}, ErrLimit},
		{"cut off gzip", gz(t, []byte("hello hello hello"))[:20], Limits{}, ErrCorrupt},
		{"only the magic", []byte{0x1f, 0x8b, 8}, Limits{}, ErrCorrupt},
		{"no directory", []byte("PK\x03\x04 and nothing more"), Limits{}, ErrCorrupt},
	} {
		err := Each(c.in, c.lim, func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// What visit says is returned.
func TestVisitError(t *testing.T) {
	mine := errors.New("mine")
	if err := Each(gz(t, []byte("x")), Limits{}, func(io.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
}

// No more comes out than the limits allow.
func FuzzEach(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add(gz(f, []byte("text")))
	f.Add(zipped(f, "one", "two"))
	f.Add(gz(f, zipped(f, "nested")))
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := Limits{Unpacked: 1000, Files: 3}
		var total int64
		_ = Each(b, lim, func(r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			total += n
			return err
		})
		if total > lim.Unpacked {
			t.Fatalf("%d octets came out", total)
		}
	})
}
