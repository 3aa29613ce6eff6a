package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/addr"
	"posta/internal/dnsbl"
	"posta/internal/resolver"
)

// maxListedHosts bounds how many addresses of a domain's hosts are asked about.
const maxListedHosts = 8

// listing is what one list says of one subject, as programs read it.
type listing struct {
	Subject    string       `json:"subject"`
	List       string       `json:"list"`
	What       string       `json:"what,omitempty"`  // what the list has
	State      string       `json:"state,omitempty"` // of a list that we know
	Query      string       `json:"query,omitempty"` // the name that was asked
	Status     string       `json:"status"`          // "listed", "not listed", "could not verify"
	Good       bool         `json:"good,omitempty"`  // the listing speaks for the subject
	Answers    []netip.Addr `json:"answers,omitempty"`
	Meanings   []string     `json:"meanings,omitempty"`
	Texts      []string     `json:"texts,omitempty"`
	Cause      string       `json:"cause,omitempty"`
	Error      string       `json:"error,omitempty"`
	Suggestion string       `json:"suggestion,omitempty"`
	Delist     string       `json:"delist,omitempty"`
	Terms      string       `json:"terms,omitempty"`

	cause dnsbl.Cause
}

// causeKeys name the sentences for why a list could not be believed.
var causeKeys = [...]string{
	dnsbl.DNSFailure: "dns", dnsbl.ForeignAnswer: "foreign", dnsbl.Rewriting: "rewriting", dnsbl.WrongName: "name", dnsbl.OpenResolver: "resolver",
	dnsbl.TooMany: "many", dnsbl.Refused: "refused", dnsbl.Dead: "dead", dnsbl.Wildcard: "wildcard", dnsbl.BadQuestion: "question",
}

// bad reports whether it is a listing that one acts on.
func (l listing) bad() bool {
	return l.Status == dnsbl.Listed.String() && !l.Good && l.State != dnsbl.ShowOnly.String()
}

func (c *cli) dnsblCommand() *cobra.Command {
	var world outside
	var lists []string
	cmd := c.leaf("dnsbl IP|DOMAIN", "dnsbl", 1, false, func(cmd *cobra.Command, args []string) error {
		dns, err := world.resolver(c)
		if err != nil {
			return err
		}
		defer dns.Close()
		out, err := c.askLists(cmd.Context(), dns, lists, args[0])
		if err != nil {
			return err
		}
		return c.showListings(out)
	})
	world.flags(c, cmd)
	cmd.Flags().StringSliceVar(&lists, "list", nil, c.lang.Say("flag.dnsbl.list"))
	return cmd
}

// askLists asks the lists, all side by side.
func (c *cli) askLists(ctx context.Context, dns resolver.Resolver, lists []string, subject string) ([]listing, error) {
	ips, domain, err := c.listSubjects(ctx, dns, subject)
	if err != nil {
		return nil, err
	}
	questions, out, err := c.listQuestions(lists, ips, domain)
	if err != nil {
		return nil, err
	}
	for _, r := range dnsbl.New(dns, nil).Ask(ctx, questions) {
		out = append(out, listingOf(r))
	}
	return out, nil
}

// listSubjects are an address itself, or a domain and the addresses that its mail goes to.
func (c *cli) listSubjects(ctx context.Context, dns resolver.Resolver, subject string) (ips []netip.Addr, domain string, err error) {
	if ip, err := netip.ParseAddr(strings.Trim(subject, "[]")); err == nil {
		if ip = ip.Unmap(); !ip.IsGlobalUnicast() || ip.IsPrivate() {
			return nil, "", fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dnsbl.private", ip))
		}
		return []netip.Addr{ip}, "", nil
	}
	d, err := addr.ParseDomain(subject)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dnsbl.subject", subject))
	}
	domain = string(d)
	hosts := []string{domain}
	if mx, err := dns.LookupMX(ctx, domain); err == nil && len(mx.Records) > 0 {
		hosts = hosts[:0]
		for _, m := range mx.Records {
			hosts = append(hosts, m.Host)
		}
	}
	for _, h := range hosts {
		if a, err := dns.LookupA(ctx, h); err == nil {
			ips = append(ips, a.Records...)
		}
		if a, err := dns.LookupAAAA(ctx, h); err == nil {
			ips = append(ips, a.Records...)
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.Compact(ips)
	return ips[:min(len(ips), maxListedHosts)], domain, nil
}

// listQuestions puts each subject to the lists that were named, or to all that we know and that answer strangers. What is
// known to be dead is not asked.
func (c *cli) listQuestions(named []string, ips []netip.Addr, domain string) (questions []dnsbl.Question, dead []listing, err error) {
	zones := named
	if len(named) == 0 {
		for _, l := range dnsbl.Catalogue() {
			if l.State != dnsbl.Gone && l.Kind != dnsbl.Hashes && !strings.HasPrefix(l.Zone, "*") {
				zones = append(zones, l.Zone)
			}
		}
	}
	for _, zone := range zones {
		name, err := resolver.Normalize(zone)
		if err != nil || !strings.Contains(name, ".") {
			return nil, nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dnsbl.list", zone))
		}
		l := dnsbl.Find(name)
		if l != nil && l.State == dnsbl.Gone {
			dead = append(dead, listing{List: name, What: l.What, State: l.State.String(), Status: dnsbl.Unverified.String(), Cause: dnsbl.Dead.String(), cause: dnsbl.Dead, Terms: l.Terms})
			continue
		}
		if l == nil || l.Kind == dnsbl.Addresses {
			for _, ip := range ips {
				questions = append(questions, dnsbl.Question{Zone: name, About: dnsbl.Client, IP: ip})
			}
		}
		if domain != "" && (l == nil && len(ips) == 0 || l != nil && l.Kind == dnsbl.Domains) {
			questions = append(questions, dnsbl.Question{Zone: name, About: dnsbl.Sender, Domain: domain})
		}
	}
	if len(questions)+len(dead) == 0 {
		return nil, nil, fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.dnsbl.kind", strings.Join(named, ", ")))
	}
	return questions, dead, nil
}

func listingOf(r dnsbl.Result) listing {
	out := listing{
		Subject: r.Subject, List: r.Name, Query: strings.Replace(r.Query, r.Zone, r.Name, 1), Status: r.Status.String(), Good: r.Good,
		Answers: r.Codes, Meanings: r.Meanings, Texts: r.Texts, Cause: r.Cause.String(), cause: r.Cause, Suggestion: r.Suggestion, Delist: r.Delist,
	}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	if r.List != nil {
		out.What, out.State, out.Terms = r.List.What, r.List.State.String(), r.List.Terms
	}
	return out
}

// showListings prints a table, and below it the evidence of all that is not simply "not listed".
func (c *cli) showListings(all []listing) error {
	if c.json {
		if err := c.printJSON(all); err != nil {
			return err
		}
		return listingStatus(all)
	}
	rows := make([][]string, len(all))
	for i, l := range all {
		rows[i] = []string{l.Subject, l.List, c.lang.Say("dnsbl." + dashed(l.Status)), c.listingNote(l)}
	}
	c.table("head.dnsbl", rows)
	for _, l := range all {
		if l.Status != dnsbl.NotListed.String() {
			c.showListing(l)
		}
	}
	listed, unverified := 0, 0
	for _, l := range all {
		switch {
		case l.bad():
			listed++
		case l.Status == dnsbl.Unverified.String():
			unverified++
		}
	}
	fmt.Fprintln(c.out)
	c.say("done.dnsbl", listed, unverified, len(all))
	return listingStatus(all)
}

// listingNote is the last column: what the list is for, and what is to be known of it.
func (c *cli) listingNote(l listing) string {
	if l.State == "" {
		return c.lang.Say("dnsbl.unknown")
	}
	if l.State == dnsbl.Alive.String() {
		return l.What
	}
	return l.What + " (" + c.lang.Say("dnsbl.state."+dashed(l.State)) + ")"
}

// showListing prints what was asked, what came, and what to do.
func (c *cli) showListing(l listing) {
	fmt.Fprintf(c.out, "\n%s: %s\n", l.List, c.lang.Say("dnsbl."+dashed(l.Status)))
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say(key), printable(value))
		}
	}
	row("dnsbl.asked", l.Query)
	for _, a := range l.Answers {
		row("dnsbl.answer", a.String())
	}
	for _, m := range l.Meanings {
		row("dnsbl.meaning", m)
	}
	for _, t := range l.Texts {
		row("dnsbl.text", t)
	}
	if l.cause != dnsbl.NoCause {
		row("dnsbl.cause", c.lang.Say("dnsbl.cause."+causeKeys[l.cause]))
	}
	row("dnsbl.error", l.Error)
	if l.Suggestion != "" {
		row("dnsbl.meant", l.Suggestion)
	}
	row("dnsbl.delist", l.Delist)
	if l.Status == dnsbl.Unverified.String() {
		row("dnsbl.terms", l.Terms)
	}
}

// listingStatus is 1 when something is listed, 75 when no list could be asked.
func listingStatus(all []listing) error {
	if slices.ContainsFunc(all, listing.bad) {
		return found{exitFindings}
	}
	if !slices.ContainsFunc(all, func(l listing) bool { return l.Status != dnsbl.Unverified.String() }) {
		return found{exitLater}
	}
	return nil
}

// dashed makes the end of a key of the catalogue out of words.
func dashed(words string) string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(words)
}
