package app

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"posta/internal/config"
	"posta/internal/finding"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// The audit is a source of the daily look: what it finds of a domain of ours comes from
// there as it stands, but for that of which nothing follows.
func TestAuditIsASource(t *testing.T) {
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{Command: "test"}, tx.PutDomain(&store.Domain{Name: "empresa.test"})
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Hostname, cfg.Network.Public = "mail.empresa.test", []string{"192.0.2.10"}
	refuse := errors.New("no network in a test")
	s := &server{cfg: cfg, state: &State{Store: st}, dns: resolver.Static{"empresa.test": {"MX 10 nadie.empresa.test", "TXT v=spf1 +all"}}}
	s.opt.Now, s.opt.Dial = time.Now, noNetwork(refuse)
	fs, err := auditor{s}.Findings(t.Context(), "empresa.test")
	if err != nil {
		t.Fatal(err)
	}
	has := func(id finding.ID, o finding.Outcome) bool {
		return slices.ContainsFunc(fs, func(f finding.Finding) bool { return f.Check == id && f.Outcome == o })
	}
	if !has("mx.dangling", finding.Fail) {
		t.Errorf("the MX that leads nowhere is not found: %v", fs)
	}
	for _, f := range fs {
		if c, _ := finding.Lookup(f.Check); c.Severity == finding.Info {
			t.Errorf("of %s nothing follows", f.Check)
		}
	}
}

func noNetwork(err error) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}
