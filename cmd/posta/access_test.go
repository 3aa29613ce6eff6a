package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A file of sendmail's goes in and comes out, on an idle folder; what is wrong in it
// is told all at once, and then nothing is changed.
func TestAccessImport(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "access")
	// Who runs the tests may be root, and the user of a server may be missing.
	if err := os.WriteFile(filepath.Join(data, "posta.toml"), []byte("hostname = \"mail.empresa.test\"\nuser = \"root\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pick := func(c *cli) *cobra.Command { return c.accessCommand() }
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	run := func(args ...string) {
		got.WriteString(told(t, data, "en", pick, args...))
	}
	write("# bad ones\nFrom:a.example REJECT\nForm:b.example REJECT\nTo:c@c.example NO\nFrom:a.example OK\n192.168.256 REJECT\n")
	run("import", file)
	run("export")
	write("From:a.example\tREJECT\nTLS_Srv:mx.example ENCR:128\nCERTISSUER:/C=US RELAY\n")
	run("import", file)
	write("From:a.example\tREJECT\nConnect:192.0.2\t550 Not from there\nTo:friend.example\tRELAY\n")
	run("import", file, "--note", "from the old server")
	run("import", file, "--note", "from the old server")
	write("From:a.example OK\nSpam:abuse@ FRIEND\n")
	run("import", file)
	run("import", file, "--replace")
	run("export")
	const want = `$ posta access import access
! FILE has 4 problems, and nothing was changed:
line 3: Form:b.example: unknown tag "Form:"; there are Connect:, From:, To:, Spam:, TLS_Srv:, TLS_Clt:, CERTISSUER: and CERTSUBJECT: tags
line 4: To:c@c.example: "NO" is no value; for a text that clients read, write ERROR:5.7.1:550 NO
line 5: From:a.example: the key stands in line 2 already (REJECT), which holds: remove one of them
line 6: 192.168.256: "256" is no octet of an address

$ posta access export

$ posta access import access
! FILE has 2 problems, and nothing was changed:
CERTISSUER:/c=us: our doors ask clients for no certificate, so nobody can relay by one: give the client a login, or its network an entry Connect: RELAY
TLS_Srv:mx.example: the way out does not ask this map: set queue.smart_host_tls in posta.toml for the smart host; other servers are spoken to with TLS where they offer it

$ posta access import access --note from the old server
3 added, 0 changed, 0 removed; 0 were so already.

$ posta access import access --note from the old server
0 added, 0 changed, 0 removed; 3 were so already.

$ posta access import access
1 added, 1 changed, 0 removed; 0 were so already.

$ posta access import access --replace
0 added, 0 changed, 2 removed; 2 were so already.

$ posta access export
From:a.example	OK
Spam:abuse@	FRIEND

`
	if text := strings.ReplaceAll(got.String(), file, "FILE"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
