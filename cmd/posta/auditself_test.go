package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/lab"
)

// selfHouse is the lab's own server and a configuration file that leads to it.
func selfHouse(t *testing.T) (*lab.Lab, string) {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file := filepath.Join(t.TempDir(), "posta.toml")
	text := fmt.Sprintf("hostname = \"mail.empresa.test\"\ndata = %q\n[dns]\nservers = [%q]\n", l.Info().Data, l.Info().DNS)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return l, file
}

// toHouse leads what is dialled at the house's public address to its doors on loopback,
// and everything else nowhere.
func toHouse(l *lab.Lab) func(context.Context, string, string) (net.Conn, error) {
	i := l.Info()
	doors := map[string]string{"25": i.SMTP, "587": i.Submission, "465": i.Submissions, "143": i.IMAP, "993": i.IMAPS, "110": i.POP3, "995": i.POP3S}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if host != "203.0.113.25" {
			return nil, net.ErrClosed
		}
		to, ok := doors[port]
		if !ok {
			to = net.JoinHostPort("127.0.0.1", port) // SRV records of the lab name its real ports
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
}

// runSelf gives the command on the house's configuration.
func runSelf(t *testing.T, l *lab.Lab, file string, c *cli, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	c.out, c.configFile, c.dial = &out, file, toHouse(l)
	cmd := c.auditCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if f, ok := err.(found); ok {
		return out.String(), f.status
	}
	if err != nil {
		return out.String() + err.Error(), status(err)
	}
	return out.String(), 0
}

// audit --self tells what only the house itself knows: whom its access map lets relay,
// which keys sign that DNS does not show, what its resolver is; and its own doors are
// asked in all forms.
func TestAuditSelf(t *testing.T) {
	l, file := selfHouse(t)
	setup := &cli{lang: "en", configFile: file}
	for _, step := range []struct {
		name string
		args any
	}{
		{"domain.add", command.Name{Name: "nueva.test"}}, {"dkim.add", command.NewKeys{Domain: "nueva.test"}}, {"access.add", command.AccessEntry{Key: "198.51", Value: "RELAY"}},
	} {
		if err := setup.do(t.Context(), step.name, step.args, nil); err != nil {
			t.Fatal(step.name, err)
		}
	}
	text, code := runSelf(t, l, file, &cli{lang: "en"}, "--self")
	if code != exitFindings {
		t.Errorf("status %d", code)
	}
	for _, want := range []string{
		"empresa.test: takes mail", "nueva.test: ", "[relay.broad]", "198.51.0.0/16 RELAY", "List single addresses, or let the machines log in.", "[dkim.published]", "._domainkey.nueva.test",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "[relay.broad]"); n != 1 {
		t.Errorf("the house is told %d times", n)
	}
}

// The same as programs read it: outcome and subject of what only we know, of one domain.
func TestAuditSelfJSON(t *testing.T) {
	l, file := selfHouse(t)
	text, code := runSelf(t, l, file, &cli{lang: "es", json: true}, "empresa.test", "--self", "--fail-on", "critical")
	var x audited
	if err := json.Unmarshal([]byte(text), &x); err != nil || code != 0 {
		t.Fatal(err, code, text)
	}
	got := map[finding.ID]string{}
	for _, f := range x.Findings {
		if f.Outcome == finding.Fail.String() || got[f.Check] == "" {
			got[f.Check] = f.Outcome
		}
	}
	for id, want := range map[finding.ID]finding.Outcome{
		finding.DKIMPublished: finding.Pass, finding.ResolverPlain: finding.Pass, finding.ResolverPublic: finding.Pass, finding.OutboundBlocked: finding.Unverified,
		finding.RelayOpen: finding.Pass, finding.SMTPName: finding.Pass, finding.TLSOld: finding.Pass, finding.TLSInjection: finding.Pass, finding.AuthClear: finding.Pass,
		finding.SMTPPostmaster: finding.Pass, finding.RcptAny: finding.Pass, finding.SMTPEnumeration: finding.Pass, finding.CertUnverified: finding.Fail,
	} {
		if got[id] != want.String() {
			t.Errorf("%s: %q, expected %q", id, got[id], want)
		}
	}
}

// Where nothing at all could be verified the status is 75: try later.
func TestAuditLater(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // a name server that never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	c := &cli{lang: "en", out: &out, configFile: filepath.Join(t.TempDir(), "none.toml"), dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	cmd := c.auditCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"good.test", "--dns", silent.LocalAddr().String()})
	if err := cmd.ExecuteContext(ctx); err != (found{exitLater}) {
		t.Errorf("%v\n%s", err, &out)
	}
	if text := out.String(); !strings.Contains(text, "good.test: ") || !strings.Contains(text, "COULD NOT VERIFY good.test: ") || strings.Contains(text, "MEDIUM") {
		t.Errorf("%s", text)
	}
}
