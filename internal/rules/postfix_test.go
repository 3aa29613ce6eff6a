package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Postfix itself reads the same files, and finds the same under the same keys: its
// folding of keys, its continued lines, its comments, its quotes.
func TestAgainstPostfix(t *testing.T) {
	for _, name := range []string{"postmap", "postalias"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("POSTA_REQUIRE_PEERS") == "1" {
				t.Fatalf("POSTA_REQUIRE_PEERS=1, but there is no %s: apt-get install postfix", name)
			}
			t.Skipf("no %s: apt-get install postfix", name)
		}
	}
	for _, c := range []struct {
		program, text string
		format        Format
		keys          map[string]string // as Postfix asks → our key
	}{
		{"postmap", "# virtual\nAna@Home.test  luis@home.test,\n   x@example.net\n\n# between\n   y@example.net\n@foo.test\t@home.test\nu+x@foo.test a@home.test b@home.test\n",
			Virtual, map[string]string{"ana@home.test": "ana@home.test", "@foo.test": "@foo.test", "u+x@foo.test": "u+x@foo.test"}},
		{"postalias", "# aliases\nMAILER-DAEMON: postmaster\nroot:   ana,\n\tluis\nlist : uno@example.net\n\"odd name\": ana\n",
			Aliases, map[string]string{"mailer-daemon": "mailer-daemon@home.test", "root": "root@home.test", "list": "list@home.test", "odd name": `"odd name"@home.test`}},
		{"postmap", "my.test  smtp:[hub.test]:26\n.my.test   relay:sub.test\n* smtp:all.test\n",
			Transports, map[string]string{"my.test": "my.test", ".my.test": ".my.test", "*": "."}},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "map")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		// A configuration of its own: the machine's may not be there.
		if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte("compatibility_level = 3.6\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), c.program, "-c", dir, "hash:"+file).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.program, err, out)
		}
		rules, err := Parse([]byte(c.text), File{Format: c.format, Domain: "home.test"})
		if err != nil {
			t.Fatal(err)
		}
		ours := map[string]string{}
		for _, r := range rules {
			ours[r.Key] = r.Value
		}
		for key, own := range c.keys {
			out, err := exec.CommandContext(t.Context(), c.program, "-c", dir, "-q", key, "hash:"+file).Output()
			if err != nil {
				t.Errorf("%s -q %q: %v", c.program, key, err)
				continue
			}
			r, err := New(c.format.Kind(), own, strings.TrimSpace(string(out)), "home.test")
			if err != nil || ours[own] != r.Value {
				t.Errorf("%q: Postfix has %q, we %q (%v)", key, out, ours[own], err)
			}
		}
		if len(rules) != len(c.keys) {
			t.Errorf("%d rules, of %d", len(rules), len(c.keys))
		}
	}
}
