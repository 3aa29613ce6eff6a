package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/finding"
)

func (c *cli) explainCommand() *cobra.Command {
	return c.group("explain", "explain", c.explainRcpt(), c.explainSender(), c.explainMessage(), c.explainRoute())
}

// clientFlags tell who the client would be.
func (c *cli) clientFlags(cmd *cobra.Command, q *command.Question) {
	cmd.Flags().StringVar(&q.IP, "ip", "", c.lang.Say("flag.explain.ip"))
	cmd.Flags().StringVar(&q.HELO, "helo", "", c.lang.Say("flag.explain.helo"))
	cmd.Flags().BoolVar(&q.Clear, "clear", false, c.lang.Say("flag.explain.clear"))
	cmd.Flags().StringVar(&q.Login, "login", "", c.lang.Say("flag.explain.login"))
}

func (c *cli) explainRcpt() *cobra.Command {
	var q command.Question
	cmd := c.leaf("rcpt ADDRESS...", "explain.rcpt", 1, true, func(cmd *cobra.Command, args []string) error {
		q.To = args
		return c.explain(cmd, q)
	})
	c.clientFlags(cmd, &q)
	cmd.Flags().StringVar(&q.From, "from", "", c.lang.Say("flag.explain.from"))
	return cmd
}

func (c *cli) explainSender() *cobra.Command {
	var q command.Question
	cmd := c.leaf("sender ADDRESS", "explain.sender", 1, false, func(cmd *cobra.Command, args []string) error {
		q.From = args[0]
		return c.explain(cmd, q)
	})
	c.clientFlags(cmd, &q)
	return cmd
}

func (c *cli) explainMessage() *cobra.Command {
	var q command.Question
	cmd := c.leaf("message FILE", "explain.message", 1, false, func(cmd *cobra.Command, args []string) error {
		if len(q.To) == 0 {
			return c.usage(cmd.UseLine() + " --to ADDRESS")
		}
		b, err := readInput(args[0], command.MaxExplained)
		if err != nil {
			return err
		}
		// What lies in a file has the line ends of its system; on the wire it is CRLF.
		if q.Message = b; !bytes.Contains(b, []byte("\r\n")) {
			q.Message = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
		}
		return c.explain(cmd, q)
	})
	c.clientFlags(cmd, &q)
	cmd.Flags().StringVar(&q.From, "from", "", c.lang.Say("flag.explain.from"))
	cmd.Flags().StringSliceVar(&q.To, "to", nil, c.lang.Say("flag.explain.to"))
	return cmd
}

func (c *cli) explain(cmd *cobra.Command, q command.Question) error {
	q.From = strings.Trim(q.From, "<>")
	var out command.Explanation
	if err := c.do(cmd.Context(), "explain", q, &out); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(out)
	}
	c.printExplanation(&out)
	return nil
}

// printExplanation writes the way in the order in which it is gone.
func (c *cli) printExplanation(x *command.Explanation) {
	client := strings.TrimSpace(x.IP + " " + x.PTR)
	if client == "" {
		client = "?"
	}
	c.line(0, "explain.client", client, x.Class)
	if x.HELO != "" {
		c.line(0, "explain.helo", x.HELO)
	}
	c.line(0, "explain.from", "<"+x.From+">")
	if x.MailReply != "" {
		c.line(0, "explain.reply", "MAIL", x.MailReply)
		return
	}
	if x.Sender != nil {
		c.say("explain.anybody")
		c.printWay(x.Sender)
	}
	for i := range x.Recipients {
		fmt.Fprintf(c.out, "<%s>\n", printable(x.Recipients[i].Address))
		c.printWay(&x.Recipients[i])
	}
	c.printEvidence(x)
	if x.Reply != "" {
		c.line(0, "explain.reply", "DATA", x.Reply)
	}
	c.say("explain.nothing")
}

// line writes a text of the catalogue, indented; its arguments may be foreign.
func (c *cli) line(indent int, key string, args ...string) {
	safe := make([]any, len(args))
	for i, a := range args {
		safe[i] = printable(a)
	}
	fmt.Fprintf(c.out, "%*s%s\n", 2*indent, "", c.lang.Say(key, safe...))
}

// printWay writes what was asked for one recipient, and what came of it.
func (c *cli) printWay(r *command.ExplainedRcpt) {
	if len(r.Access) == 0 {
		c.line(1, "explain.access.empty")
	}
	for i := range r.Access {
		c.printRuleset(&r.Access[i])
	}
	if r.Where != "" {
		c.line(1, "explain.where."+r.Where)
	}
	c.printWalk(r)
	for _, s := range r.Rules {
		changed := ""
		if s.Changed {
			changed = c.lang.Say("policy.changed")
		}
		text := fmt.Sprintf("[%s] %s → %s %s", s.Check, c.lang.Say("outcome."+strings.ReplaceAll(s.Outcome, " ", "-")), s.Step, changed)
		c.line(1, "explain.policy", strings.TrimSpace(text))
	}
	if r.Friend {
		c.line(1, "explain.friend")
	}
	if r.Reply != "" {
		c.line(1, "explain.reply", "RCPT", r.Reply)
	}
	verdict := c.lang.Say("action." + r.Action)
	if r.Check != "" {
		verdict += " [" + r.Check + "]"
	}
	if r.Label != "" {
		verdict += " " + r.Label
	}
	c.line(1, "explain.verdict", verdict)
	for _, f := range r.Filters {
		c.line(1, "explain.filter", f)
	}
	for _, e := range r.Effects {
		c.line(1, "explain.effect", e)
	}
}

// printWalk writes what was asked of rules and directory, in order.
func (c *cli) printWalk(r *command.ExplainedRcpt) {
	if len(r.Walk) > 0 {
		c.line(1, "explain.walk")
	}
	for _, s := range r.Walk {
		stage := c.lang.Say("explain.stage." + string(s.Stage))
		switch {
		case s.Value == "":
			c.line(2, "explain.walk.none", stage, s.Key)
		case s.Stage == directory.StageDomain:
			c.line(2, "explain.walk.step", stage, s.Key, c.lang.Say("explain.walk.ours"))
		default:
			c.line(2, "explain.walk.step", stage, s.Key, s.Value)
		}
	}
	if r.More {
		c.line(2, "explain.walk.more")
	}
}

// printRuleset writes which keys of the access map were asked for, and what it said.
func (c *cli) printRuleset(set *command.ExplainedRuleset) {
	if len(set.Steps) == 0 {
		return
	}
	says := c.lang.Say("explain.says." + set.Outcome)
	if set.Reply != "" {
		says += ": " + set.Reply
	}
	c.line(1, "explain.access", set.Name, says)
	var missing []string
	for _, s := range set.Steps {
		if s.Value == "" {
			missing = append(missing, s.Key)
		}
	}
	if len(missing) > 0 {
		c.line(2, "explain.missing", strings.Join(missing, " "))
	}
	for _, s := range set.Steps {
		if s.Value != "" {
			c.line(2, "explain.entry", s.Key, s.Value)
		}
	}
	if set.RelayBy != "" {
		c.line(2, "explain.relay", set.RelayBy)
	}
}

// printEvidence writes what was found, with what was seen.
func (c *cli) printEvidence(x *command.Explanation) {
	if len(x.SPF) > 0 {
		fmt.Fprintln(c.out, "SPF")
		for _, l := range x.SPF {
			fmt.Fprintln(c.out, "  "+printable(l))
		}
	}
	for _, f := range x.Findings {
		fmt.Fprintf(c.out, "[%s] %s: %s\n", f.Check, c.lang.Say("outcome."+strings.ReplaceAll(f.Outcome.String(), " ", "-")), finding.TextOf(f.Check, string(c.lang)).Title)
		for _, e := range f.Evidence {
			fmt.Fprintf(c.out, "  %s: %s\n", printable(e.What), printable(e.Seen))
		}
	}
	for _, n := range x.Notes {
		fmt.Fprintf(c.out, "%s: %s\n", printable(n.What), printable(n.Seen))
	}
	if x.Asked != "" {
		c.line(0, "explain.dmarc", x.Asked)
	}
	if len(x.Passes) > 0 {
		c.line(0, "explain.passed", strings.Join(ids(x.Passes), " "))
	}
}
