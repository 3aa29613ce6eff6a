package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/mail"
	"posta/internal/milter"
	"posta/internal/scan"
	"posta/internal/words"
)

// Scanner is one [[scanner]] table: a program that is asked about each message
// before it is accepted. What one changes is what the next one sees, and what the
// last one leaves is what is kept and sent.
//
//	[[scanner]]
//	name = "opendkim"
//	type = "milter"
//	address = "inet:8891@localhost"
//
//	[[scanner]]
//	name = "clamav"
//	type = "clamav"
//	address = "unix:/run/clamav/clamd.ctl"
//	on_failure = "defer"
//
// SIGHUP takes a changed list: sessions that begin afterwards use it.
type Scanner struct {
	// Name is its name in replies, traces and measures: lower-case letters, digits
	// and hyphens. Required, as are Type and Address.
	Name string `toml:"name"`
	Type string `toml:"type"` // milter, rspamd or clamav
	// Address is where it listens. A milter and ClamAV: "inet:8891@localhost",
	// "host:port" or "unix:/path"; rspamd: "http://host:11333", "https://…" or
	// "unix:/path".
	Address string `toml:"address"`
	// Timeout is what it may take for one message, from 1 s to 50 s: the dot is
	// answered within a minute. Default 45 s for a milter, 20 s for rspamd, 30 s for
	// ClamAV.
	Timeout Duration `toml:"timeout"`
	// OnFailure says what happens while it does not answer: "defer" puts the message
	// off, and the sender comes again; "pass" lets it go on without this scanner.
	// Default defer for a milter and ClamAV, pass for rspamd.
	OnFailure string `toml:"on_failure"`
	// OnTooLarge says the same of a message that is too large for it. Default defer
	// for a milter, pass for rspamd and ClamAV: waiting does not make it smaller.
	OnTooLarge string `toml:"on_too_large"`
	// MaxSize is the largest message that rspamd or ClamAV is asked about. It should
	// be what they are set to (max_message, StreamMaxLength). Default 50 MiB for
	// rspamd; ClamAV says by itself what is too large.
	MaxSize Size `toml:"max_size"`
	// Classes are those whose mail it sees: "strangers", "local-network", and
	// "authenticated" (our own users). Default all.
	Classes []string `toml:"classes"`
	// PasswordFile has in its first line what an rspamd that wants one is told.
	PasswordFile string `toml:"password_file"`
}

// The longest and the shortest time for one message.
const minScan, maxScan = time.Second, 50 * time.Second

// maxScannerName bounds a name: it stands in replies and labels.
const maxScannerName = 32

var (
	scannerTypes = []string{"milter", "rspamd", "clamav"}
	fallbacks    = []string{"defer", "pass"}
	classNames   = []string{"strangers", mail.LocalNetwork.String(), mail.Authenticated.String()}

	// What a stranger is besides is known only after the milters have begun to listen.
	scannerClasses = []mail.Class{mail.OwnServer, mail.LocalNetwork, mail.Authenticated}
)

// Member is the scanner as it is asked. It connects to nothing; the password file
// is read. The values must be those of a checked configuration.
func (s *Scanner) Member() (scan.Member, error) {
	m := scan.Member{Name: s.Name, Timeout: time.Duration(s.Timeout)}
	if s.OnFailure != "" {
		m.OnFailure, _ = scan.ParseFallback(s.OnFailure)
	}
	if s.OnTooLarge != "" {
		m.OnTooLarge, _ = scan.ParseFallback(s.OnTooLarge)
	}
	for _, c := range s.Classes {
		m.Classes = append(m.Classes, scannerClasses[slices.Index(classNames, c)])
	}
	return m, s.connectable(&m)
}

// connectable makes the scanner of the type and the address.
func (s *Scanner) connectable(m *scan.Member) (err error) {
	// A nil pointer of a kind must not become a Scanner that is not nil.
	set := func(sc scan.Scanner, e error) {
		if err = e; e == nil {
			m.Scanner = sc
		}
	}
	switch s.Type {
	case "milter":
		set(scan.NewMilter(s.Address, milter.Options{}))
	case "clamav":
		set(scan.NewClamAV(s.Address, scan.ClamAVOptions{MaxBytes: int64(s.MaxSize)}))
	case "rspamd":
		o := scan.RspamdOptions{MaxBytes: int64(s.MaxSize)}
		if s.PasswordFile != "" {
			if o.Password, err = passwordIn(s.PasswordFile); err != nil {
				return err
			}
		}
		set(scan.NewRspamd(s.Address, o))
	}
	return err
}

// checkScanners reports what is wrong with the [[scanner]] tables, by number.
func (c *Config) checkScanners(bad func(key, format string, a ...any)) {
	seen := map[string]int{}
	for i := range c.Scanners {
		table := fmt.Sprintf("scanner[%d]", i+1)
		s := &c.Scanners[i]
		s.check(table, bad)
		if first := seen[s.Name]; first > 0 && s.Name != "" {
			bad(table+".name", "scanner[%d] is called %q already; give each a name of its own", first, s.Name)
		} else {
			seen[s.Name] = i + 1
		}
	}
}

func (s *Scanner) check(table string, bad func(key, format string, a ...any)) {
	if s.Name == "" || s.Address == "" || s.Type == "" {
		bad(table, "it needs a name, a type and an address: where the program listens")
	}
	if s.Name != "" && !isScannerName(s.Name) {
		bad(table+".name", "%q is no name for it: up to %d lower-case letters, digits and hyphens, e.g. \"opendkim\"", s.Name, maxScannerName)
	}
	choice := func(key, value string, of []string) bool {
		if slices.Contains(of, value) {
			return true
		}
		bad(table+"."+key, "%q is not one of %s%s", value, strings.Join(of, ", "), meant(value, of))
		return false
	}
	typed := s.Type != "" && choice("type", s.Type, scannerTypes)
	for key, value := range map[string]string{"on_failure": s.OnFailure, "on_too_large": s.OnTooLarge} {
		if value != "" {
			choice(key, value, fallbacks)
		}
	}
	for _, c := range s.Classes {
		choice("classes", c, classNames)
	}
	if d := time.Duration(s.Timeout); d != 0 && (d < minScan || d > maxScan) {
		bad(table+".timeout", "%s is out of range: from %s to %s", short(d), short(minScan), short(maxScan))
	}
	if s.MaxSize != 0 && s.Type == "milter" {
		bad(table+".max_size", "a milter hears every message; its own limits are its program's")
	}
	if s.PasswordFile != "" && s.Type != "rspamd" {
		bad(table+".password_file", "only rspamd is told a password")
		return
	}
	if s.PasswordFile != "" {
		if _, err := passwordIn(s.PasswordFile); err != nil {
			bad(table+".password_file", "%v", err)
			return
		}
	}
	if typed && s.Address != "" {
		if err := s.connectable(new(scan.Member)); err != nil {
			bad(table+".address", "%v", err)
		}
	}
}

// meant names the word that a misspelt one is close to.
func meant(value string, of []string) string {
	for _, o := range of {
		if words.Distance(strings.ToLower(value), o) <= 1+len(o)/3 {
			return fmt.Sprintf("; did you mean %q?", o)
		}
	}
	return ""
}

func isScannerName(s string) bool {
	return len(s) <= maxScannerName && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
