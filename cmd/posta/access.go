package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/access"
	"posta/internal/command"
	"posta/internal/store"
)

func (c *cli) accessCommand() *cobra.Command {
	return c.group("access", "access", c.accessLs(), c.accessShow(), c.accessAdd(),
		c.leaf("remove KEY", "access.remove", 1, false, func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, "access.remove", map[string]string{"key": args[0]}, "done.access.remove", args[0])
		}),
		c.accessImport(), c.accessExport(),
	)
}

// eachAccess calls f with every page of the entries that a pattern means.
func eachAccess(do give, pattern string, f func([]command.AccessEntry) error) error {
	q := command.AccessQuery{Pattern: pattern}
	for {
		var page command.AccessPage
		if err := do("access.ls", q, &page); err != nil {
			return err
		}
		if err := f(page.Entries); err != nil {
			return err
		}
		if q.After = page.Next; q.After == "" {
			return nil
		}
	}
}

func (c *cli) accessLs() *cobra.Command {
	return c.leaf("ls [PATTERN]", "access.ls", 0, true, func(cmd *cobra.Command, args []string) error {
		do, done := c.conversation(cmd.Context())
		defer done()
		all := []command.AccessEntry{}
		err := eachAccess(do, strings.Join(args, " "), func(page []command.AccessEntry) error {
			all = append(all, page...)
			return nil
		})
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(all)
		}
		var rows [][]string
		for _, e := range all {
			rows = append(rows, []string{e.Key, e.Value, e.Note, e.Who, e.At.Local().Format(time.DateOnly), expiry(e)})
		}
		c.table("head.access", rows)
		return nil
	})
}

func expiry(e command.AccessEntry) string {
	if e.Expires.IsZero() {
		return ""
	}
	return e.Expires.Local().Format(time.DateTime)
}

func (c *cli) accessShow() *cobra.Command {
	return c.leaf("show KEY", "access.show", 1, false, func(cmd *cobra.Command, args []string) error {
		var e command.AccessEntry
		if err := c.do(cmd.Context(), "access.show", map[string]string{"key": args[0]}, &e); err != nil {
			return err
		}
		return c.printEntry(e)
	})
}

// printEntry writes one entry for a person.
func (c *cli) printEntry(e command.AccessEntry) error {
	if c.json {
		return c.printJSON(e)
	}
	fmt.Fprintf(c.out, "%s\t%s\n", printable(e.Key), printable(e.Value))
	if e.Note != "" {
		c.say("access.note", printable(e.Note))
	}
	c.say("access.by", printable(e.Who), e.At.Local().Format(time.DateTime))
	if until := expiry(e); until != "" {
		c.say("access.until", until)
	}
	return nil
}

// entryFlags are what stands beside an entry.
func (c *cli) entryFlags(cmd *cobra.Command, note, expires *string) {
	cmd.Flags().StringVar(note, "note", "", c.lang.Say("flag.access.note"))
	cmd.Flags().StringVar(expires, "expires", "", c.lang.Say("flag.access.expires"))
}

func (c *cli) accessAdd() *cobra.Command {
	var note, expires string
	cmd := c.leaf("add KEY VALUE", "access.add", 2, true, func(cmd *cobra.Command, args []string) error {
		until, err := c.until(expires)
		if err != nil {
			return err
		}
		e := command.AccessEntry{Key: args[0], Value: strings.Join(args[1:], " "), Note: note, Expires: until}
		if err := c.do(cmd.Context(), "access.add", e, &e); err != nil {
			return err
		}
		return c.printEntry(e)
	})
	c.entryFlags(cmd, &note, &expires)
	return cmd
}

// until reads "30d" and "12h" as so long from now, or a date; "" is never.
func (c *cli) until(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	now := time.Now()
	t, err := moment(s, now)
	if err != nil {
		return t, c.usage("--expires 30d, 12h, " + now.AddDate(0, 1, 0).Format(time.DateOnly))
	}
	if t.Before(now) && !strings.Contains(s, "-") { // moment looks back
		t = now.Add(now.Sub(t))
	}
	return t, nil
}

// maxAccessFile bounds a file to import, in octets.
const maxAccessFile = 1 << 30

func (c *cli) accessImport() *cobra.Command {
	var replace bool
	var note, expires string
	cmd := c.leaf("import FILE", "access.import", 1, false, func(cmd *cobra.Command, args []string) error {
		until, err := c.until(expires)
		if err != nil {
			return err
		}
		text, err := readInput(args[0], maxAccessFile)
		if err != nil {
			return err
		}
		m, err := access.Parse(text)
		if problems, ok := errors.AsType[*access.Problems](err); ok {
			return &command.Error{Kind: errUsage, Key: "error.access.file", Args: []any{args[0], len(problems.List) + problems.More, problems.Error()}}
		}
		if err != nil {
			return err
		}
		if n, what := unasked(m); n > 0 {
			return &command.Error{Kind: errUsage, Key: "error.access.file", Args: []any{args[0], n, what}}
		}
		do, done := c.conversation(cmd.Context())
		defer done()
		im := importing{do: do, note: note, until: until}
		if err := im.run(m, replace); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(im.done)
		}
		c.say("done.access.import", im.done.Added, im.done.Changed, im.done.Removed, im.same)
		return nil
	})
	cmd.Flags().BoolVar(&replace, "replace", false, c.lang.Say("flag.access.replace"))
	c.entryFlags(cmd, &note, &expires)
	return cmd
}

// unasked counts the entries that would have no effect, and tells of some.
func unasked(m *access.Map) (n int, what string) {
	var lines []string
	for k, v := range m.All() {
		if err := access.Unasked(k, v); err != nil {
			lines = append(lines, fmt.Sprintf("%s: %v", k, err))
		}
	}
	slices.Sort(lines)
	return len(lines), strings.Join(lines[:min(len(lines), maxUnasked)], "\n")
}

// maxUnasked is of how many of them an import tells.
const maxUnasked = 20

// importing sends the difference between a file and the map, in transactions of
// bounded size. Broken off, it may be repeated: what is the same is not sent.
type importing struct {
	do    give
	note  string
	until time.Time
	edit  command.AccessEdit
	done  command.AccessChanged
	same  int
}

func (im *importing) run(m *access.Map, replace bool) error {
	want := make(map[string]string, m.Len())
	for k, v := range m.All() {
		want[k.String()] = v.String()
	}
	// What is there is read before anything is changed, so that a page is never that
	// of a map in the middle of the change.
	var gone []string
	err := eachAccess(im.do, "", func(page []command.AccessEntry) error {
		for _, e := range page {
			switch v, ok := want[e.Key]; {
			case !ok:
				gone = append(gone, e.Key)
			case v == e.Value && (im.note == "" || im.note == e.Note) && im.until.Equal(e.Expires):
				im.same++
				delete(want, e.Key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		im.edit.Put = append(im.edit.Put, command.AccessEntry{Key: k, Value: want[k], Note: im.note, Expires: im.until})
		if err := im.flush(store.MaxAccessStep); err != nil {
			return err
		}
	}
	for _, k := range gone {
		if !replace {
			break
		}
		im.edit.Remove = append(im.edit.Remove, k)
		if err := im.flush(store.MaxAccessStep); err != nil {
			return err
		}
	}
	return im.flush(1)
}

// flush sends what is gathered, if it is at least so much.
func (im *importing) flush(least int) error {
	if len(im.edit.Put)+len(im.edit.Remove) < least {
		return nil
	}
	var out command.AccessChanged
	err := im.do("access.edit", im.edit, &out)
	im.edit = command.AccessEdit{}
	im.done.Added += out.Added
	im.done.Changed += out.Changed
	im.done.Removed += out.Removed
	return err
}

func (c *cli) accessExport() *cobra.Command {
	return c.leaf("export", "access.export", 0, false, func(cmd *cobra.Command, _ []string) error {
		do, done := c.conversation(cmd.Context())
		defer done()
		return eachAccess(do, "", func(page []command.AccessEntry) error {
			for _, e := range page {
				if c.json {
					if err := c.printJSON(e); err != nil {
						return err
					}
					continue
				}
				if comment := strings.TrimSpace(e.Note + " " + expiry(e)); comment != "" {
					fmt.Fprintf(c.out, "# %s\n", comment)
				}
				if _, err := fmt.Fprintf(c.out, "%s\t%s\n", e.Key, e.Value); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
