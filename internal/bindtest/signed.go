package bindtest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posta/internal/postatest"
)

// Signed is a BIND that serves one zone signed by Debian's tools (bind9-utils).
type Signed struct {
	*Server
	Zone string
	DS   []string // data of the DS records that the parent should have
}

// StartSigned signs a zone with ECDSA P-256, its signatures good until a time, which
// may be over, and serves it. After that, change may forge the signed text; nil leaves
// it. It blocks until the server answers.
func StartSigned(t testing.TB, zone, text string, until time.Time, change func(signed string) string) *Signed {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(postatest.Peer(t, name), args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
	run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", zone)
	stamp := func(at time.Time) string { return at.UTC().Format("20060102150405") }
	// -P: signatures that are over are wanted here.
	run("dnssec-signzone", "-q", "-P", "-S", "-o", zone, "-f", "signed", "-s", stamp(until.AddDate(0, 0, -30)), "-e", stamp(until), "zone")
	signed, err := os.ReadFile(filepath.Join(dir, "signed"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Signed{Zone: zone}
	set, err := os.ReadFile(filepath.Join(dir, "dsset-"+zone+"."))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(set)) {
		if _, data, ok := strings.Cut(line, " DS "); ok {
			s.DS = append(s.DS, dsData(data))
		}
	}
	served := string(signed)
	if change != nil {
		served = change(served)
	}
	s.Server = serve(t, zone, served, fmt.Sprintf("zone %q { type primary; file \"zone\"; };\n", zone))
	return s
}

// dsData is "tag algorithm type digest" with the digest in one piece.
func dsData(text string) string {
	f := strings.Fields(strings.ReplaceAll(text, "\t", " "))
	if len(f) < 4 {
		return text
	}
	return strings.Join(f[:3], " ") + " " + strings.Join(f[3:], "")
}

// Delv asks BIND's own validating client about a name of the zone; see Delv.
func (s *Signed) Delv(t testing.TB, name, typ string) string {
	t.Helper()
	return Delv(t, s.At, s.Zone, s.DS, name, typ)
}

// Delv asks a server of a zone about a name by BIND's own validating client, with the data
// of the zone's DS records as its anchor, and gives all that it says: "; fully validated"
// is in it where it believes the answer. Without delv (bind9-dnsutils) the test is passed
// over.
func Delv(t testing.TB, at netip.AddrPort, zone string, records []string, name, typ string) string {
	t.Helper()
	program := postatest.Peer(t, "delv")
	var anchors strings.Builder
	anchors.WriteString("trust-anchors {\n")
	for _, ds := range records {
		f := strings.Fields(ds)
		fmt.Fprintf(&anchors, "\t%q static-ds %s %s %s %q;\n", zone+".", f[0], f[1], f[2], f[3])
	}
	anchors.WriteString("};\n")
	file := filepath.Join(t.TempDir(), "anchors")
	if err := os.WriteFile(file, []byte(anchors.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// It ends with a status of its own where it believes nothing; what it prints tells.
	out, _ := exec.CommandContext(t.Context(), program, "@127.0.0.1", "-p", fmt.Sprint(at.Port()), "-a", file, "+root="+zone, name, typ).CombinedOutput()
	return string(out)
}
