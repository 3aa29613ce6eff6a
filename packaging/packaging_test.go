// Package packaging_test checks what packagers install: that the units know the
// doors of the configuration, and that systemd finds the service well closed.
package packaging_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"posta/internal/config"
)

// unit is a unit file: its values by key, in order.
func unit(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			out[key] = append(out[key], strings.Fields(value)...)
		}
	}
	return out
}

// Every door that is open by default has its socket unit, with its port and its
// name, and the service takes them all.
func TestSocketsAreTheDoors(t *testing.T) {
	t.Parallel()
	doors := map[string]string{}
	for _, d := range config.Default().Listen.All() {
		if d.Address != "" {
			doors[d.Name] = strings.TrimPrefix(d.Address, ":")
		}
	}
	files, err := filepath.Glob("posta-*.socket")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range files {
		u := unit(t, f)
		name := strings.TrimSuffix(strings.TrimPrefix(f, "posta-"), ".socket")
		if !slices.Equal(u["FileDescriptorName"], []string{name}) || !slices.Equal(u["Service"], []string{"posta.service"}) || len(u["ListenStream"]) != 1 {
			t.Errorf("%s: %v", f, u)
			continue
		}
		found[name] = u["ListenStream"][0]
	}
	if !maps.Equal(found, doors) {
		t.Errorf("socket units %v, doors %v", found, doors)
	}
	service := unit(t, "posta.service")
	slices.Sort(files)
	for _, key := range []string{"Sockets", "Also"} {
		if got := slices.Sorted(slices.Values(service[key])); !slices.Equal(got, files) {
			t.Errorf("%s=%v, want %v", key, got, files)
		}
	}
	if u := service["User"]; !slices.Equal(u, []string{config.Default().User}) {
		t.Errorf("User=%v", u)
	}
}

// analyze runs systemd-analyze, or skips where it is not installed.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %v", cmd, err) // it also fails for a program that is not installed
	return string(out)
}

// maxExposure is what is left of systemd's scale of 10: the network, unix
// sockets, and the users that submit by them.
const maxExposure = 1.6

func TestExposure(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("posta.service")
	if err != nil {
		t.Fatal(err)
	}
	out := analyze(t, "security", "--offline=true", file)
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze said:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > maxExposure {
		t.Errorf("exposure %s, at most %.1f:\n%s", m[1], maxExposure, out)
	}
}

// systemd understands every line. That the program is not installed where the
// tests run is no fault of the units.
func TestUnitsAreUnderstood(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.socket")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no"}
	for _, f := range append(files, "posta.service") {
		abs, err := filepath.Abs(f)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, abs)
	}
	for line := range strings.Lines(analyze(t, args...)) {
		if strings.Contains(line, "posta") && !strings.Contains(line, "/usr/bin/posta is not executable") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
