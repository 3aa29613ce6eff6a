package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"posta/internal/app"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/policy"
	"posta/internal/store"
)

// password of every account.
const password = "correct horse battery"

// accounts of a house: two that are written to, one that writes, two that IMAP
// clients use, each its own, one whose script does with each letter all that scripts do.
var accounts = []string{"ana", "luis", "writer", "imap0", "imap1", "filed"}

// filing is the script of filed: a letter goes into a folder, is sent on to r-TOKEN
// elsewhere, and n-TOKEN there is told of it.
const filing = `require ["variables", "fileinto", "copy", "enotify"];
if header :matches "subject" "*" { set "token" "${1}"; }
redirect :copy "r-${token}@elsewhere.test";
notify :message "${token}" "mailto:n-${token}@elsewhere.test";
fileinto "Papeles";
`

const domain = "empresa.test"

// settings make the configuration of a house; sink is where its queue sends and
// dns whom it asks.
func settings(data, sink, dns string) *config.Config {
	c := config.Default()
	c.User = "root"                                           // the test owns its folder, whoever runs it
	c.Hostname, c.Data, c.User = "mail."+domain, data, "root" // whoever runs the test stays who he is
	c.Listen = config.Listen{SMTP: "127.0.0.1:0", SMTPProxy: "127.0.0.1:0", Submission: "127.0.0.1:0", LMTP: "127.0.0.1:0", IMAPS: "127.0.0.1:0"}
	c.Queue.SmartHost = "[" + host(sink) + "]:" + port(sink)
	c.DNS.Servers = []string{dns}
	c.Log.Format, c.Log.Level = "json", "info"
	c.Limits.PerNetwork = 1000
	return c
}

// model is a house with its accounts, made once and copied for each test: hashing
// passwords takes longer than a round.
var model = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(workDir, "model")
	state, err := app.OpenState(context.Background(), settings(dir, "127.0.0.1:9", "127.0.0.1:9"), nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	give := func(name string, args any) error {
		raw, err := json.Marshal(args)
		if err != nil {
			return err
		}
		_, err = command.Do(context.Background(), state.House(), command.Principal{Name: "test", Role: store.Owner}, name, raw)
		return err
	}
	if err := give("domain.add", command.Name{Name: domain}); err != nil {
		return "", err
	}
	for _, a := range accounts {
		if err := give("account.add", command.NewAccount{Address: a + "@" + domain, Password: password}); err != nil {
			return "", err
		}
	}
	if err := give("sieve.put", command.SievePut{Of: address("filed"), Name: "todo", Text: filing, Activate: true}); err != nil {
		return "", err
	}
	return dir, state.Store.ChangeDirectory(context.Background(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{Command: "policy.set"}, tx.PutSetting(policy.Setting, holding)
	})
})

// holding is a policy under which unsigned mail of strangers is held, as often as it
// comes.
const holding = `level = "lenient"
[rules]
"dkim.missing" = "quarantine"
"rate.client" = "accept"
"rate.sender" = "accept"
"rate.recipient" = "accept"
`

// newHouse copies the model into a new data folder.
func newHouse(t testing.TB) string {
	t.Helper()
	dir, err := model()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// openState opens a data folder whose server is dead.
func openState(t testing.TB, data string) *app.State {
	t.Helper()
	state, err := app.OpenState(context.Background(), settings(data, "127.0.0.1:9", "127.0.0.1:9"), nil)
	if err != nil {
		t.Fatalf("the state does not open: %v", err)
	}
	return state
}

// closeState closes it at a moment when no other test is between fork and exec: a
// process that is would hold our locks a little longer.
func closeState(t testing.TB, state *app.State) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := state.Close(); err != nil {
		t.Error(err)
	}
}

// sound reports every breach of an invariant, bytes included.
func sound(t testing.TB, state *app.State) {
	t.Helper()
	v, err := state.House().Rescue.Verify(context.Background())
	if err != nil {
		t.Errorf("store verify: %v", err)
	}
	for _, b := range v.Breaches {
		t.Errorf("store verify: %s: %s", b.Invariant, b.Detail)
	}
}

func address(name string) string { return fmt.Sprintf("%s@%s", name, domain) }
