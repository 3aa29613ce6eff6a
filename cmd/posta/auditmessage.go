package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/app"
	"posta/internal/audit"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/message"
	"posta/internal/store"
)

// doorDomain is the domain of the door that a message is shown to: one that nobody has.
const doorDomain = "door.invalid"

// auditMessage judges a message as our own door would: a house is made in a folder of
// its own, asked what it would do (command explain), and removed. So it is the same
// code with the same settings that a new server has, and nothing of a server that runs
// here is touched.
func (c *cli) auditMessage(ctx context.Context, f *auditFlags, t *audit.Target) ([]finding.Finding, error) {
	if len(t.IPs) == 0 {
		return nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.audit.message"))
	}
	b, err := readInput(f.message, command.MaxExplained)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(b, []byte("\r\n")) { // a file has the line ends of its system
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	folder, err := os.MkdirTemp("", "posta-audit-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	servers, err := f.world.addresses(c)
	if err != nil {
		return nil, err
	}
	do, done, err := openDoor(ctx, folder, servers)
	if err != nil {
		return nil, err
	}
	defer done()
	q := command.Question{IP: t.IPs[0].String(), HELO: t.HELO, From: reversePath(b, t.Domain), To: []string{"postmaster@" + doorDomain}, Message: b}
	var x command.Explanation
	if err := do("explain", q, &x); err != nil {
		return nil, err
	}
	out := x.Findings
	for _, id := range x.Passes {
		out = append(out, finding.Of(id, finding.Pass, ""))
	}
	out = slices.DeleteFunc(out, func(f finding.Finding) bool { return !ofMessage(f.Check, t.HELO != "") })
	header, _ := dkim.SplitMessage(b)
	out = append(out, audit.Signatures(header)...)
	for i := range out {
		if out[i].Subject == "" {
			out[i].Subject = c.lang.Say("audit.message")
		}
	}
	return out, nil
}

// ofMessage tells what is true of the message and its sender from what is only of the
// session, which never was: TLS, greylisting, and a greeting that nobody named.
func ofMessage(id finding.ID, greeted bool) bool {
	switch id.Section() {
	case "tls", "greylist", "rate", "smtp", "conn", "auth", "rcpt", "relay", "reputation", "access", "quarantine":
		return false
	case "helo":
		return greeted
	}
	return greeted || id != finding.SPFHELO && id != finding.DNSBLHELO
}

// reversePath is who the message says that it came from: its Return-Path, which the
// last server wrote, else postmaster of the domain.
func reversePath(b []byte, domain string) string {
	header, _ := dkim.SplitMessage(b)
	if field, ok := message.Header(header).Find("Return-Path"); ok {
		return strings.Trim(strings.TrimSpace(field.Value()), "<>")
	}
	return "postmaster@" + domain
}

// openDoor makes a house with one account in a folder.
func openDoor(ctx context.Context, folder string, servers []netip.AddrPort) (give, func(), error) {
	host, err := os.Hostname()
	if d, derr := addr.ParseDomain(host); err != nil || derr != nil || d.Labels() < 2 {
		host = "mail." + doorDomain
	}
	cfg := config.Default()
	cfg.Hostname, cfg.Data = host, folder
	for _, ap := range servers {
		cfg.DNS.Servers = append(cfg.DNS.Servers, ap.String())
	}
	house, closeHouse, err := app.OpenHouse(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	do := givenTo(ctx, house, command.Principal{Name: "audit", Role: store.Owner})
	for _, step := range []struct {
		name string
		args any
	}{
		{"domain.add", command.Name{Name: doorDomain}}, {"account.add", command.NewAccount{Address: "postmaster@" + doorDomain}},
	} {
		if err := do(step.name, step.args, nil); err != nil {
			closeHouse()
			return nil, nil, err
		}
	}
	return do, closeHouse, nil
}
