package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"posta/internal/command"
	"posta/internal/keytable"
)

// maxKeyFile is how large a file with one key may be.
const maxKeyFile = 64 << 10

// keySource is what posta dkim import is told.
type keySource struct {
	selector, file    string
	opendkim, signing string
	rspamd            string
	idle              bool
}

func (c *cli) dkimImport() *cobra.Command {
	var s keySource
	cmd := c.leaf("import [DOMAIN]", "dkim.import", 0, true, func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return c.usage(cmd.UseLine())
		}
		domain := ""
		if len(args) == 1 {
			domain = strings.ToLower(args[0])
		}
		do, done := c.conversation(cmd.Context())
		defer done()
		entries, table, err := s.entries(domain, do)
		if err != nil {
			return err
		}
		return c.importKeys(do, &s, table, entries)
	})
	f := cmd.Flags()
	f.StringVar(&s.selector, "selector", "", c.lang.Say("flag.dkim.selector"))
	f.StringVar(&s.file, "file", "", c.lang.Say("flag.dkim.file"))
	f.StringVar(&s.opendkim, "opendkim", "", c.lang.Say("flag.dkim.opendkim"))
	f.StringVar(&s.signing, "signing-table", "", c.lang.Say("flag.dkim.signing"))
	f.StringVar(&s.rspamd, "rspamd", "", c.lang.Say("flag.dkim.rspamd"))
	f.BoolVar(&s.idle, "idle", false, c.lang.Say("flag.dkim.idle"))
	return cmd
}

// entries lists the keys of the source; table is the file that names them, "" for a key
// that stands alone.
func (s *keySource) entries(domain string, do give) (list []keytable.Entry, table string, err error) {
	switch {
	case s.file != "" && s.opendkim+s.rspamd == "" && domain != "" && s.selector != "":
		return []keytable.Entry{{Domain: domain, Selector: s.selector, Path: s.file}}, "", nil
	case s.opendkim != "" && s.file+s.rspamd == "":
		list, err = s.openDKIM()
		table = s.opendkim
	case s.rspamd != "" && s.file+s.opendkim == "":
		list, err = s.ofRspamd(do)
		table = s.rspamd
	default:
		return nil, "", &command.Error{Kind: errUsage, Key: "error.dkim.source"}
	}
	if err != nil {
		return nil, table, &command.Error{Kind: errUsage, Key: "error.dkim.table", Args: []any{table, err.Error()}}
	}
	var out []keytable.Entry
	for _, e := range list {
		if domain == "" || e.Domain == domain {
			out = append(out, e)
		}
	}
	return out, table, nil
}

func (s *keySource) openDKIM() ([]keytable.Entry, error) {
	text, err := readInput(s.opendkim, keytable.MaxOctets)
	if err != nil {
		return nil, err
	}
	keys, err := keytable.ParseKeyTable(string(text))
	if err != nil || s.signing == "" {
		return keytable.Resolve(keys, nil), err
	}
	if text, err = readInput(s.signing, keytable.MaxOctets); err != nil {
		return nil, err
	}
	uses, err := keytable.ParseSigningTable(string(text))
	if uses == nil {
		uses = []keytable.Use{} // a table that names none
	}
	return keytable.Resolve(keys, uses), err
}

// ofRspamd gives the domains that the file names, and those of ours that have a key
// where it says that the keys of all others are.
func (s *keySource) ofRspamd(do give) ([]keytable.Entry, error) {
	text, err := readInput(s.rspamd, keytable.MaxOctets)
	if err != nil {
		return nil, err
	}
	conf, err := keytable.ParseRspamd(string(text))
	if err != nil {
		return nil, err
	}
	out := conf.Domains
	named := map[string]bool{}
	for _, e := range out {
		named[e.Domain] = true
	}
	var ours []command.Domain
	if err := do("domain.ls", struct{}{}, &ours); err != nil {
		return nil, err
	}
	for _, d := range ours {
		path := keytable.Fill(conf.Path, d.Name, conf.Selector)
		if _, err := os.Stat(path); err == nil && !named[d.Name] {
			out = append(out, keytable.Entry{Domain: d.Name, Selector: conf.Selector, Path: path})
		}
	}
	return out, nil
}

// importKeys gives the keys one by one. Of a table, one that cannot be taken is told
// and left out; it is an error if none could.
func (c *cli) importKeys(do give, s *keySource, table string, entries []keytable.Entry) error {
	taken := []command.Imported{}
	for _, e := range entries {
		out, err := importKey(do, s, table, e)
		if err != nil && (table == "" || !ofKey(err)) {
			return err
		}
		if err != nil {
			if !c.json {
				c.say("dkim.skipped", printable(e.Selector+"._domainkey."+e.Domain), printable(c.sentence(err)))
			}
			continue
		}
		if taken = append(taken, out); c.json {
			continue
		}
		done := "done.dkim.import"
		if s.idle {
			done = "done.dkim.import.idle"
		}
		c.say(done, out.Domain, out.Selector, out.Algorithm, out.Bits)
		if out.Weak {
			c.say("dkim.weak", out.Domain)
		}
	}
	if len(taken) == 0 {
		return &command.Error{Kind: errUsage, Key: "error.dkim.nothing", Args: []any{table}}
	}
	if c.json {
		return c.printJSON(taken)
	}
	return nil
}

// ofKey is whether an error is of the one key, so that the next may do better.
func ofKey(err error) bool {
	if e, ok := errors.AsType[*command.Error](err); ok {
		return !errors.Is(e, command.ErrLater) && !errors.Is(e, command.ErrDenied)
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// sentence is an error in the reader's language.
func (c *cli) sentence(err error) string {
	if e, ok := errors.AsType[*command.Error](err); ok {
		return e.In(c.lang)
	}
	return err.Error()
}

func importKey(do give, s *keySource, table string, e keytable.Entry) (out command.Imported, err error) {
	text := e.PEM
	if text == "" {
		path := e.Path
		if table != "" && !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(table), path)
		}
		b, err := readInput(path, maxKeyFile)
		if err != nil && table == "" {
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		if err != nil {
			return out, err
		}
		text = string(b)
	}
	err = do("dkim.import", command.ImportedKey{Domain: e.Domain, Selector: e.Selector, PEM: text, Idle: s.idle}, &out)
	return out, err
}
