package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/feedback"
	"posta/internal/store"
)

func (c *cli) reportCommand() *cobra.Command {
	source := c.group("source", "report.source", c.reportSourceSet())
	return c.group("report", "report",
		c.reportList(), c.reportShow(), c.reportView(), c.reportSources(), source, c.reportAdvise(), c.reportAlerts(), c.reportComplaints(), c.reportLists(), c.reportSentCommand())
}

// reportLeaf is a command that asks for a ReportQuery and prints what is told.
func reportLeaf[T any](c *cli, use, name string, n int, printed func(*T)) *cobra.Command {
	var q command.ReportQuery
	cmd := c.leaf(use, name, n, n == 0, func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return c.usage(cmd.UseLine())
		}
		if len(args) == 1 {
			q.Domain = args[0]
		}
		var out T
		if err := c.do(cmd.Context(), name, q, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		printed(&out)
		return nil
	})
	cmd.Flags().IntVar(&q.Days, "days", 30, c.lang.Say("flag.report.days"))
	if name == "report.ls" {
		cmd.Flags().StringVar(&q.Kind, "kind", "", c.lang.Say("flag.report.kind"))
	}
	return cmd
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (c *cli) reportList() *cobra.Command {
	return reportLeaf(c, "ls [DOMAIN]", "report.ls", 0, c.listReports)
}

func (c *cli) listReports(out *[]command.Report) {
	var rows [][]string
	for _, r := range *out {
		rows = append(rows, []string{r.ID, r.Kind, r.Domain, r.Org, r.Begin.UTC().Format(time.DateOnly), number(r.Messages), number(r.Failed), c.proved(r.Proved), r.Policy})
	}
	c.table("head.report", rows)
}

func (c *cli) proved(yes bool) string {
	if yes {
		return c.lang.Say("report.proved")
	}
	return c.lang.Say("report.unproved")
}

func (c *cli) reportShow() *cobra.Command {
	return c.leaf("show ID", "report.show", 1, false, func(cmd *cobra.Command, args []string) error {
		var out command.Report
		if err := c.do(cmd.Context(), "report.show", command.Name{Name: args[0]}, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.showReport(&out)
		return nil
	})
}

func (c *cli) showReport(r *command.Report) {
	c.say("report.head", printable(r.Org), printable(r.Name), r.Domain, r.Begin.UTC().Format(time.DateTime), r.End.UTC().Format(time.DateTime))
	c.say("report.from", printable(r.Sender), c.proved(r.Proved), r.Message)
	c.say("report.counts", r.Messages, r.Failed, printable(r.Policy))
	var rows [][]string
	switch {
	case r.DMARC != nil:
		for i := range r.DMARC.Records {
			x := &r.DMARC.Records[i]
			var auth []string
			for _, d := range x.DKIMAuth {
				auth = append(auth, "dkim="+d.Result+" "+d.Domain+"/"+d.Selector)
			}
			for _, s := range x.SPFAuth {
				auth = append(auth, "spf="+s.Result+" "+s.Domain)
			}
			for _, why := range x.Reasons {
				auth = append(auth, why.Type)
			}
			ip := "?"
			if x.Source.IsValid() {
				ip = x.Source.String()
			}
			rows = append(rows, []string{ip, number(x.Count), x.DKIM, x.SPF, x.Disposition, x.HeaderFrom, strings.Join(auth, ", ")})
		}
		c.table("head.report.record", rows)
	case r.TLS != nil:
		for _, p := range r.TLS.Policies {
			rows = append(rows, []string{p.Policy.Type, p.Policy.Domain, number(p.Succeeded), number(p.Failed), "", ""})
			for _, d := range p.Details {
				rows = append(rows, []string{"", d.MXHostname, "", number(d.Failed), d.Type, strings.TrimSpace(d.SendingIP + " " + d.Reason)})
			}
		}
		c.table("head.report.tls", rows)
	case r.ARF != nil:
		c.say("report.complaint", printable(r.ARF.Type), printable(r.Account), printable(r.List), printable(r.ARF.Original.MessageID))
	}
	for _, t := range r.Trace {
		c.say("report.trace", printable(t))
	}
}

func (c *cli) reportView() *cobra.Command {
	return reportLeaf(c, "view DOMAIN", "report.view", 1, c.viewReports)
}

func (c *cli) viewReports(o *feedback.Overview) {
	counts := func(x *feedback.Counts) []string {
		return []string{number(x.Messages), number(x.Aligned), number(x.DKIM), number(x.SPF), number(x.Quarantined), number(x.Rejected)}
	}
	var rows [][]string
	for i := range o.Days {
		rows = append(rows, append([]string{o.Days[i].Day, number(o.Days[i].Sent)}, counts(&o.Days[i].Counts)...))
	}
	c.table("head.report.day", rows)
	fmt.Fprintln(c.out)
	rows = nil
	for i := range o.Reporters {
		r := &o.Reporters[i]
		rows = append(rows, append([]string{r.Org, strconv.Itoa(r.Days), number(r.Sent)}, counts(&r.Counts)...))
	}
	c.table("head.report.reporter", rows)
	fmt.Fprintln(c.out)
	rows = nil
	for _, p := range o.Policies {
		rows = append(rows, []string{p.Policy, p.First, p.Last, strconv.Itoa(p.Reports), strings.Join(p.Orgs, ", ")})
	}
	c.table("head.report.policy", rows)
	c.limits("placement", "silent", "either")
}

// limits prints what reports do not prove.
func (c *cli) limits(keys ...string) {
	fmt.Fprintln(c.out)
	for _, k := range keys {
		c.say("report.limit." + k)
	}
}

func (c *cli) reportSources() *cobra.Command {
	return reportLeaf(c, "sources DOMAIN", "report.sources", 1, c.listSources)
}

func (c *cli) listSources(out *command.ReportSources) {
	var rows [][]string
	for i := range out.Sources {
		s := &out.Sources[i]
		rows = append(rows, []string{
			s.Group, c.lang.Say("report.class." + string(s.Class)), s.Sender, number(s.Messages), number(s.Aligned), number(s.DKIM), number(s.SPF), s.First, s.Last, strings.Join(s.IPs[:min(len(s.IPs), 3)], " "), s.Decided,
		})
	}
	c.table("head.report.source", rows)
}

func (c *cli) reportSourceSet() *cobra.Command {
	var d command.ReportDecision
	cmd := c.leaf("set DOMAIN SOURCE", "report.source.set", 2, false, func(cmd *cobra.Command, args []string) error {
		d.Domain, d.Subject = args[0], args[1]
		return c.change(cmd, "report.source.set", d, "done.report.source", d.Subject, d.Class)
	})
	cmd.Flags().StringVar(&d.Class, "class", "", c.lang.Say("flag.report.class"))
	cmd.Flags().StringVar(&d.Reason, "reason", "", c.lang.Say("flag.report.reason"))
	return cmd
}

func (c *cli) reportAdvise() *cobra.Command {
	return reportLeaf(c, "advise DOMAIN", "report.advise", 1, c.advise)
}

func (c *cli) advise(a *feedback.Advice) {
	c.say("report.step", a.Domain, c.lang.Say("report.step."+a.Step))
	switch {
	case a.Final:
		c.say("report.final")
	case a.Next != nil:
		c.say("report.next", "_dmarc."+a.Domain, printable(*a.Next))
		if a.Rollback != "" {
			c.say("report.rollback", printable(a.Rollback))
		}
	default:
		c.say("report.wait")
		c.blockers(a.Blockers)
	}
	if a.TLS != nil {
		fmt.Fprintln(c.out)
		c.adviseTLS(a.Domain, a.TLS)
	}
	c.limits(a.Limits...)
}

// adviseTLS tells whether the MTA-STS policy may be enforced.
func (c *cli) adviseTLS(domain string, a *feedback.TLSAdvice) {
	c.say("report.tls", a.Mode, a.Sessions, a.Days, a.Failed, a.Explained)
	switch {
	case a.Ready:
		c.say("report.tls.ready", domain)
	case a.Mode == "testing":
		c.say("report.tls.wait")
		c.blockers(a.Blockers)
	}
}

// blockers prints what is in the way of a step.
func (c *cli) blockers(list []feedback.Blocker) {
	for _, b := range list {
		args := make([]any, len(b.Args))
		for i, x := range b.Args {
			args[i] = x
		}
		fmt.Fprintf(c.out, "  - %s\n", printable(c.lang.Say("report.blocker."+b.ID, args...)))
	}
}

func (c *cli) reportAlerts() *cobra.Command {
	return reportLeaf(c, "alerts [DOMAIN]", "report.alerts", 0, c.listAlerts)
}

func (c *cli) listAlerts(out *[]store.ReportAlert) {
	var rows [][]string
	for _, a := range *out {
		over := ""
		if !a.Resolved.IsZero() {
			over = a.Resolved.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{a.Domain, c.lang.Say("report.alert." + a.Kind), a.Subject, c.lang.Say("report.seen."+a.Kind, feedback.Seen(&a)...), a.First.Local().Format(time.DateTime), over})
	}
	c.table("head.report.alert", rows)
}

func (c *cli) reportComplaints() *cobra.Command {
	return reportLeaf(c, "complaints [DOMAIN]", "report.complaints", 0, c.listComplaints)
}

func (c *cli) listComplaints(out *[]command.Complaints) {
	var rows [][]string
	for _, x := range *out {
		rows = append(rows, []string{x.Account, x.List, number(x.Complaints), number(x.Sent), x.Last.Local().Format(time.DateTime), strings.Join(x.By, ", ")})
	}
	c.table("head.report.complaint", rows)
}

func (c *cli) reportLists() *cobra.Command {
	return c.leaf("lists DOMAIN on|off", "report.lists", 2, false, func(cmd *cobra.Command, args []string) error {
		if args[1] != "on" && args[1] != "off" {
			return c.usage(cmd.UseLine())
		}
		return c.change(cmd, "report.lists", command.ReportLists{Domain: args[0], On: args[1] == "on"}, "done.report.lists."+args[1], args[0])
	})
}
