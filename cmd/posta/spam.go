package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/message"
	"posta/internal/spam"
	"posta/internal/spam/learn"
)

// Bounds of what one command carries, and of a message that is explained.
const (
	lessonOctets   = 400 << 10
	explainedOctet = 150 << 20
)

func (c *cli) spamCommand() *cobra.Command {
	return c.group("spam", "spam", c.spamShow(), c.spamTrain(), c.spamReset(), c.spamExplain())
}

func (c *cli) spamShow() *cobra.Command {
	return c.leaf("show [ACCOUNT]", "spam.show", 0, true, func(cmd *cobra.Command, args []string) error {
		var a command.SpamOf
		switch len(args) {
		case 0:
		case 1:
			a.Account = args[0]
		default:
			return c.usage(cmd.UseLine())
		}
		var out []command.SpamModel
		return c.list(cmd, "spam.show", a, &out, "head.spam", func() (rows [][]string) {
			for _, m := range out {
				ready := c.lang.Say("spam.unready")
				if m.Ready {
					ready = c.lang.Say("spam.ready")
				}
				rows = append(rows, []string{c.whose(m.Account), strconv.Itoa(int(m.Spam)), strconv.Itoa(int(m.Ham)), strconv.Itoa(m.Features), ready})
			}
			return rows
		})
	})
}

// whose names a model for people.
func (c *cli) whose(account string) string {
	if account == "" {
		return c.lang.Say("spam.shared")
	}
	return account
}

func (c *cli) spamTrain() *cobra.Command {
	var account string
	cmd := c.leaf("train spam|ham PATH|-", "spam.train", 2, false, func(cmd *cobra.Command, args []string) error {
		if args[0] != "spam" && args[0] != "ham" {
			return c.usage(cmd.UseLine())
		}
		l := command.SpamLesson{Account: account, Spam: args[0] == "spam"}
		corpus, done, err := openCorpus(args[1])
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		defer done()
		total, err := c.teach(cmd.Context(), l, corpus)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(total)
		}
		c.say("done.spam.train", total.Learned, total.Known, c.whose(account))
		return nil
	})
	cmd.Flags().StringVar(&account, "account", "", c.lang.Say("flag.spam.account"))
	return cmd
}

// openCorpus opens a folder of messages (a maildir, one file each, mboxes), a file
// of either form, or standard input.
func openCorpus(path string) (corpus iter.Seq2[[]byte, error], done func(), err error) {
	if path == "-" {
		return learn.Mbox(os.Stdin), func() {}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return learn.Corpus(os.DirFS(path), "."), func() {}, nil
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, nil, err
	}
	return learn.Mbox(f), func() { f.Close() }, nil
}

// teach gives a corpus in lessons that one command can carry.
func (c *cli) teach(ctx context.Context, l command.SpamLesson, corpus iter.Seq2[[]byte, error]) (total command.SpamTrained, err error) {
	octets := 0
	flush := func() error {
		var out command.SpamTrained
		if err := c.do(ctx, "spam.train", l, &out); err != nil {
			return err
		}
		total.Learned += out.Learned
		total.Known += out.Known
		l.Messages, octets = nil, 0
		return nil
	}
	for raw, err := range corpus {
		if err != nil {
			return total, fmt.Errorf("%w: %w", errUsage, err)
		}
		s, err := learn.SampleOf(raw, l.Spam)
		if err != nil {
			return total, err
		}
		m := command.SpamMessage{ID: s.ID}
		if m.Features, err = s.Features.MarshalBinary(); err != nil {
			return total, err
		}
		if octets+len(m.Features) > lessonOctets {
			if err := flush(); err != nil {
				return total, err
			}
		}
		l.Messages = append(l.Messages, m)
		octets += len(m.Features) + 64
	}
	if len(l.Messages) == 0 {
		return total, nil
	}
	return total, flush()
}

func (c *cli) spamReset() *cobra.Command {
	var a command.SpamOf
	cmd := c.leaf("reset", "spam.reset", 0, false, func(cmd *cobra.Command, _ []string) error {
		var out command.SpamModel
		if err := c.do(cmd.Context(), "spam.reset", a, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		c.say("done.spam.reset", c.whose(a.Account), out.Spam, out.Ham)
		return nil
	})
	cmd.Flags().StringVar(&a.Account, "account", "", c.lang.Say("flag.spam.account"))
	return cmd
}

func (c *cli) spamExplain() *cobra.Command {
	var account string
	cmd := c.leaf("explain FILE|-", "spam.explain", 1, false, func(cmd *cobra.Command, args []string) error {
		raw, err := readInput(args[0], explainedOctet)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		e, err := spam.Examine(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}))
		if err != nil {
			return err
		}
		q := command.SpamQuestion{Account: account, Findings: e.Findings, Facts: e.Facts}
		if q.Features, err = e.Features.MarshalBinary(); err != nil {
			return err
		}
		var out command.SpamAnswer
		if err := c.do(cmd.Context(), "spam.explain", q, &out); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(out)
		}
		printSpam(c, &out)
		return nil
	})
	cmd.Flags().StringVar(&account, "account", "", c.lang.Say("flag.spam.account"))
	return cmd
}

func printSpam(c *cli, a *command.SpamAnswer) {
	c.say("spam.points", a.Points, a.Junk, a.High)
	for _, r := range a.Reasons {
		fmt.Fprintf(c.out, "  %s\n", printable(r.Text(string(c.lang))))
	}
	c.say("spam.learner", c.lang.Say("spam.verdict."+a.Verdict), a.Trained.Spam, a.Trained.Ham)
	for _, w := range a.Words {
		fmt.Fprintf(c.out, "  %+5.2f  %s\n", w.Weight, printable(w.Text(string(c.lang))))
	}
	c.say("spam.partly")
}
