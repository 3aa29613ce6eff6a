package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/destination"
	"posta/internal/finding"
)

func (c *cli) destinationCommand() *cobra.Command {
	return c.group("destination", "destination", c.destinationList("ls", 0), c.destinationList("show DOMAIN", 1))
}

// destinationList is ls (all domains, a line each) or show (one, with what it answered).
func (c *cli) destinationList(use string, n int) *cobra.Command {
	var q command.DestinationQuery
	cmd := c.leaf(use, "destination."+strings.Fields(use)[0], n, false, func(cmd *cobra.Command, args []string) error {
		if n == 1 {
			q.Domain = args[0]
		}
		var out command.Destinations
		if err := c.do(cmd.Context(), "destination.ls", q, &out); err != nil {
			return err
		}
		switch {
		case c.json:
			return c.printJSON(out)
		case len(out.Domains) == 0:
			c.say("done.destination.none", cmp.Or(q.Days, 7))
		case n == 1:
			c.showDestination(&out.Domains[0])
		default:
			c.listDestinations(&out)
		}
		return nil
	})
	cmd.Flags().IntVar(&q.Days, "days", 7, c.lang.Say("flag.destination.days"))
	return cmd
}

func (c *cli) listDestinations(out *command.Destinations) {
	var rows [][]string
	for i := range out.Domains {
		d := &out.Domains[i]
		var checks []string
		for _, id := range d.Checks() {
			checks = append(checks, string(id))
		}
		rows = append(rows, []string{
			d.Domain, strconv.FormatInt(d.Delivered, 10), strconv.FormatInt(d.Deferred, 10), strconv.FormatInt(d.Refused, 10),
			strconv.FormatInt(d.Clear, 10), d.Provider, strings.Join(checks, " "),
		})
	}
	c.table("head.destination", rows)
	if out.More {
		c.say("done.destination.more")
	}
}

// showDestination prints what a domain answered, what that means, and the next step.
func (c *cli) showDestination(d *destination.Domain) {
	c.say("destination.counts", d.Domain, d.Delivered, d.Deferred, d.Refused, d.Clear)
	for i := range d.Troubles {
		t := &d.Troubles[i]
		fmt.Fprintf(c.out, "\n%d × %s", t.N, c.lang.Say("destination."+string(t.Outcome)))
		if t.Reading.Code != "" {
			fmt.Fprintf(c.out, " %s", t.Reading.Code)
		}
		if t.Reading.Provider != "" {
			fmt.Fprintf(c.out, " (%s)", t.Reading.Provider)
		}
		fmt.Fprintln(c.out)
		row := func(key, value string) {
			if value != "" {
				fmt.Fprintf(c.out, "  %s: %s\n", c.lang.Say(key), printable(value))
			}
		}
		who := "destination.said"
		if t.Ours {
			who = "destination.ours"
		}
		row(who, strings.Join(strings.Fields(t.Reply), " "))
		row("destination.host", strings.TrimSpace(t.Remote+" "+t.At.Local().Format(time.DateTime)))
		row("destination.tls", t.TLS)
		if id := t.Reading.Check; id != "" {
			row("destination.check", string(id)+": "+finding.TextOf(id, string(c.lang)).Title)
		}
		row("destination.list", t.Reading.List)
		if t.Reading.Advice != "" {
			row("destination.next", c.lang.Say("refusal."+t.Reading.Advice))
		}
		row("destination.page", t.Reading.Link)
	}
}
