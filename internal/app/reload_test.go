package app

import (
	"errors"
	"net/smtp"
	"strings"
	"testing"

	"posta/internal/config"
	"posta/internal/scan/scantest"
)

// offering is a session that is asked whether a sender whom a milter refuses may write.
type offering struct {
	*smtp.Client
	t *testing.T
}

func (n *nodeUnderTest) offer(t *testing.T) offering {
	t.Helper()
	c, err := smtp.Dial(n.addrs["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Noop(); err != nil { // EHLO was read: the session has begun
		t.Fatal(err)
	}
	return offering{c, t}
}

// refused tells what was said to a transaction, "" if it may go on.
func (o offering) refused() string {
	o.t.Helper()
	err := o.Mail("filtered@example.net")
	if err == nil {
		err = o.Rcpt("ana@empresa.test")
	}
	if rerr := o.Reset(); rerr != nil {
		o.t.Fatal(rerr)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// SIGHUP takes the scanners of a changed posta.toml: sessions that begin then have
// them, running ones end with those that they began with; a file with a fault in it
// changes nothing.
func TestReloadScanners(t *testing.T) {
	milter, err := scantest.Start(scantest.Milter)
	if err != nil {
		t.Fatal(err)
	}
	defer milter.Close()
	var now config.Config
	var fault error
	n := startNodeWith(t, t.TempDir(), "", func(c *config.Config, o *Options) {
		now = *c
		o.Reread = func() (*config.Config, error) { c := now; return &c, fault }
	})
	r := <-n.ready
	n.command(t, r, "domain.add", `{"name":"empresa.test"}`)
	n.command(t, r, "account.add", `{"address":"ana@empresa.test","password":"correct horse"}`)
	reload := func(want string) {
		t.Helper()
		if err := r.Reload(t.Context()); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("reload: %v, want %q", err, want)
		}
	}
	before := n.offer(t)
	if got := before.refused(); got != "" {
		t.Fatal(got)
	}
	now.Scanners = []config.Scanner{{Name: "filtro", Type: "milter", Address: milter.Address()}}
	reload("")
	reload("") // nothing changed
	if got := before.refused(); got != "" {
		t.Errorf("a session that began before: %s", got)
	}
	with := n.offer(t)
	if got := with.refused(); !strings.Contains(got, "[scan.refused]") {
		t.Errorf("a session that begins now: %q", got)
	}
	now.Scanners[0].Type = "rspamd" // an address that rspamd has not
	fault = errors.New("scanner[1].address: no such thing")
	reload("the configuration stays as it is: scanner[1].address")
	fault = nil
	now.Scanners, now.Hostname = nil, "otro.empresa.test"
	reload("")
	if got := n.offer(t).refused(); got != "" {
		t.Errorf("without scanners again: %s", got)
	}
	if got := with.refused(); !strings.Contains(got, "[scan.refused]") {
		t.Errorf("a session that began with the milter: %q", got)
	}
	if !strings.Contains(n.log.String(), "posta.toml has changes that take a restart") {
		t.Error("the log does not say that another hostname takes a restart")
	}
	before.Close()
	with.Close()
	n.end(t)
}
