package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posta/internal/program"
)

// Program is one [[program]] table: a program that rules may give mail to, as |NAME or
// pipe:NAME. No other is ever run.
//
//	[[program]]
//	name = "tickets"
//	path = "/usr/local/bin/tickets-mail"
//	args = ["--queue", "soporte"]
//	write = ["/var/lib/tickets/in"]
//
// What programs may have, our own process must keep, so a change needs a restart.
type Program struct {
	// Name is what rules call it: letters, digits, ".", "_" and "-". Required, as is Path.
	Name string   `toml:"name"`
	Path string   `toml:"path"` // absolute; no shell reads it
	Args []string `toml:"args"`
	// Read are files and folders that it may read and execute beside /bin, /lib and /usr;
	// Write those folders in which it may make, change and remove files. They must exist.
	Read    []string `toml:"read"`
	Write   []string `toml:"write"`
	Network bool     `toml:"network"` // it may use the network. Default false
	// Timeout is what it may take for one message, from 1 s to 30 min, CPU how much of a
	// processor's time. Default 1 min and 30 s.
	Timeout Duration `toml:"timeout"`
	CPU     Duration `toml:"cpu"`
	Memory  Size     `toml:"memory"`   // of address space, from 16 MiB. Default 1 GiB
	MaxFile Size     `toml:"max_file"` // the largest file that it may write. Default 256 MiB
}

const (
	minProgram, maxProgram = time.Second, 30 * time.Minute
	minProgramMemory       = 16 << 20
	maxProgramName         = 64
)

// Runnable are the programs as they are run.
func (c *Config) Runnable() []program.Program {
	out := make([]program.Program, len(c.Programs))
	for i, p := range c.Programs {
		out[i] = program.Program{
			Name: p.Name, Path: p.Path, Args: p.Args, Read: p.Read, Write: p.Write, Network: p.Network,
			Time: time.Duration(p.Timeout), CPU: time.Duration(p.CPU), Memory: int64(p.Memory), File: int64(p.MaxFile),
		}
	}
	return out
}

// checkPrograms reports what is wrong with the [[program]] tables, by number.
func (c *Config) checkPrograms(bad func(key, format string, a ...any)) {
	seen := map[string]int{}
	for i := range c.Programs {
		table, p := fmt.Sprintf("program[%d]", i+1), &c.Programs[i]
		p.check(table, bad)
		if first := seen[p.Name]; first > 0 {
			bad(table+".name", "program[%d] is called %q already; give each a name of its own", first, p.Name)
		} else if p.Name != "" {
			seen[p.Name] = i + 1
		}
	}
}

func (p *Program) check(table string, bad func(key, format string, a ...any)) {
	if p.Name == "" || p.Path == "" {
		bad(table, "it needs a name, by which rules call it, and a path")
	}
	if !isProgramName(p.Name) {
		bad(table+".name", "%q is no name for it: up to %d letters, digits, dots, underscores and hyphens, e.g. \"tickets\"", p.Name, maxProgramName)
	}
	if p.Path != "" {
		if info, err := os.Stat(p.Path); !filepath.IsAbs(p.Path) {
			bad(table+".path", "%q does not begin with /; arguments stand in args", p.Path)
		} else if err != nil {
			bad(table+".path", "%v", err)
		} else if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			bad(table+".path", "%s is no program: chmod +x %s", p.Path, p.Path)
		}
	}
	for key, paths := range map[string][]string{"read": p.Read, "write": p.Write} {
		for _, path := range paths {
			if info, err := os.Stat(path); !filepath.IsAbs(path) {
				bad(table+"."+key, "%q does not begin with /", path)
			} else if err != nil {
				bad(table+"."+key, "%v", err)
			} else if key == "write" && !info.IsDir() {
				bad(table+"."+key, "%s is no folder", path)
			}
		}
	}
	for key, d := range map[string]Duration{"timeout": p.Timeout, "cpu": p.CPU} {
		if d := time.Duration(d); d != 0 && (d < minProgram || d > maxProgram) {
			bad(table+"."+key, "%s is out of range: from %s to %s", short(d), short(minProgram), short(maxProgram))
		}
	}
	if p.Memory != 0 && p.Memory < minProgramMemory {
		bad(table+".memory", "a program does not start with less than 16 MiB")
	}
}

func isProgramName(s string) bool {
	return len(s) <= maxProgramName && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r)
	})
}
