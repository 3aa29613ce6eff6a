package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posta/internal/app"
	"posta/internal/config"
)

// posta gives one command, as main does.
func posta(t *testing.T, args ...string) error {
	t.Helper()
	root := newRoot()
	root.SetArgs(append([]string{"--lang", "en"}, args...))
	return root.ExecuteContext(t.Context())
}

// A machine burns down. A backup and the program are all that is left: one command
// brings back mail, configuration and certificates.
func TestRestoreOnANewMachine(t *testing.T) {
	dir := t.TempDir()
	toml, data, backup := filepath.Join(dir, "etc", "posta.toml"), filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	text := fmt.Sprintf("hostname = \"mail.empresa.test\"\nuser = \"root\"\ndata = %q\n", data)
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(toml, text)
	write(filepath.Join(data, "certs", "key.pem"), "our key")
	for _, args := range []string{"domain add empresa.test", "backup create " + backup, "backup verify " + backup} {
		if err := posta(t, append([]string{"--config", toml}, strings.Fields(args)...)...); err != nil {
			t.Fatalf("posta %s: %v", args, err)
		}
	}
	if err := errors.Join(os.RemoveAll(filepath.Dir(toml)), os.RemoveAll(data)); err != nil {
		t.Fatal(err)
	}

	if err := posta(t, "--config", toml, "backup", "restore", backup, "--hold-queue"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{toml: text, filepath.Join(data, "certs", "key.pem"): "our key"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	cfg, err := config.Load(toml)
	if err != nil {
		t.Fatal(err)
	}
	st, err := app.OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !st.Directory.View().LocalName("empresa.test") {
		t.Error("the domain did not come back")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	// Once more: nothing is overwritten, and the mend is named.
	err = posta(t, "--config", toml, "backup", "restore", backup)
	if status(err) != exitUsage || !strings.Contains(err.Error(), "not empty") || !strings.Contains(err.Error(), "move what is there away") {
		t.Errorf("a second restore: %v", err)
	}
	// Beside a posta.toml that was changed, another data folder.
	write(toml, text+"language = \"es\"\n")
	if err := posta(t, "--config", toml, "--data", filepath.Join(dir, "other"), "backup", "restore", backup); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(toml); err != nil || string(b) == text {
		t.Errorf("a restore has written over posta.toml: %v", err)
	}
	if err := posta(t, "--config", toml, "--data", filepath.Join(dir, "third"), "backup", "restore", backup, "--replace-config"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(toml); err != nil || string(b) != text {
		t.Errorf("--replace-config has not written posta.toml: %v", err)
	}
}
