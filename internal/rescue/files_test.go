package rescue_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posta/internal/app"
	"posta/internal/config"
	"posta/internal/rescue"
)

// configured is a house with a posta.toml, a certificate and secrets.
func configured(t *testing.T) (h *house, dir string) {
	t.Helper()
	etc := filepath.Join(t.TempDir(), "etc")
	h = newHouseWith(t, func(cfg *config.Config) {
		write := func(name, text string, mode os.FileMode) string {
			t.Helper()
			file := filepath.Join(etc, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			return file
		}
		chain, key, password := write("chain.pem", "the chain", 0o644), write("secret/key.pem", "the key", 0o600), write("password", "open sesame", 0o640)
		toml := write("posta.toml", fmt.Sprintf("hostname = \"mail.empresa.test\"\nuser = \"root\"\ndata = %q\n[tls]\ncertificate = %q\nkey = %q\n[queue]\nsmart_host = \"mx.example.net:25\"\nlogin = \"ana\"\npassword_file = %q\n",
			cfg.Data, chain, key, password), 0o644)
		loaded, err := config.Load(toml)
		if err != nil {
			t.Fatal(err)
		}
		*cfg = *loaded
	})
	for name, text := range map[string]string{"acme/a.key": "ours", "self.pem": "signed by ourselves", "locks/x": "a lock"} {
		file := filepath.Join(h.cfg.Data, "certs", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, h, 0, 3)
	dir = filepath.Join(t.TempDir(), "backup")
	if _, err := h.state.House().Rescue.Backup(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return h, dir
}

// tree lists files with mode and text: "path mode text".
func tree(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		text, _, _ := strings.Cut(string(b), "\n")
		out = append(out, fmt.Sprintf("%s %04o %s", filepath.ToSlash(rel), info.Mode().Perm(), text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The configuration, what it names and the certificates are in a backup, for its
// owner alone, and the manifest has them all.
func TestBackupHasTheConfiguration(t *testing.T) {
	t.Parallel()
	_, dir := configured(t)
	want := []string{
		"certs/acme/a.key 0600 ours", "certs/self.pem 0600 signed by ourselves",
		"files/queue.password_file 0600 open sesame", "files/tls.certificate 0600 the chain", "files/tls.key 0600 the key",
		`posta.toml 0600 hostname = "mail.empresa.test"`,
	}
	var got []string
	for _, line := range tree(t, dir) {
		if !strings.HasPrefix(line, "blobs/") && !strings.HasPrefix(line, "posta.db") && !strings.HasPrefix(line, "manifest.json") {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the backup has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m rescue.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, line := range want {
		name, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(m.Files, func(f rescue.File) bool { return f.Name == name }) {
			t.Errorf("the manifest does not have %s", name)
		}
	}
	// What is changed is found, and not written anywhere.
	if err := os.WriteFile(filepath.Join(dir, "files", "tls.key"), []byte("not key"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := rescue.VerifyBackup(t.Context(), dir, t.TempDir())
	if err != nil || len(v.Breaches) != 1 || !strings.Contains(v.Breaches[0].Detail, "files/tls.key") {
		t.Errorf("verify with another key: %+v, %v", v, err)
	}
	at := filepath.Join(t.TempDir(), "key.pem")
	to := rescue.Places{Data: filepath.Join(t.TempDir(), "data"), Meta: "meta", Blob: "blobs", Certs: "certs", Files: []rescue.Source{{Name: "tls.key", Path: at}}}
	if _, err := rescue.Restore(t.Context(), dir, to); err == nil {
		t.Error("a backup with another key is restored")
	}
	if _, err := os.Stat(at); err == nil {
		t.Error("another key was written")
	}
}

// A restore writes the configuration where nothing stands, with the permissions
// that it had; what stands stays, unless it is to be replaced.
func TestRestoreOfTheConfiguration(t *testing.T) {
	t.Parallel()
	h, dir := configured(t)
	for _, c := range []struct {
		name          string
		there         string // in place of the key
		replace       bool
		want          string
		written, left int
	}{
		{"on a new machine", "", false, "the key", 4, 0},
		{"beside another key", "another", false, "another", 3, 1},
		{"over another key", "another", true, "the key", 4, 0},
		{"beside the same key", "the key", false, "the key", 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			cfg := *h.cfg
			cfg.Data = filepath.Join(root, "data")
			to := app.RestorePlaces(&cfg)
			to.Replace = c.replace
			for _, f := range app.ConfigFiles(h.cfg) {
				to.Files = append(to.Files, rescue.Source{Name: f.Name, Path: filepath.Join(root, "etc", f.Name)})
			}
			key := filepath.Join(root, "etc", "tls.key")
			if c.there != "" {
				if err := os.Mkdir(filepath.Dir(key), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(key, []byte(c.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := rescue.Restore(t.Context(), dir, to)
			if err != nil || len(out.Written) != c.written || len(out.Left) != c.left {
				t.Fatalf("%+v, %v", out, err)
			}
			want := []string{
				`posta.toml 0644 hostname = "mail.empresa.test"`, "queue.password_file 0640 open sesame",
				"tls.certificate 0644 the chain", "tls.key 0600 " + c.want,
			}
			if got := tree(t, filepath.Join(root, "etc")); !slices.Equal(got, want) {
				t.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			want = []string{"acme/a.key 0600 ours", "self.pem 0600 signed by ourselves"}
			if got := tree(t, filepath.Join(cfg.Data, "certs")); !slices.Equal(got, want) {
				t.Errorf("certs has %v, want %v", got, want)
			}
			text, err := rescue.Config(t.Context(), dir)
			if err != nil || string(text) != string(h.cfg.Source) {
				t.Errorf("posta.toml of the backup: %q, %v", text, err)
			}
			openHouse(t, &cfg).sound()
		})
	}
}

// A file that the configuration names and that cannot be read is told before
// anything is copied.
func TestBackupNeedsItsFiles(t *testing.T) {
	t.Parallel()
	h := newHouseWith(t, func(cfg *config.Config) { cfg.TLS.Certificate = filepath.Join(t.TempDir(), "gone.pem") })
	dir := filepath.Join(t.TempDir(), "backup")
	_, err := h.state.House().Rescue.Backup(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "tls.certificate") {
		t.Errorf("without its certificate: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was written")
	}
}
