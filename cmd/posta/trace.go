package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/finding"
)

func (c *cli) traceCommand() *cobra.Command {
	var q command.TraceQuery
	cmd := c.leaf("trace [QUERY]", "trace", 0, true, func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			q.Query = args[0]
		}
		var out []command.Trace
		if err := c.do(cmd.Context(), "trace.find", q, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		for i := range out {
			c.printTrace(&out[i])
		}
		return nil
	})
	cmd.Flags().IntVar(&q.Limit, "limit", 20, c.lang.Say("flag.limit"))
	return cmd
}

// printTrace writes one message's timeline.
func (c *cli) printTrace(t *command.Trace) {
	line := func(key string, v string) {
		if v != "" {
			fmt.Fprintf(c.out, "  %-12s %s\n", c.lang.Say(key), printable(v))
		}
	}
	fmt.Fprintf(c.out, "%s  %s  %s\n", t.ID, t.At.Local().Format(time.DateTime), c.lang.Say("trace.stage."+string(t.Stage)))
	if m := t.Merged; m != nil {
		line("trace.merged", c.lang.Say("trace.merged.text", m.Count, m.Network, m.First.Local().Format(time.DateTime), m.Last.Local().Format(time.DateTime)))
		c.printFindings(t)
		for _, n := range t.Notes {
			line("trace.note", printable(n.What)+": "+printable(n.Seen))
		}
		fmt.Fprintln(c.out)
		return
	}
	line("trace.client", strings.TrimSpace(fmt.Sprintf("%s %s (%s, %s)", t.IP, t.PTR, t.Door, t.Class)))
	line("trace.helo", t.HELO)
	line("trace.tls", t.TLS)
	line("trace.login", t.Login)
	line("trace.from", "<"+t.From+">")
	for _, r := range t.To {
		effects := strings.Join(r.Effects, "; ")
		if r.More > 0 {
			effects += "; " + c.lang.Say("trace.more", r.More)
		}
		line("trace.to", strings.TrimSpace(fmt.Sprintf("<%s> %s %s %s", r.Address, r.Action, r.Reply, effects)))
	}
	line("trace.author", t.Author)
	line("trace.subject", t.Subject)
	line("trace.message-id", t.MessageID)
	line("trace.reply", t.Reply)
	for i := range t.Scans {
		line("trace.scan", t.Scans[i].String())
		for _, text := range append(t.Scans[i].Symbols, t.Scans[i].Edits...) {
			fmt.Fprintf(c.out, "  %-12s   %s\n", "", printable(text))
		}
	}
	c.printFindings(t)
	if len(t.Passes) > 0 {
		line("trace.passed", strings.Join(ids(t.Passes), " "))
	}
	for _, e := range t.Events {
		line("trace.event", strings.TrimSpace(fmt.Sprintf("%s %s <%s> %s %s %s", e.At.Local().Format(time.DateTime), e.Kind, e.To, e.Remote, e.Reply, e.Note)))
	}
	for _, e := range t.Queue {
		line("trace.queue", fmt.Sprintf("<%s> %s, %s", e.To, e.State, e.Due.Local().Format(time.DateTime)))
	}
	fmt.Fprintln(c.out)
}

// printFindings writes what failed or could not be verified, with what was seen.
func (c *cli) printFindings(t *command.Trace) {
	for _, f := range t.Findings.Others {
		fmt.Fprintf(c.out, "  %-12s [%s] %s: %s\n", c.lang.Say("trace.finding"), f.Check, c.lang.Say("outcome."+strings.ReplaceAll(f.Outcome.String(), " ", "-")), finding.TextOf(f.Check, string(c.lang)).Title)
		for _, e := range f.Evidence {
			fmt.Fprintf(c.out, "  %-12s   %s: %s\n", "", printable(e.What), printable(e.Seen))
		}
	}
}

func ids(in []finding.ID) []string {
	out := make([]string, len(in))
	for i, id := range in {
		out[i] = string(id)
	}
	return out
}
