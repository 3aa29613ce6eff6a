package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/message/charset"
	"posta/internal/trace"
)

func (c *cli) traceCommand() *cobra.Command {
	var q command.TraceQuery
	cmd := c.leaf("trace [QUERY]", "trace", 0, true, func(cmd *cobra.Command, args []string) error {
		q.Query = strings.Join(args, " ") // a pasted line that the shell took apart
		if q.Query == "-" {
			b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), trace.MaxPaste))
			if err != nil {
				return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.trace.stdin", err))
			}
			q.Query = strings.ToValidUTF8(string(b), "\uFFFD")
			if strings.TrimSpace(q.Query) == "" { // an empty query would list everything
				return fmt.Errorf("%w: %s", errUsage, c.lang.Say("error.trace.empty"))
			}
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

// printTrace writes one message's timeline, in the order in which it happened.
func (c *cli) printTrace(t *command.Trace) {
	fmt.Fprintf(c.out, "%s  %s  %s\n", t.ID, t.At.Local().Format(time.DateTime), c.lang.Say("trace.stage."+string(t.Stage)))
	if m := t.Merged; m != nil {
		c.traceLine("trace.merged", c.lang.Say("trace.merged.text", m.Count, m.Network, m.First.Local().Format(time.DateTime), m.Last.Local().Format(time.DateTime)))
		c.printFindings(t)
		fmt.Fprintln(c.out)
		return
	}
	c.printConnection(t)
	c.traceLine("trace.from", "<"+t.From+">")
	c.traceLine("trace.author", t.Author)
	c.traceLine("trace.subject", charset.DecodeHeader(t.Subject))
	c.traceLine("trace.message-id", t.MessageID)
	if t.Size > 0 {
		c.traceLine("trace.size", size(t.Size))
	}
	for i := range t.Scans {
		c.traceLine("trace.scan", t.Scans[i].String())
		for _, text := range append(t.Scans[i].Symbols, t.Scans[i].Edits...) {
			fmt.Fprintf(c.out, "  %-12s   %s\n", "", printable(text))
		}
	}
	c.printFindings(t)
	if len(t.Passes) > 0 {
		c.traceLine("trace.passed", strings.Join(ids(t.Passes), " "))
	}
	for _, n := range t.Notes {
		c.traceLine("trace.note", n.What+": "+n.Seen)
	}
	c.traceLine("trace.level", t.Level)
	for i := range t.To {
		c.printRecipient(&t.To[i])
	}
	c.traceLine("trace.reply", strings.TrimSpace(clock(t.Replied)+" "+t.Reply))
	for _, e := range t.Events {
		c.traceLine("trace.event", spaced(e.At.Local().Format(time.DateTime), e.Kind, angled(e.To), e.Remote, e.TLS, e.Reply, e.Note))
	}
	for _, e := range t.Queue {
		c.traceLine("trace.queue", fmt.Sprintf("<%s> %s, %s", e.To, e.State, e.Due.Local().Format(time.DateTime)))
	}
	fmt.Fprintln(c.out)
}

// traceLine writes one line of the timeline; nothing when there is nothing to say.
func (c *cli) traceLine(key, value string) {
	if value != "" {
		fmt.Fprintf(c.out, "  %-12s %s\n", c.lang.Say(key), printable(value))
	}
}

// printConnection tells who spoke to us, and when.
func (c *cli) printConnection(t *command.Trace) {
	c.traceLine("trace.client", spaced(clock(t.Opened), t.IP, t.PTR, "("+t.Door+", "+t.Class+")"))
	c.traceLine("trace.tls", spaced(t.TLS, t.Cipher))
	c.traceLine("trace.helo", t.HELO)
	c.traceLine("trace.login", t.Login)
}

// printRecipient tells the verdict for a recipient, and what came of it.
func (c *cli) printRecipient(r *trace.Recipient) {
	effects := strings.Join(r.Effects, "; ")
	if r.More > 0 {
		effects += "; " + c.lang.Say("trace.more", r.More)
	}
	check := ""
	if r.Check != "" {
		check = "[" + r.Check + "]"
	}
	action := r.Action
	if action != "" {
		action = c.lang.Say("action." + action)
	}
	c.traceLine("trace.to", spaced("<"+r.Address+">", action, check, r.Reply, effects))
}

// clock is a moment of the day, "" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("15:04:05.000")
}

// spaced joins what is not empty.
func spaced(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return s == "" }), " ")
}

func angled(address string) string {
	if address == "" {
		return ""
	}
	return "<" + address + ">"
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
